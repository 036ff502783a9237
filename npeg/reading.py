"""What `npeg decode` reads of a file: all of it, a rectangle, a small picture, or what has arrived.

Enters: the arguments of the command and a job. Leaves: a record, pixels and metadata.
"""

from __future__ import annotations

import argparse
import io
import os
from typing import TYPE_CHECKING, Any

from . import bars, decode, files, image_files, metadata, records
from .errors import InputError
from .jobs import Job, Record

if TYPE_CHECKING:
    from .arrays import Samples
    from .container import Header
    from .dither.container import Header as DitherHeader
    from .metadata_sections import Metadata

    AnyHeader = Header | DitherHeader
    Decoded = tuple[Record, Samples, Metadata]


def check(args: argparse.Namespace) -> None:
    """Raise InputError for arguments that do not go together."""
    given = [name for name in ("crop", "scale", "allow_partial") if getattr(args, name)]
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise InputError(f"found {names}, expected one of them")


def read(args: argparse.Namespace, job: Job, image_format: str) -> Decoded:
    """Return the record, the samples and the metadata of what is asked for of a file."""
    if args.crop is not None:
        return _part(args, job, image_format, {"region": args.crop}, {"crop": args.crop})
    if args.scale is not None:
        scale = {"scale": 1 / args.scale}
        return _part(args, job, image_format, scale, {"scale": f"1/{args.scale}"})
    header, data = read_file(job.source)
    dtype = _dtype(args, header, image_format)
    with bars.of_image(args):
        pixels = decode(data, partial=args.allow_partial, dtype=dtype, model=args.model)
    found = _leading(io.BytesIO(data)) if args.allow_partial else metadata(data)
    return records.record(job, header, len(data), 0), pixels, found


def read_file(source: str) -> tuple[AnyHeader, bytes]:
    """Read a .npeg file, no further than a file with such a header can be long."""
    from . import inputs

    with files.open_source(source) as file:
        data = inputs.read(file)
    return inputs.read_header(data), data


def _dtype(args: argparse.Namespace, header: AnyHeader, image_format: str) -> str:
    """Return what to decode to: what the output holds of the source's depth, or is asked for."""
    deep = getattr(header, "deep", False) and not args.enhance and args.scale is None
    return image_files.dtype(image_format, args.depth or (16 if deep else 8), bool(args.depth))


def _part(
    args: argparse.Namespace, job: Job, image_format: str, what: dict[str, Any], told: Record
) -> Decoded:
    """Return the same of a part of the picture, reading no more of the file than that needs."""
    from . import container, inputs

    with (
        files.open_source(job.source) as source,
        inputs.opened(source) as file,
        bars.of_image(args),
    ):
        header = inputs.read_header(inputs.piece(file, container.HEADER_SIZE))
        file.seek(0)
        pixels = decode(file, **what, model=args.model, dtype=_dtype(args, header, image_format))
        size = file.seek(0, os.SEEK_END)
        found = _leading(file)
    return records.record(job, header, size, 0) | told, pixels, found


def _leading(file: Any) -> Metadata:
    """Return the metadata before the first tile."""
    from . import container, inputs, metadata_sections

    file.seek(0)
    header = inputs.read_header(file.read(container.HEADER_SIZE))
    file.seek(0)
    if not isinstance(header, container.Header):
        return metadata_sections.Metadata()
    return metadata_sections.unpack(container.read_leading(file)[1])
