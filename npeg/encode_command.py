"""What `npeg encode` does: pictures in, .npeg files out, by a quality or a target.

Heavy modules are imported where they are used, so that `npeg --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from . import bars, batches, encode, files, image_files, more_formats, own_models, records
from .batches import NPEG
from .errors import InputError
from .files import STREAM
from .jobs import Job, Kind, Record

if TYPE_CHECKING:
    from PIL.Image import Image


def run(args: argparse.Namespace) -> int:
    """Encode files; what concerns all of them is checked once, before."""
    if args.codec == "dither" and args.quality is not None:
        raise InputError("found a quality for dither, which has one rate: leave -q out")
    if args.codec != "npeg":
        for name in ("effort", "tune", "model"):
            if getattr(args, name) is not None:
                raise InputError(f"found --{name} for {args.codec}, which has one: leave it out")
        if args.lossless or args.alpha_quality is not None:
            name = "--lossless" if args.lossless else "--alpha-quality"
            raise InputError(f"found {name} for {args.codec}, which has none")
        if args.ssimulacra2 is not None:
            raise InputError(f"found a target for {args.codec}, which takes none")
    if args.model is not None:
        own_models.find(args.model)
    pictures = image_files.extensions()
    refused = (*pictures, *more_formats.HEIF, *more_formats.JPEG_XL, *more_formats.RAW)
    suffix = "-1.npeg" if args.all_frames else ".npeg"
    kind = Kind(pictures, suffix, records.job_text, outputs=NPEG, refused=refused, known=NPEG)
    return batches.run(_encode_file, kind, args)


def _encode_file(args: argparse.Namespace, job: Job) -> Record:
    from . import inputs

    start = time.perf_counter()
    with files.open_source(job.source) as file:
        if args.all_frames or args.frame is not None:
            with image_files.open_image(file) as image:
                if args.all_frames:
                    return _encode_frames(args, job, image, start)
                if args.frame is not None:
                    image_files.seek(image, args.frame)
                with _knowing_frames(args.frame is not None):
                    data = _encoded(args, image)
        else:
            data = _encoded(args, file)  # whose pixels need not be in memory as an image, too
    batches.write(job, data, args)
    _warn_if_larger(job, len(data))
    return records.record(job, inputs.read_header(data), len(data), start)


def _encode_frames(args: argparse.Namespace, job: Job, image: Image, start: float) -> Record:
    """Write each frame or page to a file of its own."""
    from . import inputs

    if job.output == STREAM:
        raise InputError("found - as the output of all frames, expected a name for their files")
    outputs, sizes = [], []
    for number in range(1, image_files.frames(image) + 1):
        image_files.seek(image, number)
        output = f"{re.sub(r'(-1)?[.]npeg$', '', job.output)}-{number}.npeg"
        with _knowing_frames(True):
            data = _encoded(args, image)
        batches.write(job._replace(output=output), data, args)
        outputs.append(output)
        sizes.append(len(data))
    first, header = job._replace(output=outputs[0]), inputs.read_header(data)
    record = records.record(first, header, sum(sizes), start)
    record["rate_bpp"] = round(record["rate_bpp"] / len(outputs), 6)
    return record | {"outputs": outputs}


def _encoded(args: argparse.Namespace, image: Image | BinaryIO) -> bytes:
    """Return the .npeg file of an opened image or an image file, by a command's arguments."""
    quality = 75.0 if args.quality is None else args.quality
    effort, tune = 1 if args.effort is None else args.effort, args.tune or "visual"
    names = ("bpp", "size", "psnr", "ssimulacra2")
    target = {name: value for name in names if (value := getattr(args, name)) is not None}
    with bars.of_image(args, bool(target)):
        more = {"codec": args.codec, "strip": args.strip, "background": args.background}
        more |= {"lossless": args.lossless, "model": args.model}
        if args.alpha_quality is not None:
            more["alpha_quality"] = args.alpha_quality
        return encode(image, quality, **target, effort=effort, tune=tune, **more)


@contextmanager
def _knowing_frames(chosen: bool) -> Iterator[None]:
    """Do not warn of frames that are left out where the user has chosen."""
    with warnings.catch_warnings():
        if chosen:
            warnings.filterwarnings("ignore", message="one of .* frames is stored")
        yield


def _warn_if_larger(job: Job, size_bytes: int) -> None:
    """Say that a file has become larger than what it was made of."""
    with suppress(OSError):
        if os.path.isfile(job.source) and size_bytes > (before := os.path.getsize(job.source)):
            text = f"the output is larger, {size_bytes} bytes, than its source, {before} bytes"
            warnings.warn(text, UserWarning, stacklevel=2)
