"""What a file can ask for: time and memory by the size in its header and the payloads it has."""

import random
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from npeg import codec, container
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.errors import NpegError
from npeg.sections import ALPHA, EXACT, RESIDUAL, TILE

SIDE = 128
RATIO = 1.5  # of the worst file's time to a photograph's of the same sections
TRIES = 5


def files(photo: Pixels) -> dict[str, bytes]:
    """Return files of a photograph with each set of sections that a tile may have."""
    part = np.tile(photo, (2, 1, 1))[:SIDE, :SIDE]
    alpha = np.dstack([part, part[::-1, :, 0]])
    quick, exactly = EncoderOptions(effort=0), EncoderOptions(lossless=True)
    networks = codec.encode_pixels(part, 150, quick)
    return {
        "networks": networks,
        "residual": both(networks, codec.encode_pixels(part, 200, quick)),
        "exact": codec.encode_pixels(part, 200, exactly),
        "alpha": codec.encode_pixels(alpha, 150, quick),
    }


def both(networks: bytes, alone: bytes) -> bytes:
    """Return a file with the networks' section of one and the residual of another."""
    header, (first,) = container.read_tiles(networks)
    _, (second,) = container.read_tiles(alone)
    parts = {TILE: first[TILE], RESIDUAL: second[RESIDUAL]}
    return container.write(replace(header, level=200, networks=header.level), [parts])


SECTIONS = {
    "networks": {TILE},
    "residual": {TILE, RESIDUAL},
    "exact": {EXACT},
    "alpha": {TILE, ALPHA},
}


def forged(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield files of the same size and sections whose payloads say other things."""
    header, (parts,) = container.read_tiles(data)
    for kind, payload in filter(lambda part: part[1], parts.items()):
        for count in (1, 3, 30):
            changed = bytearray(payload)
            for _ in range(count):
                changed[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
            yield container.write(header, [parts | {kind: bytes(changed)}])
        noise = payload[:2] + rng.randbytes(2 * len(payload))
        yield container.write(header, [parts | {kind: noise}])
        yield container.write(header, [parts | {kind: payload[:16]}])
    for level in (0, 100, 200):
        yield container.write(replace(header, level=level), [parts])


def decoding_s(data: bytes) -> float:
    """Return the processor time of decoding, or of refusing."""
    started = time.process_time()
    with suppress(NpegError):
        codec.decode_pixels(data)
    return time.process_time() - started


@pytest.mark.parametrize("kind", SECTIONS)
def test_the_worst_file_takes_not_much_longer_than_a_photograph(kind, photo):
    data = files(photo)[kind]
    parts = container.read_tiles(data)[1][0]
    assert set(parts) == SECTIONS[kind]
    assert all(parts.values())
    bad = list(forged(data, random.Random(3)))
    usual = min(decoding_s(data) for _ in range(TRIES))
    worst = max(bad, key=decoding_s)
    slowest = min(decoding_s(worst) for _ in range(TRIES))  # what is by chance is not it
    assert slowest < RATIO * usual + 0.003, (slowest, usual)


def peak_bytes(data: bytes) -> int:
    """Return the most memory that Python and NumPy had while a bad file was refused."""
    tracemalloc.start()
    try:
        with pytest.raises(NpegError):
            codec.decode_pixels(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_nothing_is_allocated_for_more_pixels_than_payloads_are_there_for(photo):
    header, (parts,) = container.read_tiles(codec.encode_pixels(photo[:64, :64], 50))
    for side, tile_size in ((12_000, 2048), (12_000, 64), (1024, 64)):
        large = replace(header, width=side, height=side, tile_size=tile_size)
        tiles = -((-side // tile_size) ** 2)
        data = container.write(large, [parts] * min(tiles - 1, 3))
        assert peak_bytes(data) < 200_000 + 50 * len(data), (side, tile_size)


def test_a_first_tile_that_is_no_tile_is_refused_before_the_picture_gets_memory(photo):
    header, _ = container.read_tiles(codec.encode_pixels(photo[:64, :64], 50))
    large = replace(header, width=12_000, height=12_000, tile_size=2048)
    data = container.write(large, [{TILE: b"\0" * 40}] * large.tiles)
    assert peak_bytes(data) < 60_000_000  # of 432 MB that the picture takes, and of one tile's 12
