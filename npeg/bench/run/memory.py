"""Peak memory of a codec: one encoding, and one decoding, each in a new process of its own.

Enters: a point. Leaves: MiB of resident memory over what the process had before it loaded the
codec. Only Linux tells a process its own peak apart from its parent's.
"""

from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import PIL.Image  # noqa: F401  # so that each process begins alike, whatever imports this

from npeg.arrays import Pixels
from npeg.bench.codecs import find_codec
from npeg.bench.codecs.contract import Codec
from npeg.bench.run.measure import new_pool, verify
from npeg.bench.run.store import Memory, Point
from npeg.errors import NpegError

Made = TypeVar("Made", bytes, Pixels)

PROCESS = Path("/proc/self")


def missing() -> str | None:
    """Return why peak memory cannot be measured here, or None if it can."""
    status = PROCESS / "status"
    known = status.exists() and "VmHWM" in status.read_text()
    return None if known else "it is read from /proc/self/status, which Linux has"


def memory_of_point(point: Point, machine: str) -> Memory:
    """Return the peak memory of a point's encoding and decoding; what comes back is verified.

    Raises NpegError if a process dies, and whatever the codec does.
    """
    image = point.photo.pixels()
    codec = point.codec, point.threads
    data, encode_mib = _in_new_process(_encode, *codec, image, point.quality)
    decoded, decode_mib = _in_new_process(_decode, *codec, data)
    verify(find_codec(*codec), image, decoded)
    return Memory(machine, encode_mib, decode_mib)


def _encode(spec: str, threads: int, image: Pixels, quality: float) -> tuple[bytes, float]:
    return _weigh(spec, threads, lambda codec: codec.encode(image, quality))


def _decode(spec: str, threads: int, data: bytes) -> tuple[Pixels, float]:
    return _weigh(spec, threads, lambda codec: codec.decode(data))


def _weigh(spec: str, threads: int, work: Callable[[Codec], Made]) -> tuple[Made, float]:
    """Do a codec's work; return what it made, and the MiB by which this process has grown."""
    with suppress(OSError):  # forget the peak so far; not every container lets us
        (PROCESS / "clear_refs").write_text("5")
    before = _status_mib("VmRSS")
    made = work(find_codec(spec, threads))
    return made, _status_mib("VmHWM") - before


def _status_mib(key: str) -> float:
    lines = (PROCESS / "status").read_text().splitlines()
    (value,) = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
    return int(value) / 1024


def _in_new_process(
    function: Callable[..., tuple[Made, float]], *args: object
) -> tuple[Made, float]:
    with new_pool(1) as pool:
        try:
            return pool.submit(function, *args).result()
        except BrokenProcessPool:
            raise NpegError("the process died") from None
