"""npeg: a neural image codec.  Images go in, small .npeg files come out, and back.

Importing it costs a few milliseconds: NumPy and ONNX Runtime are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import NpegError

if TYPE_CHECKING:
    import os
    from mmap import mmap
    from typing import IO

    import numpy as np
    from numpy.typing import DTypeLike, NDArray
    from PIL.Image import Image

    from .container import Info
    from .dither.container import Info as DitherInfo
    from .metadata_sections import Metadata

    Buffer = bytes | bytearray | memoryview | mmap | NDArray[np.uint8]
    Source = str | os.PathLike[str] | IO[bytes] | Buffer

__version__ = "0.1.0"
__all__ = [
    "NpegError",
    "__version__",
    "decode",
    "encode",
    "info",
    "metadata",
    "register",
    "thumbnail",
]


def encode(
    image: Image | NDArray[Any] | Source,
    quality: float = 75,
    *,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    ssimulacra2: float | None = None,
    effort: int = 1,
    tune: str = "visual",
    codec: str = "npeg",
    metadata: Metadata | None = None,
    strip: bool = False,
    lossless: bool = False,
    alpha_quality: float = 100,
    background: str | None = None,
    model: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
) -> bytes:
    """Encode an image into the bytes of a .npeg file, at a quality or at an exact target.

    Args:
        image: pixels (H, W, 3), or grey ones (H, W) or (H, W, 1), or with alpha, (H, W, 4) or
            (H, W, 2), uint8, uint16 or floats from 0 to 1, of any memory layout; a Pillow image; or
            an image file: a path, a file object, or a buffer of its bytes.  What is no array is
            turned upright as its EXIF says; RGB stays in its colour space and the file gets the ICC
            profile, other colours are converted to sRGB.
        quality: 0 (smallest file) to 100 (best image), in steps of 0.5.
        bpp: instead of quality: at most this many bits of the whole file a pixel.
        size: instead of quality: at most this many bytes.
        psnr: instead of quality: the smallest file of at least this RGB PSNR in dB.
        ssimulacra2: instead of quality: the smallest file of at least this SSIMULACRA2 score, at
            most 100; needs the packages of `npeg[bench]`.
        effort: 0, or 1 for a smaller file at equal quality in over twice the time.
        tune: visual for the smallest file that looks as good, psnr for the least squared error.
        codec: npeg, or a binary autoencoder of the teaching program: dither (one rate, whatever
            the quality) or dither8; these take no targets and carry no metadata.
        metadata: in place of the image's own, such as `npeg.metadata` returns.
        strip: leave out all metadata but the colour profile.
        lossless: every pixel comes back as it was, alpha too; takes no target.
        alpha_quality: 100 keeps alpha as it is, less makes it smaller, down to 16 levels at 0.
        background: a colour, such as white or #rrggbb, that transparent images are put in front of.
        model: folder of a model of your own, by `npeg export`, or its name where NPEG_MODELS leads;
            with the tune that it was trained for.
        max_pixels: refuse more pixels than these; by default NPEG_MAX_PIXELS of the environment,
            else 178956970, twice Pillow's `Image.MAX_IMAGE_PIXELS`.

    Returns:
        The bytes of the file.

    Raises:
        NpegError: the image or an argument is not usable, the image is too large, or no quality
            reaches the target.

    Warns:
        UserWarning: something of the image is converted, cut or not stored.
    """
    from . import encoding, limits
    from .encoder_rule import EncoderOptions
    from .targets import Target

    target = Target(quality, bpp, size, psnr, ssimulacra2)
    options = EncoderOptions(
        effort, tune, lossless=lossless, alpha_quality=alpha_quality, model=model
    )
    with limits.at_most(max_pixels):
        return encoding.encode(
            image, target, options, codec, metadata, strip, background=background
        )


def decode(
    data: Source,
    *,
    region: tuple[int, int, int, int] | None = None,
    scale: float = 1,
    partial: bool = False,
    dtype: DTypeLike = "uint8",
    model: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
) -> NDArray[Any]:
    """Decode a .npeg file, a region of its image, a small picture, or what has arrived of it.

    Args:
        data: a path, a file object opened in binary mode, or any buffer of the file's bytes.
        region: left, top, width and height in pixels of a rectangle inside the image.  Of a path
            or a file object that can seek, only what it needs is read, and verified.
        scale: 1/4, 1/8 or 1/16 for an image of that size, its sides rounded up, from the first
            bytes of the file and by a matrix in place of the synthesis.
        partial: whether the file may be cut. What has not arrived is guessed from what has, or is
            grey; alpha that has not is opaque.
        dtype: "uint8", "uint16" or "float32" from 0 to 1.  The last two have what the file says
            beyond 8 bits; a file of 8 bits lossless says nothing beyond, one of the networks does.
        model: folder of the model that the file names, where it is not a shipped one; those below
            NPEG_MODELS of the environment are found by themselves.
        max_pixels: refuse more pixels than these, of what is returned; by default
            NPEG_MAX_PIXELS of the environment, else 178956970.

    Returns:
        Pixels, C-contiguous, RGB (H, W, 3) or grey (H, W), with alpha (H, W, 4) or (H, W, 2)
        where something is transparent.  RGB is sRGB unless
        `npeg.metadata` has an ICC profile for it.

    Raises:
        NpegError: the bytes are not a valid file, or this version of npeg cannot read it.

    Warns:
        UserWarning: the file is cut, and may be.
    """
    from . import encoding, limits, own_models

    with limits.at_most(max_pixels), own_models.also(model):
        return encoding.decode(data, region, scale, partial, dtype)


def thumbnail(
    data: Source,
    size: int | tuple[int, int] = 256,
    *,
    model: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
) -> NDArray[np.uint8]:
    """Return a small picture of a .npeg file, from its first bytes where that is enough.

    Args:
        data: a path, a file object opened in binary mode, or any buffer of the file's bytes.
        size: the most pixels of the longer side, or the width and the height of a box.
        model: as for `npeg.decode`.
        max_pixels: as for `npeg.decode`.

    Returns:
        uint8 pixels, C-contiguous, with the channels that `npeg.decode` returns; not enlarged.

    Raises:
        NpegError: the bytes are not a valid file, or the size is none.
    """
    from . import encoding, limits, own_models

    with limits.at_most(max_pixels), own_models.also(model):
        return encoding.thumbnail(data, size)


def info(data: Source) -> Info | DitherInfo:
    """Verify the structure and every CRC-32 of a .npeg file; no pixels are decoded.

    Args:
        data: a path, a file object opened in binary mode, or any buffer of the file's bytes.

    Returns:
        `header` (width and height in pixels, channels, alpha, quality, model_id, ...), `sections`,
        `lossless` and `exact_tiles`, `metadata` (names of what is there), `size_bytes` and
        `rate_bpp`; the header of a dither file has `variant` and `planes` in place of `model_id`.

    Raises:
        NpegError: the bytes are not a valid file.
    """
    from . import encoding

    return encoding.info(data)


def metadata(data: Source) -> Metadata:
    """Return what a .npeg file says beside its pixels; no pixels are decoded.

    Args:
        data: a path, a file object opened in binary mode, or any buffer of the file's bytes.

    Returns:
        `icc_profile`, `exif`, `xmp`, `iptc`, `comment` (bytes), `dpi` and `text`; empty where the
        file has none.

    Raises:
        NpegError: the bytes are not a valid file.
    """
    from . import encoding

    return encoding.metadata(data)


def register() -> None:
    """Teach Pillow to open and save .npeg files; calling it again changes nothing."""
    from . import NpegImagePlugin

    NpegImagePlugin.register()
