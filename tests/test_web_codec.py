"""The codec in JavaScript beside the one in Python: the same symbols, pixels and errors."""

import json
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from conftest import info_of
from PIL import Image

import npeg
from npeg import (
    codec,
    container,
    decoder,
    depth,
    exact,
    latents,
    metadata_sections,
    networks,
    planes,
    sections,
    tiles,
    transparency,
)
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.metadata_sections import Metadata, Text
from npeg.web import has_runtime

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests" / "web"
METADATA = Metadata(
    icc_profile=bytes(range(200)),
    exif=b"II*\0" + bytes(40),
    xmp="<x:xmpmeta>ü</x:xmpmeta>".encode(),
    dpi=(72.0, 300.5),
    comment=b"\xff\x00",
    text=(Text("Title", "a b c" * 99), Text("K", "ß", "de", "ö")),
)


@pytest.fixture(scope="module")
def node():
    if not shutil.which("node"):
        pytest.skip("apt-get install nodejs")
    if not has_runtime():
        pytest.skip("make runtime")

    def run(*args):
        done = subprocess.run(["node", *map(str, args)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    return run


def crafted(tile: bytes, kind: bytes = b"") -> bytes:
    """A file of 40x40 pixels with this payload, and a section before it."""
    header = container.Header(model_id=8, level=100, width=40, height=40)
    data = container.write(header, [{sections.TILE: tile}])
    return metadata_sections.insert(data, kind and sections.pack_section(kind, b"\1\2"), 20)


def mixed(photo, flat) -> bytes:
    """A file of two tiles; in the second the networks have no say."""
    tiled, parts = EncoderOptions(tile_size=64), []
    for pixels in (photo, flat):
        data = codec.encode_pixels(np.ascontiguousarray(pixels[:64, :64]), 120, tiled)
        parts += container.read_tiles(data)[1]
    header = container.Header(model_id=8, level=120, width=128, height=64, tile_size=64)
    return container.write(header, parts)


def files(photo) -> dict[str, bytes]:
    """Files of every kind, sound and damaged, by name."""
    grey = photo.mean(axis=2).astype(np.uint8)
    tiled = EncoderOptions(tile_size=64)
    packed = metadata_sections.pack(METADATA)
    flat = np.full((70, 90, 3), (30, 90, 200), np.uint8)
    flat[20:40, 30:60] = 255, 200, 0
    rng = np.random.default_rng(5)
    found = {
        "residual": npeg.encode(photo, 95),
        "residual-grey": npeg.encode(grey, 95, tune="psnr"),
        "residual-tiles": codec.encode_pixels(photo, 190, tiled),
        "alone": npeg.encode(flat, 75),
        "alone-grey": npeg.encode(flat[..., 0], 90),
        "alone-noise": npeg.encode(rng.integers(0, 256, (33, 41, 3)).astype(np.uint8), 100),
        "mixed": mixed(photo, flat),
        "grey": npeg.encode(grey, 60),
        "neutral": npeg.encode(np.repeat(grey[..., None], 3, axis=2), 40),
        "psnr": npeg.encode(photo[:50, :70], 95, tune="psnr"),
        "lowest": npeg.encode(photo, 0),
        "highest": npeg.encode(photo, 100),
        "tiles": codec.encode_pixels(photo, 120, tiled),
        "metadata": metadata_sections.insert(npeg.encode(photo[:9, :9]), packed, 20),
        "dither": npeg.encode(photo[:32, :32], codec="dither"),
        "unknown": crafted(bytes(20), b"Q"),
        "bad-metadata": crafted(bytes(20), b"x"),
    }
    header, (behind,) = container.read_tiles(found["residual-grey"])
    for i in range(30):  # with sound checksums, so that the entropy decoder meets the damage
        damaged = bytearray(behind[sections.RESIDUAL])
        damaged[i if i < 4 else rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        parts = behind | {sections.RESIDUAL: bytes(damaged)}
        found[f"damaged-residual-{i}"] = container.write(header, [parts])
    payload = container.read_tiles(npeg.encode(photo[:40, :40], 50))[1][0][sections.TILE]
    for i in range(60):
        damaged = bytearray(payload)
        for at in rng.integers(0, len(payload), 1 + i % 3):
            damaged[at] ^= 1 << rng.integers(8)
        damaged = damaged[: len(damaged) - i // 20 * 3]
        found[f"damaged-{i}"] = crafted(bytes(damaged))
    others = exact_files(photo) | alpha_files(photo) | deep_files(photo)
    return found | others | damaged_exact_files(photo)


def drawing(colours: int, height: int = 90, width: int = 70) -> Pixels:
    """Rectangles of few colours, (H, W, 3)."""
    rng = np.random.default_rng(colours)
    found = np.full((height, width, 3), 255, np.uint8)
    for colour in rng.integers(0, 256, (colours - 1, 3)):
        top, left = rng.integers(0, (height - 8, width - 8))
        found[top : top + rng.integers(2, 40), left : left + rng.integers(2, 40)] = colour
    return found


def with_alpha(colours: Pixels, soft: bool = True) -> Pixels:
    """Pixels that fade out at a circle, (H, W, 2) or (H, W, 4)."""
    rows, columns = (np.linspace(-1, 1, side) for side in colours.shape[:2])
    distance = 1.2 - np.hypot(rows[:, None], columns)
    alpha = (255 * (2 * distance if soft else distance > 0.3).clip(0, 1)).astype(np.uint8)
    return np.dstack([colours, alpha])


def exact_files(photo: Pixels) -> dict[str, bytes]:
    """Files with exact tiles of every kind, by name."""
    grey = photo[..., 1]
    neutral = np.repeat(drawing(9)[..., :1], 3, axis=2)
    noise = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    repeated = np.tile(noise[:9, :11], (12, 10, 1))
    half = np.concatenate([photo[:64, :64], np.resize(drawing(5), (64, 64, 3))], axis=1)
    pictures = {
        "photo": photo,
        "high": np.ascontiguousarray(photo.swapaxes(0, 1)),
        "grey": grey,
        "neutral": neutral,
        "noise": noise,
        "repeated": repeated,
        "pixel": photo[:1, :1],
        "line": photo[:1],
        "column": photo[:, :1],
        "one-colour": np.full((20, 300, 3), (1, 2, 3), np.uint8),
        **{f"drawing-{colours}": drawing(colours) for colours in (2, 3, 20, 200)},
        "few-greys": drawing(7)[..., 0],
        "smooth": np.add.outer(np.arange(90), np.arange(60)).astype(np.uint8),
    }
    found = {f"exact-{name}": npeg.encode(p, lossless=True) for name, p in pictures.items()}
    tiled = EncoderOptions(tile_size=64)
    found["exact-chosen"] = npeg.encode(drawing(12), 75)
    found["exact-mixed"] = codec.encode_pixels(half, 150, tiled)
    found["exact-residual"] = codec.encode_pixels(half, 190, tiled)
    kinds = [sections.EXACT in parts for parts in container.read_tiles(found["exact-mixed"])[1]]
    assert kinds == [False, True]
    plain = exact._transformed(exact._stacked(drawing(20)), exact.PLAIN, 8)
    methods = [
        planes.Method(matching, guessing and matching, direct, weights)
        for matching in (True, False)
        for guessing in (True, False)
        for direct in (True, False)
        for weights in (None, np.tile([100, 90, -60, 5, 3, -5, 2, 1], (3, 1)))
    ]
    header = container.Header(model_id=99, level=100, width=70, height=90)
    for i, method in enumerate(methods):
        payload = plain.coded_by(method).payload()
        found[f"exact-method-{i}"] = container.write(header, [{sections.EXACT: payload}])
    return found


def alpha_files(photo: Pixels) -> dict[str, bytes]:
    """Files with alpha, by name."""
    tiled, grey = EncoderOptions(tile_size=64), photo.mean(axis=2).astype(np.uint8)
    neutral = np.repeat(grey[..., None], 3, axis=2)
    hard = with_alpha(drawing(6), soft=False)
    return {
        "alpha": npeg.encode(with_alpha(photo), 60),
        "alpha-grey": npeg.encode(with_alpha(grey), 60),
        "alpha-neutral": npeg.encode(with_alpha(neutral), 60),
        "alpha-levels": npeg.encode(with_alpha(photo), 60, alpha_quality=20),
        "alpha-lossless": npeg.encode(with_alpha(photo), lossless=True),
        "alpha-lossless-grey": npeg.encode(with_alpha(grey), lossless=True),
        "alpha-drawing": npeg.encode(hard, 75),
        "alpha-tiles": codec.encode_pixels(with_alpha(photo), 180, tiled),
        "alpha-metadata": metadata_sections.insert(
            npeg.encode(with_alpha(photo[:20, :30])), metadata_sections.pack(METADATA), 20
        ),
    }


def deep_files(photo: Pixels) -> dict[str, bytes]:
    """Files of more than 8 bits a sample, by name."""
    deep = photo * np.uint16(257) - np.random.default_rng(8).integers(0, 99, photo.shape) % 256
    deep = deep.clip(0).astype(np.uint16)
    alpha = with_alpha((deep[..., 0] // 257).astype(np.uint8))[..., 1] * np.uint16(257)
    soft = (alpha // 7 * 5).astype(np.uint16)
    ten, tiled = EncoderOptions(lossless=True, bit_depth=10), EncoderOptions(tile_size=64)
    of_ten = depth.widened(deep >> 6, 10)
    return {
        "deep": npeg.encode(deep, 60),
        "deep-grey": npeg.encode(deep[..., 1], 60),
        "deep-residual": npeg.encode(deep, 100),
        "deep-residual-grey": npeg.encode(deep[..., 1], 95, tune="psnr"),
        "deep-tiles": codec.encode_pixels(deep, 180, tiled),
        "deep-exact": npeg.encode(deep, lossless=True),
        "deep-exact-grey": npeg.encode(deep[..., 1], lossless=True),
        "deep-exact-ten": codec.encode_pixels(of_ten, 200, ten),
        "deep-exact-few": npeg.encode(drawing(20) * np.uint16(123), lossless=True),
        "deep-exact-one": npeg.encode(np.full((9, 9, 3), 12345, np.uint16), lossless=True),
        "deep-alpha": npeg.encode(np.dstack([deep, alpha]), 60),
        "deep-alpha-soft": npeg.encode(np.dstack([deep, soft]), 60),
        "deep-alpha-ten": codec.encode_pixels(np.dstack([of_ten, of_ten[..., :1]]), 200, ten),
    }


def damaged_exact_files(photo: Pixels) -> dict[str, bytes]:
    """Files with exact payloads that are damaged below sound checksums, and forged layouts."""
    rng, found = np.random.default_rng(11), {}
    pictures = {
        "alpha": (with_alpha(photo[:40, :50]), sections.ALPHA),
        "photo": (photo[:40, :50], sections.EXACT),
        "drawing": (drawing(20, 40, 50), sections.EXACT),
        "grey": (drawing(6, 50, 40)[..., 0], sections.EXACT),
    }
    for name, (pixels, kind) in pictures.items():
        header, (parts,) = container.read_tiles(npeg.encode(pixels, lossless=True))
        for i in range(50):
            damaged = bytearray(parts[kind])
            at = min(i, len(damaged) - 1) if i < 14 else rng.integers(len(damaged))
            damaged[at] ^= 1 << rng.integers(8)
            damaged = damaged[: len(damaged) - i // 30 * (i % 5)]
            tile = parts | {kind: bytes(damaged)}
            found[f"damaged-{name}-{i}"] = container.write(header, [tile])
    header = container.Header(model_id=8, level=100, width=9, height=9)
    one = bytes([exact.PALETTE, 0, 3, 0, 1, 2, 3])
    behind = {sections.ALPHA: bytes([255, 3, 0, 1, 0, 7]), sections.EXACT: one}
    for name, alpha, parts in (
        ("sound", False, {sections.EXACT: one}),
        ("empty", False, {sections.EXACT: b""}),
        ("more", False, {sections.EXACT: one + b"1"}),
        ("short", False, {sections.EXACT: one[:3]}),
        ("nested", False, {sections.EXACT: bytes([3, 0, 2, 0, 3, 0])}),
        ("both", False, {sections.EXACT: one, sections.TILE: b""}),
        ("residual", False, {sections.EXACT: one, sections.RESIDUAL: b"1"}),
        ("with-alpha", True, behind),
        ("wanted", True, {sections.EXACT: one}),
        ("unwanted", False, behind),
        ("no-levels", True, behind | {sections.ALPHA: bytes([0, 3, 0, 1, 0, 7])}),
        ("level", True, behind | {sections.ALPHA: bytes([6, 3, 0, 1, 0, 7])}),
        ("alpha-alone", True, {sections.ALPHA: bytes([255, 3, 0, 1, 0, 7])}),
    ):
        forged = container.write(replace(header, alpha=alpha), [parts])
        found[f"forged-{name}"] = forged
    return found


def digest(data: bytes) -> str:
    """The SHA-256 of all that is exact in a file, as compare.mjs makes it."""
    header, every = container.read_tiles(data)
    found = sha256()
    for parts, tile in zip(every, tiles.tiles_of(header), strict=True):
        decoded = decoder.read(parts, tile, header)
        if decoded.alpha is not None:
            found.update(depth.as_type(decoded.alpha, np.uint8).tobytes())
        if decoded.planes is not None:
            found.update(depth.of_bits(decoded.planes, header.bit_depth).tobytes())
        if not parts.get(sections.TILE):
            continue
        model, level = networks.load(header.model_id), header.networks_level
        z_hat, symbols, _ = latents.read(model, parts, tile.latent_shape(), level)
        found.update(z_hat.astype("<i4").tobytes() + symbols.astype("<i4").tobytes())
    return found.hexdigest()


def test_node_runs_its_own_tests(node):
    node("--test", *sorted(TESTS.glob("*.test.mjs")))


def test_it_decodes_as_python_does(node, photo, tmp_path):
    made = files(photo)
    for path in (ROOT / "tests/golden").glob("*.npeg"):
        made[path.stem] = path.read_bytes()
    for name, data in made.items():
        (tmp_path / f"{name}.npeg").write_bytes(data)
    node(TESTS / "compare.mjs", tmp_path)
    refused = 0
    for name, data in made.items():
        found = json.loads((tmp_path / f"{name}.json").read_text())
        if name == "dither":
            assert "dither codecs" in found["error"]
            continue
        try:
            expected_metadata = npeg.metadata(data)
            expected = npeg.decode(data)
        except npeg.NpegError as error:
            assert found == {"error": str(error)}, name
            refused += 1
            continue
        assert found["symbols"] == digest(data), name
        pixels = np.fromfile(tmp_path / f"{name}.decoded", np.uint8).reshape(expected.shape)
        assert found["shape"][:2] == list(expected.shape[:2])
        told_of = info_of(data)  # in JavaScript deep pixels are rounded before they are done
        most = 0 if told_of.lossless else 2 if told_of.header.deep else 1
        assert np.abs(pixels.astype(int) - expected).max() <= most, name
        assert found["metadata"] == told(expected_metadata), name
        with Image.open(tmp_path / f"{name}.png") as png:
            np.testing.assert_array_equal(np.asarray(png), pixels)
            assert png.info.get("icc_profile", b"") == expected_metadata.icc_profile
            assert png.info.get("exif", b"")[6:] == expected_metadata.exif
            if expected_metadata.dpi:
                np.testing.assert_allclose(png.info["dpi"], expected_metadata.dpi, rtol=1e-3)
    assert refused > 20


def told(metadata: Metadata) -> dict[str, object]:
    """Metadata as compare.mjs writes it."""
    names = {"icc_profile": "iccProfile"}
    values = {names.get(name, name): value for name, value in vars(metadata).items() if value}
    plain = {k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}
    if metadata.dpi:
        plain["dpi"] = list(metadata.dpi)
    if metadata.text:
        plain["text"] = [text._asdict() for text in metadata.text]
    return plain


def test_what_it_encodes_is_as_small_and_as_good(node, photo, tmp_path):
    grey = photo[..., :1]
    cases = {
        f"{'x'.join(map(str, pixels.shape))}-{tune}-{effort}": (pixels, tune, effort)
        for pixels, tune, effort in (
            (photo, "visual", 0),
            (photo, "visual", 1),
            (photo, "psnr", 1),
            (grey, "visual", 1),
            (with_alpha(photo), "visual", 1),
            (with_alpha(photo[..., 1], soft=False), "psnr", 1),
        )
    }
    for name, (pixels, _, _) in cases.items():
        (tmp_path / f"{name}.rgb").write_bytes(pixels.tobytes())
    node(TESTS / "compare.mjs", tmp_path)
    for name, (pixels, tune, effort) in cases.items():
        data = (tmp_path / f"{name}.encoded").read_bytes()
        ours = npeg.encode(pixels, 60, tune=tune, effort=effort)
        assert abs(len(data) - len(ours)) <= 0.01 * len(ours) + 4, name
        decoded = [npeg.decode(d) for d in (data, ours)]
        if pixels.shape[2] in (2, 4):
            np.testing.assert_array_equal(decoded[0][..., -1], pixels[..., -1])
        seen = [d[pixels[..., -1] > 0] for d in (*decoded, pixels.squeeze())]
        errors = [np.square(one.astype(float) - seen[-1]).mean() for one in seen[:2]]
        assert errors[0] <= 1.02 * errors[1], name


def test_the_alpha_that_it_encodes_is_the_same_and_as_small(node, photo, tmp_path):
    rows, columns = np.mgrid[:120, :150]
    masks = {
        "soft": with_alpha(np.zeros((120, 150), np.uint8))[..., 1],
        "hard": (np.hypot(rows - 60, columns - 70) < 50) * np.uint8(255),
        "gradient": columns.astype(np.uint8),
        "high": photo[:, :60, 1],
        "none": np.zeros((9, 5), np.uint8),
        "few": (photo[..., 0] // 64 * 60).astype(np.uint8),
    }
    for name, alpha in masks.items():
        pixels = np.dstack([np.full_like(alpha, 90), alpha])
        shape = "x".join(map(str, pixels.shape))
        (tmp_path / f"{shape}-visual-0-{name}.rgb").write_bytes(pixels.tobytes())
    node(TESTS / "compare.mjs", tmp_path)
    for name, alpha in masks.items():
        (path,) = tmp_path.glob(f"*-{name}.encoded")
        (parts,) = container.read_tiles(path.read_bytes())[1]
        found = transparency.decode(parts[sections.ALPHA], *alpha.shape)
        np.testing.assert_array_equal(found, alpha)
        ours = transparency.encode(alpha, 100)
        assert len(parts[sections.ALPHA]) <= 1.01 * len(ours) + 4, name
