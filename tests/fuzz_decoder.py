"""Fuzz the decoder: mutated files behind right checksums give an image or an NpegError.

    python tests/fuzz_decoder.py --minutes 10

Anything else is printed with the file's bytes in hex: keep it as a test in test_codec.py.
"""

import argparse
import io
import random
import resource
import time
import traceback
import warnings

import numpy as np
from numpy.typing import NDArray

from npeg import codec, container, icc, latents, metadata_sections, regions, sections, thumbnails
from npeg.encoder_rule import EncoderOptions
from npeg.errors import NpegError


def seeds() -> list[bytes]:
    """Return small valid files: colour and grey, one tile and several, low and high quality."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 70, 3), dtype=np.uint8)
    smooth = np.linspace(0, 255, 130 * 100).reshape(130, 100).astype(np.uint8)
    return [
        *in_layers(np.dstack([colour, smooth[: len(colour), : colour.shape[1]]])),
        codec.encode_pixels(colour, 30),
        codec.encode_pixels(colour, 200),
        codec.encode_pixels(smooth, 100, EncoderOptions(tile_size=64)),
        codec.encode_pixels(smooth[:1, :1], 0),
        codec.encode_pixels(np.repeat(smooth[:20, :20, None], 3, axis=2), 60),  # neutral
        codec.encode_pixels(np.dstack([colour, smooth[: len(colour), : colour.shape[1]]]), 60),
        codec.encode_pixels(smooth, 200, EncoderOptions(tile_size=64, lossless=True)),
        codec.encode_pixels(colour, 200, EncoderOptions(lossless=True)),
        codec.encode_pixels(colour // 64, 200, EncoderOptions(lossless=True)),
        metadata_sections.insert(codec.encode_pixels(colour, 30), everything(), 20),
    ]


def in_layers(pixels: NDArray[np.uint8]) -> list[bytes]:
    """Return files of one tile and of two, with alpha or a residual, whose latents are layers."""
    before, latents.LAYERED = latents.LAYERED, 0
    try:
        return [
            codec.encode_pixels(pixels, 100),
            codec.encode_pixels(pixels[..., :3] // 3 + 70, 196, EncoderOptions(tile_size=64)),
        ]
    finally:
        latents.LAYERED = before


def everything() -> bytes:
    """Return a section of each type of metadata."""
    texts = (metadata_sections.Text("Title", "t" * 99, "en", "Titel"),) * 2
    metadata = metadata_sections.Metadata(
        icc.profile(icc.SRGB, 1.8), b"II*\0" + bytes(40), b"<x/>", b"\x1c", (72, 72), b"c", texts
    )
    return metadata_sections.pack(metadata)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change payloads or the header at random, then mend the checksums, or not."""
    if rng.random() < 0.15:
        damaged = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        return bytes(damaged[: rng.randint(0, len(damaged))])
    header, every = container.read_sections(data)
    tiles = container.read_tiles(data)[1]
    metadata = [(kind, payload) for kind, payload in every if kind not in sections.PARTS]
    fields = vars(header) | {}
    if rng.random() < 0.5:
        name = rng.choice(["level", "width", "height", "tile_size", "channels"])
        choices = {
            "level": range(201),
            "channels": (1, 3),
            "tile_size": range(64, 2049, 64),
        }
        fields[name] = rng.choice(choices.get(name, range(1, 300)))
        fields["neutral"] = fields["channels"] == 3 and rng.random() < 0.5
    changed = container.Header(**fields)
    payloads = [
        {
            kind: mutate_payload(payload, rng)
            for kind, payload in rng.choice(tiles).items()
            if rng.random() < 0.97
        }
        for _ in range(changed.tiles)
    ]
    mutated = b"".join(
        sections.pack_section(rng.choice([kind, kind, b"q", b"k"]), mutate_payload(payload, rng))
        for kind, payload in rng.sample(metadata, rng.randint(0, len(metadata)))
    )
    file = container.write(changed, payloads)
    return metadata_sections.insert(file, mutated, container.HEADER_SIZE)


def mutate_payload(payload: bytes, rng: random.Random) -> bytes:
    """Flip bits, cut, repeat or replace the bytes of one payload."""
    damaged = bytearray(payload)
    for _ in range(rng.choice([0, 1, 1, 2, 5, 30])):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    kind = rng.random()
    if kind < 0.15:
        return bytes(damaged[: rng.randint(0, len(damaged))])
    if kind < 0.25:
        return bytes(damaged + damaged)
    if kind < 0.35:
        return rng.randbytes(rng.randint(0, 400))
    return bytes(damaged)


def look_at_parts(data: bytes, rng: random.Random) -> None:
    """Decode a small picture, a pixel, or what is in front of a cut."""
    kind = rng.randrange(3)
    if kind == 0:
        thumbnails.decode(io.BytesIO(data), rng.choice(thumbnails.FACTORS))
    elif kind == 1:
        regions.decode(io.BytesIO(data), (0, 0, 1, 1))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codec.decode_pixels(data[: rng.randint(0, len(data))], partial=True)


def main() -> None:
    """Run for the given time; exit with status 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, pool, deadline = random.Random(args.seed), seeds(), time.monotonic() + 60 * args.minutes
    images = refusals = findings = 0
    slowest = 0.0
    while time.monotonic() < deadline:
        data = mutate(rng.choice(pool), rng)
        started = time.monotonic()
        try:
            metadata_sections.read(data)
            if rng.random() < 0.6:
                codec.decode_pixels(data)
            else:
                look_at_parts(data, rng)
            images += 1
        except NpegError:
            refusals += 1
        except BaseException:
            findings += 1
            traceback.print_exc()
            print(data.hex(), flush=True)
        slowest = max(slowest, time.monotonic() - started)
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{images} images, {refusals} refused, {findings} findings; slowest {slowest:.2f} s, "
          f"peak memory {peak_mib:.0f} MiB")  # fmt: skip
    raise SystemExit(findings > 0)


if __name__ == "__main__":
    main()
