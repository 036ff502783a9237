"""npeg: a neural image codec.  Images go in, small .npeg files come out, and back.

Importing it costs a few milliseconds: NumPy and ONNX Runtime are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import NpegError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from .container import Info
    from .dither.container import Info as DitherInfo

__version__ = "0.1.0"
__all__ = ["NpegError", "__version__", "decode", "encode", "info", "register"]


def encode(
    image: Image | NDArray[np.uint8],
    quality: float = 75,
    *,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    effort: int = 1,
    tune: str = "visual",
    codec: str = "npeg",
) -> bytes:
    """Encode an image into the bytes of a .npeg file, at a quality or at an exact target.

    Args:
        image: a Pillow image of 8 bits a sample without transparent pixels, or uint8 sRGB pixels
            (H, W, 3), or grey ones (H, W) or (H, W, 1).  A Pillow image is turned upright as its
            EXIF says and its embedded ICC profile is converted to sRGB.
        quality: 0 (smallest file) to 100 (best image), in steps of 0.5.
        bpp: instead of quality: at most this many bits of the whole file a pixel.
        size: instead of quality: at most this many bytes.
        psnr: instead of quality: the smallest file of at least this RGB PSNR in dB.
        effort: 0, or 1 for a smaller file at equal quality in over twice the time.
        tune: visual for the smallest file that looks as good, psnr for the least squared error.
        codec: npeg, or a binary autoencoder of the teaching program: dither (one rate, whatever
            the quality) or dither8; these take no targets.

    Returns:
        The bytes of the file.

    Raises:
        NpegError: the image or an argument is not usable, the image is too large, or no quality
            reaches the target.

    Warns:
        UserWarning: something of a Pillow image is not stored: EXIF, XMP, further frames.
    """
    from . import targets
    from .pixels import to_pixels

    if codec != "npeg":
        from . import dither

        return dither.encode(to_pixels(image), codec, quality, (bpp, size, psnr))
    return targets.encode(
        to_pixels(image), quality, bpp=bpp, size=size, psnr=psnr, effort=effort, tune=tune
    )


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of a .npeg file.

    Args:
        data: the whole file.

    Returns:
        uint8 pixels, sRGB (H, W, 3) or grey (H, W).

    Raises:
        NpegError: the bytes are not a valid file, or this version of npeg cannot read it.
    """
    from . import codec, dither

    data = _as_bytes(data)
    return dither.decode(data) if dither.is_file(data) else codec.decode_pixels(data)


def info(data: bytes) -> Info | DitherInfo:
    """Verify the structure and every CRC-32 of a .npeg file; no pixels are decoded.

    Args:
        data: the whole file.

    Returns:
        `header` (width and height in pixels, channels, quality, model_id, ...), `sections`,
        `size_bytes` and `rate_bpp`; the header of a dither file has `variant` and `planes` in
        place of `model_id`.

    Raises:
        NpegError: the bytes are not a valid file.
    """
    from . import container, dither

    data = _as_bytes(data)
    return dither.info(data) if dither.is_file(data) else container.info(data)


def register() -> None:
    """Teach Pillow to open and save .npeg files; calling it again changes nothing."""
    from . import NpegImagePlugin

    NpegImagePlugin.register()


def _as_bytes(data: object) -> bytes:
    """Return bytes-like data as bytes: a path in its place is the likely mistake."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    from .errors import InputError

    raise InputError(f"found {type(data).__name__}, expected the bytes of a .npeg file")
