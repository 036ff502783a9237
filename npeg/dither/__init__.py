"""The dither codecs: binary code planes of the teaching networks, as real files.

Pixels enter, files leave, and back.  docs/spec-dither.md says what the bytes mean; `container`,
`context` and `coder` are its transcription, `codec` brings them together with the networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError
from .container import MAGIC, VARIANTS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .container import Header, Info

NAMES = tuple(variant.name for variant in VARIANTS.values())


def encode(
    pixels: NDArray[np.uint8],
    name: str,
    quality: float = 75,
    targets: tuple[float | None, ...] = (),
) -> bytes:
    """Encode uint8 pixels, (H, W, 3) sRGB or (H, W) grey.

    Args:
        pixels: the image.
        name: dither or dither8.
        quality: 0..100, how many planes are kept; dither always keeps all.
        targets: what a caller wants in place of a quality: none is there for these codecs.

    Raises:
        InputError: an argument is not usable.
        LimitError: the image is too large.
    """
    if name not in NAMES:
        raise InputError(f"codec is {name!r}, expected npeg, {' or '.join(NAMES)}")
    if any(target is not None for target in targets):
        raise InputError(f"found a target for {name}, which has none")
    from . import codec

    return codec.encode_pixels(pixels, name, quality)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of a dither file; see `npeg.decode`."""
    from . import codec

    return codec.decode_pixels(data)


def info(data: bytes) -> Info:
    """Verify and describe a dither file; see `npeg.info`."""
    from . import container

    return container.info(data)


def read_header(data: bytes) -> Header:
    """Parse and check the header of a dither file; later bytes are not looked at."""
    from . import container

    return container.read_header(data)


def is_file(data: bytes) -> bool:
    """Return whether the bytes begin as those of a dither file do."""
    return data[: len(MAGIC)] == MAGIC
