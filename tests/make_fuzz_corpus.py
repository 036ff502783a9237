"""Write the small files that fuzzing begins with: python tests/make_fuzz_corpus.py.

Each is a valid input of its target in `fuzz_targets.py`, of pixels made here. Files that fuzzing
has found worth keeping lie beside them; this script leaves those alone.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from npeg import codec, dither, entropy, exact, icc, latents, metadata_sections
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.networks import load

CORPUS = Path(__file__).parent / "fuzz_corpus"
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "TGA", "ICO")


def everything() -> bytes:
    """Return a section of each type of metadata."""
    texts = (metadata_sections.Text("Title", "t" * 99, "en", "Titel"),) * 2
    metadata = metadata_sections.Metadata(
        icc.profile(icc.SRGB, 1.8), b"II*\0" + bytes(40), b"<x/>", b"\x1c", (72, 72), b"c", texts
    )
    return metadata_sections.pack(metadata)


def in_layers(pixels: Pixels) -> dict[str, bytes]:
    """Return files of one tile and of two, with alpha or a residual, whose latents are layers."""
    before, latents.LAYERED = latents.LAYERED, 0
    try:
        tiles = EncoderOptions(tile_size=64)
        return {
            "layers-alpha": codec.encode_pixels(pixels, 100),
            "layers-tiles": codec.encode_pixels(pixels[:, :66, :3] // 3 + 70, 196, tiles),
        }
    finally:
        latents.LAYERED = before


def npeg_files() -> dict[str, bytes]:
    """Return small valid files: colour, grey and alpha, one tile and several, all sections."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (40, 70, 3), dtype=np.uint8)
    smooth = np.linspace(0, 255, 130 * 100).reshape(130, 100).astype(np.uint8)
    tiles, exactly = EncoderOptions(tile_size=64), EncoderOptions(lossless=True)
    alpha = np.dstack([colour, smooth[: len(colour), : colour.shape[1]]])
    return in_layers(alpha[:24]) | {
        "noise-q15": codec.encode_pixels(colour, 30),
        "residual-q100": codec.encode_pixels(colour[:24, :24] // 4, 200),
        "tiles-q50": codec.encode_pixels(smooth, 100, tiles),
        "pixel-q0": codec.encode_pixels(smooth[:1, :1], 0),
        "neutral-q30": codec.encode_pixels(np.repeat(smooth[:20, :20, None], 3, axis=2), 60),
        "alpha-q30": codec.encode_pixels(alpha, 60),
        "exact-tiles": codec.encode_pixels(
            smooth[:70, :70], 200, EncoderOptions(tile_size=64, lossless=True)
        ),
        "exact-palette": codec.encode_pixels(colour[:20, :20] // 64, 200, exactly),
        "deep-q30": codec.encode_pixels(colour[:16, :16].astype(np.uint16) * 257, 60),
        "deep-exact": codec.encode_pixels(smooth[:30, :40].astype(np.uint16) * 257, 200, exactly),
        "metadata-q15": metadata_sections.insert(
            codec.encode_pixels(colour[:8, :8], 30), everything(), 20
        ),
    }


def symbol_files() -> dict[str, bytes]:
    """Return payloads of one to three groups behind the bytes that say how many and how long."""
    tables, files = load().tables, {}
    for count in (1, 2, 3):
        head = bytes([30, 3, 50, count - 1])
        sizes = [31, 96, 200][:count]
        rng = np.random.default_rng(count)
        groups = []
        for size in sizes:
            symbols = np.rint(rng.laplace(0, 3, size) * rng.choice((1, 1, 400), size))
            groups.append((symbols.astype(np.int64), np.arange(size) * 7 % len(tables)))
        files[f"groups-{count}"] = head + entropy.encode(groups, tables, lanes=1 << count)
    return files


def exact_files() -> dict[str, bytes]:
    """Return payloads of exact pixels behind the bytes of their size."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    flat = np.full((12, 17, 3), 9, np.uint8)
    smooth = np.tile(np.arange(17, dtype=np.uint8)[:, None] * 9, (1, 12)).T[..., None]
    pictures = {"noise": noise, "few": noise // 100, "flat": flat, "smooth": smooth.repeat(3, 2)}
    found = {}
    for name, picture in pictures.items():
        found[f"{name}-rgb"] = bytes([11, 16, 1]) + exact.encode(picture)
        found[f"{name}-grey"] = bytes([11, 16, 0]) + exact.encode(picture[..., 0])
    return found


def dither_files() -> dict[str, bytes]:
    """Return files of both dither codecs."""
    pixels = np.random.default_rng(2).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    return {
        "dither": dither.encode(pixels[:9, :7], "dither", 75, ()),
        "dither8": dither.encode(pixels, "dither8", 40, ()),
        "dither8-grey": dither.encode(pixels[..., 0], "dither8", 90, ()),
    }


def image_files() -> dict[str, bytes]:
    """Return small pictures in formats that Pillow reads."""
    pixels, files = np.random.default_rng(3).integers(0, 256, (9, 11, 3), dtype=np.uint8), {}
    for image_format in FORMATS:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, image_format)
        files[image_format.lower()] = file.getvalue()
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "I;16"):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode).convert(mode)
            image.save(file, "TIFF")
        files[f"tiff-{mode.lower().replace(';', '-')}"] = file.getvalue()
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    Image.fromarray(pixels).save(file, "JPEG", exif=exif, comment=b"c", dpi=(72, 72))
    return files | {"jpeg-exif": file.getvalue()}


def main() -> None:
    """Write every file."""
    targets = {
        "npeg": npeg_files(),
        "entropy": symbol_files(),
        "exact": exact_files(),
        "dither": dither_files(),
        "image": image_files(),
    }
    for target, inputs in targets.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (CORPUS / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
