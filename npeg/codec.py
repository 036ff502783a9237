"""Samples to a .npeg file and back: encode and decode, facing each other.

Enters or leaves: pixels, (H, W, 3) RGB, (H, W) grey or these with alpha, (H, W, 4) and (H, W, 2),
uint8 or uint16, and the bytes of a file.
"""

from collections.abc import Iterator

from . import container, decoder, encoder, limits, own_models
from .arrays import Samples
from .decoder import Decoded
from .encoder_rule import DEFAULT, EncoderOptions
from .errors import FormatError, warn
from .sections import Parts
from .tiles import tiles_of


def encode_pixels(pixels: Samples, level: int, options: EncoderOptions = DEFAULT) -> bytes:
    """Encode an image into a .npeg file.

    Args:
        pixels: uint8 or uint16, (H, W, 3) sRGB or (H, W) grey, or with alpha (H, W, 4), (H, W, 2).
        level: twice the quality, 0..200.
        options: how hard to try, and for what.

    Returns:
        The bytes of the file.

    Raises:
        LimitError: the image is too large.
        InputError: not such an array, or the level is out of range.
    """
    with own_models.also(options.model):
        header = encoder.header_for(pixels, level, options)
        parts = [tile.parts for tile in encoder.encode(pixels, header, options)]
    return container.write(encoder.settled(header, parts), parts)


def decode_pixels(data: bytes, deep: bool = False, partial: bool = False) -> Samples:
    """Decode a .npeg file.

    Args:
        data: the bytes of a whole file.
        deep: whether uint16 samples are wanted in place of uint8.
        partial: whether the file may be cut: what has not arrived is guessed or grey, with a
            warning.

    Returns:
        Samples, (H, W, 3) sRGB or (H, W) grey, or with alpha (H, W, 4) or (H, W, 2).

    Raises:
        FormatError: the bytes are not a valid file, or need a model that is not there.
        LimitError: more pixels than `limits` allows.
    """
    header = container.read_header(data)
    limits.check(header.width, header.height)
    if partial:
        return _decode_arrived(data, deep)
    header, parts = container.read_tiles(data)
    places = zip(parts, tiles_of(header), strict=True)
    return decoder.assemble((decoder.read(*tile, header) for tile in places), header, deep)


def _decode_arrived(data: bytes, deep: bool) -> Samples:
    """Decode what has arrived of a file; warn if that is not all."""
    header, parts, whole = container.read_arrived(data)
    if not parts:
        raise FormatError(f"truncated: {len(data)} bytes, in which no part of the picture is whole")
    if not whole:
        warn(f"the file is cut after {len(data)} bytes: what is missing of the picture is guessed")
    places = enumerate(tiles_of(header))
    found = (decoder.read_arrived(parts.get(n, {}), place, header) for n, place in places)
    return decoder.assemble(found, header, deep)


def encode_with_reconstruction(
    pixels: Samples, level: int, options: EncoderOptions = DEFAULT
) -> tuple[bytes, Samples]:
    """Encode an image; return the file and what `decode_pixels` makes of it on this machine."""
    parts: list[Parts] = []

    def decoded() -> Iterator[Decoded]:
        for tile in encoder.encode(pixels, header, options):
            parts.append(tile.parts)
            yield tile.decoded

    with own_models.also(options.model):
        header = encoder.header_for(pixels, level, options)
        found = decoder.assemble(decoded(), header, header.deep)
    return container.write(encoder.settled(header, parts), parts), found
