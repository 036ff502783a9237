"""What is said of a job: records for programs, lines for people.

Knows the fields of a record; reads and writes no files.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .jobs import Job, Outcome, Record
from .more_formats import HEIF, JPEG_XL

if TYPE_CHECKING:
    from .container import Header
    from .dither.container import Header as DitherHeader

    AnyHeader = Header | DitherHeader

MOST_NAMED = 8  # files that were left out; of more than these the number is said


def one_line(text: str) -> str:
    """Return a text with every stretch of white space as one space."""
    return " ".join(text.split())


def record(job: Job, header: AnyHeader, size_bytes: int, start: float) -> Record:
    """Return what is known of a done job; the size and rate are those of the .npeg file."""
    return {
        "input": job.source,
        "output": job.output,
        "size_bytes": size_bytes,
        "rate_bpp": round(8 * size_bytes / (header.width * header.height), 6),
        "width": header.width,
        "height": header.height,
        "quality": header.quality,
        "seconds": round(time.perf_counter() - start, 4),
    }


def info_record(job: Job, found: Any) -> Record:
    """Return what a file says of itself, from what `npeg.info` has found."""
    return {
        "input": job.source,
        "size_bytes": found.size_bytes,
        "rate_bpp": round(found.rate_bpp, 6),
        **vars(found.header),
        "quality": found.header.quality,
        "tiles": found.header.tiles,
        "lossless": getattr(found, "lossless", False),
        "sections": [vars(section) for section in found.sections],
        "residual_bytes": sum(s.size_bytes for s in found.sections if s.type == "R"),
        "metadata": list(found.metadata),
    }


def job_text(record: Record) -> str:
    """Return the line of an encoded or decoded file."""
    outputs = record.get("outputs", [record["output"]])
    more = f" ... {outputs[-1]}" if outputs[1:] else ""
    return (
        f"{record['input']} -> {record['output']}{more}  {_size_text(record['size_bytes'])}  "
        f"{record['rate_bpp']:.2f} bpp  quality {record['quality']:g}  {record['seconds']:.2f} s"
    )


def enhance_text(record: Record) -> str:
    """Return the line of an enhanced file."""
    return (
        f"{record['input']} -> {record['output']}  {record['width']}x{record['height']}  "
        f"{record['method']} {record['strength']:g}  {record['seconds']:.2f} s"
    )


def info_text(record: Record) -> str:
    """Return the line of what a .npeg file says of itself."""
    tiles = f"{record['tiles']} tile{'s' if record['tiles'] > 1 else ''}"
    planes, number = record.get("planes"), record.get("variant_id", record.get("model_id"))
    number = record.get("own_model") or number
    model = f"dither variant {number}, {planes} planes" if planes else f"model {number}"
    quality = "lossless" if record.get("lossless") else f"quality {record['quality']:g}"
    alpha = " with alpha" if record.get("alpha") else ""
    alpha += f" {record['bit_depth']} bits" if record.get("bit_depth", 8) > 8 else ""
    if record["residual_bytes"]:
        model += f"  residual {_size_text(record['residual_bytes'])}"
    return (
        f"{record['input']}  {record['width']}x{record['height']} "
        f"{'RGB' if record['channels'] == 3 else 'grey'}{alpha}"
        f"  {_size_text(record['size_bytes'])}  "
        f"{record['rate_bpp']:.2f} bpp  "
        f"{quality}  {tiles}  {model}  version {record['version']}"
        f"{''.join(f'  {name}' for name in record['metadata'])}"
    )


def _size_text(size_bytes: int) -> str:
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{size_bytes / size:.1f} {unit}"
    return f"{size_bytes} B"


def complaints(outcome: Outcome, quiet: bool) -> list[str]:
    """Return the lines for a job's error, or for its warnings."""
    name = outcome.job.source
    if outcome.error:
        return [one_line(f"npeg: {name}: {outcome.error}")]
    return [one_line(f"npeg: warning: {name}: {text}") for text in outcome.warnings if not quiet]


def json_record(outcome: Outcome) -> Record:
    """Return what a program wants to know of a job, whatever became of it."""
    names = {"input": outcome.job.source, "output": outcome.job.output}
    if outcome.error:
        return {**names, "error": one_line(outcome.error)}
    if outcome.job.skipped:
        return {**names, "skipped": True}
    return {**outcome.record, **({"warnings": outcome.warnings} if outcome.warnings else {})}


def summary(
    total: int, failed: int, skipped: int, always: bool, left_out: list[str]
) -> Iterator[str]:
    """Yield the last lines of a command: what was not done, and is no error."""
    if left_out:
        names = ", ".join(left_out[:MOST_NAMED]) + (", ..." if left_out[MOST_NAMED:] else "")
        text = f"{_count(len(left_out))} of other kinds left out: {names}"
        if any(name.lower().endswith((*HEIF, *JPEG_XL)) for name in left_out):
            text += ' (pip install "npeg[formats]" lets npeg read HEIC and JPEG XL)'
        yield one_line(f"npeg: warning: {text}")
    if skipped or always:
        parts = [f"{total - failed - skipped} written", f"{skipped} skipped as they exist"]
        parts[1] += " (-f overwrites them)" if skipped else ""
        yield f"npeg: {_count(total)}: {', '.join(parts)}, {failed} failed"


def _count(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"
