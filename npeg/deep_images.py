"""Images of more than 8 bits a sample, which Pillow cuts where it has no mode for them.

Enters: a Pillow image whose pixels are not loaded yet. Leaves: its samples, uint16, or none where
they cannot be had, with a warning that says what is cut.

Pillow has modes for deep grey alone. Of deep colours its decoders keep one byte of a sample, that
which the raw mode says is the first: read in either byte order, a file gives both. AVIF and
JPEG 2000 are read by imagecodecs, other TIFF files by tifffile, where these are installed.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from PIL.ImageFile import ImageFile

from . import depth
from .errors import InputError, warn

TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_PLANES = 258, 262, 284  # tags of TIFF
WHITE_IS_ZERO, APART = 0, 2  # values of the last two
ORDERS = {"B": "big", "L": "little", "N": sys.byteorder}  # of bytes, in raw modes
OTHER = {"big": "L", "little": "B"}
FLOATS = 32  # bits a sample of mode F
PNM_MOST = 255  # largest sample of 8 bits
MOST_OFF = 2  # levels by which two decoders of a picture differ


Reader = Callable[[bytes, ImageFile, int], NDArray[Any] | None]
"""Takes a file, the image that Pillow has opened of it, and its bits a sample."""


class Deep(NamedTuple):
    """Samples of an image, (H, W) or (H, W, 2..4) with alpha last, and their bits in the source."""

    samples: NDArray[np.uint16]
    bits: int


def bits_of(image: Image.Image, stated: int) -> int:
    """Return how many bits a sample of an image has, also where Pillow would cut them to 8.

    Args:
        image: not loaded yet.
        stated: by the head of the file, if that is read otherwise.
    """
    if image.mode == "F":
        return FLOATS
    bits = max(_tiff_bits(image), stated)
    if bits == 8 and (image.mode == "I" or image.mode.startswith("I;16")):
        return 16
    for tile in getattr(image, "tile", ()):
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        raw_mode = next((arg for arg in args if isinstance(arg, str)), "")
        deep_raw = ";16" in raw_mode and not raw_mode.startswith("BGR")  # that one is 5+6+5 bits
        largest = max((arg for arg in args if isinstance(arg, int)), default=0)
        if deep_raw or (tile.codec_name.startswith("ppm") and largest > PNM_MOST):
            bits = max(bits, 16)
    return bits


def read(image: Image.Image, bits: int) -> Deep | None:
    """Return the samples of an image of more than 8 bits; None: they can be had as 8 bits alone.

    Args:
        image: not loaded yet; its pixels are not looked at where a file can be read again.
        bits: by `bits_of`.

    Raises:
        InputError: its numbers are none from 0 to full.

    Warns:
        UserWarning: they are cut to 8 bits, and why.
    """
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        return _of_mode(image, bits)
    data = _file_of(image)
    found, needed = None, ""
    if data is not None and isinstance(image, ImageFile):
        reader, needed = READERS.get(image.format or "", (None, ""))
        found = reader(data, image, bits) if reader else None
    if found is None:
        hint = f": {needed} reads them whole" if needed and data is not None else ""
        warn(f"{bits} bits a sample are cut to 8{hint}")
        return None
    return Deep(depth.widened(found, bits), bits)


def _of_mode(image: Image.Image, bits: int) -> Deep:
    """Return the samples of deep grey, which Pillow keeps.

    Raises:
        InputError: the file is damaged, or its numbers are none from 0 to full.
    """
    try:
        values = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything
        reason = str(error) or type(error).__name__
        raise InputError(f"found a damaged {image.format} image: {reason}") from error
    if image.mode == "F":
        return _keyed(Deep(depth.of_floats(values), 16), image)
    if image.mode == "I":
        low, high = int(values.min()), int(values.max())
        if not 0 <= low <= high <= depth.FULL:
            found = f"found integers from {low} to {high}"
            raise InputError(f"{found}, expected 0 to {depth.FULL}: scale them first")
        return _keyed(Deep(values.astype(np.uint16), 16), image)
    samples, bits = values.astype(np.uint16), min(bits, 16)
    if image.format == "JPEG2000":  # whose samples Pillow has shifted up
        samples >>= 16 - bits
    deep = Deep(depth.widened(samples, bits), bits)
    if getattr(image, "tag_v2", {}).get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO:
        deep = deep._replace(samples=depth.FULL - deep.samples)
    return _keyed(deep, image)


def _keyed(deep: Deep, image: Image.Image) -> Deep:
    """Return samples with alpha where one colour is transparent, as tRNS of PNG says."""
    key = image.info.get("transparency")
    if image.format != "PNG" or key is None or isinstance(key, bytes):
        return deep
    samples = deep.samples
    stack = samples[..., None] if samples.ndim == 2 else samples
    seen = (stack != np.array(key, np.uint16)).any(axis=2)
    return deep._replace(samples=np.dstack([samples, seen * np.uint16(depth.FULL)]))


def _tiff_bits(image: Image.Image) -> int:
    return max(getattr(image, "tag_v2", {}).get(TIFF_BITS) or (8,))


def _file_of(image: Image.Image) -> bytes | None:
    """Return the whole file of an image that is not loaded yet."""
    file = getattr(image, "fp", None)
    if file is None or not getattr(image, "tile", None):
        return None
    try:
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
    except (OSError, ValueError):
        return None
    return bytes(data)


# --- formats, each to samples as they are in the file ---


def _of_png(data: bytes, image: ImageFile, _: int) -> NDArray[Any] | None:
    """Return the samples of a 16-bit PNG file."""
    raw_mode = image.tile[0].args
    if raw_mode == "LA;16B":  # Pillow has no other order of it: four bytes a pixel are RGBA, too
        both = _as_raw(data, image, "RGBA", "RGBA")
        return np.asarray(both[..., ::2].astype(np.uint16) << 8 | both[..., 1::2])
    found = _in_both_orders(data, image, str(raw_mode))
    return None if found is None else _keyed(Deep(found, 16), image).samples


def _of_tiff(data: bytes, image: ImageFile, _: int) -> NDArray[Any] | None:
    """Return the samples of a deep TIFF file.

    Raises:
        InputError: its planes follow each other, which Pillow reads wrong, and tifffile is missing.
    """
    args = image.tile[0].args
    raw_mode = str(args[0] if isinstance(args, tuple) else args)
    if getattr(image, "tag_v2", {}).get(TIFF_PLANES) != APART:
        return _in_both_orders(data, image, raw_mode)
    number, found = image.tell(), None
    if _has("tifffile") and image.mode in ("RGB", "RGBA"):
        found = _attempt(lambda: _tifffile(data, number))
    if (
        found is None
        or found.dtype != np.uint16
        or found.shape != (*image.size[::-1], len(image.mode))
    ):
        raise InputError("found planes of 16 bits one after another, which tifffile alone reads")
    return np.asarray(found)


def _tifffile(data: bytes, number: int) -> NDArray[Any]:
    """Return a page of a TIFF file of planes."""
    page = import_module("tifffile").TiffFile(io.BytesIO(data)).pages[number]
    return np.moveaxis(page.asarray(), 0, -1)


def _in_both_orders(data: bytes, image: ImageFile, raw_mode: str) -> NDArray[np.uint16] | None:
    """Return 16-bit samples of colours that Pillow reads in either order of bytes."""
    mode, _, rest = raw_mode.partition(";16")
    if mode not in ("RGB", "RGBA") or rest not in ORDERS:
        return None
    high = _as_raw(data, image, mode, raw_mode)
    low = _as_raw(data, image, mode, f"{mode};16{OTHER[ORDERS[rest]]}")
    return np.asarray(high.astype(np.uint16) << 8 | low, np.uint16)


def _as_raw(data: bytes, image: ImageFile, mode: str, raw_mode: str) -> NDArray[np.uint8]:
    """Return the pixels of a file read by another raw mode than the one that it says.

    Raises:
        InputError: the file is damaged.
    """
    try:
        again = type(image)(io.BytesIO(data))
        again.seek(image.tell())
        again._mode = mode
        again.tile = [
            tile._replace(args=_with_raw_mode(tile.args, raw_mode)) for tile in again.tile
        ]
        if isinstance(again, PngImagePlugin.PngImageFile):
            again.info.pop("transparency", None)
        again.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise almost anything
        raise InputError(f"found a damaged {image.format} image: {error}") from error
    return np.asarray(again)


def _with_raw_mode(args: Any, raw_mode: str) -> Any:
    return (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode


def _of_pnm(data: bytes, image: ImageFile, _: int) -> NDArray[Any] | None:
    """Return the samples of a PPM file of colours, scaled to 16 bits."""
    tile = image.tile[0]
    assert isinstance(tile.args, tuple)
    most = int(tile.args[1])
    body = data[tile.offset :]
    if tile.codec_name == "ppm_plain":
        lines = (line.partition(b"#")[0] for line in body.splitlines())
        values = np.array(b" ".join(lines).split(), np.int64)
    else:
        values = np.frombuffer(body[: len(body) // 2 * 2], ">u2").astype(np.int64)
    count = image.width * image.height * 3
    if len(values) < count or values[:count].max() > most or values[:count].min() < 0:
        raise InputError(
            f"found a damaged PPM image: {len(values)} samples up to {most} of {count}"
        )
    shape = image.height, image.width, 3
    return ((values[:count] * depth.FULL + most // 2) // most).astype(np.uint16).reshape(shape)


def _by_imagecodecs(name: str) -> Reader:
    """Return what reads files by a function of imagecodecs."""

    def reader(data: bytes, image: ImageFile, bits: int) -> NDArray[Any] | None:
        if not _has("imagecodecs") or bits > 16:
            return None
        decode = getattr(import_module("imagecodecs"), name)
        return _if_samples(_attempt(lambda: decode(data)), image, bits)

    return reader


def _if_samples(found: NDArray[Any] | None, image: Image.Image, bits: int) -> NDArray[Any] | None:
    """Return what another package has read if it is what Pillow has, but for the last bits."""
    if found is None or found.dtype != np.uint16:
        return None
    known = np.asarray(image)
    if found.ndim == 2 and known.ndim == 3:
        found = np.repeat(found[..., None], known.shape[2], axis=2)
    if found.shape != known.shape:
        return None
    error = np.abs(depth.as_type(depth.widened(found, bits), np.uint8).astype(np.int16) - known)
    return found if error.max() <= MOST_OFF else None


def _attempt(function: Callable[[], Any]) -> Any:
    """Return what a function of another package returns; None where it fails: Pillow goes on."""
    try:
        return function()
    except MemoryError:
        raise
    except Exception:  # they raise almost anything
        return None


def _has(package: str) -> bool:
    try:
        import_module(package)
    except ImportError:
        return False
    return True


READERS: dict[str, tuple[Reader, str]] = {
    "PNG": (_of_png, ""),
    "TIFF": (_of_tiff, ""),
    "PPM": (_of_pnm, ""),
    "AVIF": (_by_imagecodecs("avif_decode"), "imagecodecs"),
    "JPEG2000": (_by_imagecodecs("jpeg2k_decode"), "imagecodecs"),
}
"""Of each format what reads it, and the package that it needs."""
