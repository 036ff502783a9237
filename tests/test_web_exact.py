"""Exact tiles that the browser's encoder writes: Python's, byte for byte."""

import numpy as np
import pytest
from test_web_codec import TESTS, drawing, node, with_alpha  # noqa: F401  # a fixture

import npeg
from npeg import container, sections
from npeg.arrays import Pixels


@pytest.fixture
def encoded(node, tmp_path):  # noqa: F811
    """A function that returns the files that JavaScript makes of pixels, by name.

    A name ends with -TUNE-EFFORT-QUALITY.
    """

    def run(cases: dict[str, Pixels]) -> dict[str, bytes]:
        names = {}
        for number, (name, pixels) in enumerate(cases.items()):
            height, width, channels = np.atleast_3d(pixels).shape
            tune = "-".join(name.split("-")[-3:])
            names[name] = f"{height}x{width}x{channels}-{tune}-{number}"
            (tmp_path / f"{names[name]}.rgb").write_bytes(pixels.tobytes())
        node(TESTS / "compare.mjs", tmp_path)
        return {key: (tmp_path / f"{name}.encoded").read_bytes() for key, name in names.items()}

    return run


def pictures(photo: Pixels) -> dict[str, Pixels]:
    """Pictures that are coded by each of the ways that there are, by name."""
    noise = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    rows, columns = np.mgrid[:300, :200]
    screen = np.tile(drawing(40), (3, 3, 1))
    screen[100:150, 50:150] = photo[:50, :100]
    return {
        "photo": photo,
        "large": np.tile(photo, (3, 3, 1))[:270, :301],
        "high": np.ascontiguousarray(photo.swapaxes(0, 1)),
        "grey": photo[..., 1],
        "neutral": np.repeat(drawing(9)[..., :1], 3, axis=2),
        "noise": noise,
        "repeated": np.tile(noise[:9, :11], (12, 10, 1)),
        "pixel": photo[:1, :1],
        "line": photo[:1],
        "column": photo[:, :1],
        "one": np.full((20, 30, 3), (1, 2, 3), np.uint8),
        "screen": screen,
        **{f"colours{count}": drawing(count) for count in (2, 3, 20, 200)},
        "greys": drawing(7)[..., 0],
        "smooth": ((rows + columns) // 2).astype(np.uint8),
        "alpha": with_alpha(photo),
        "alpha_grey": with_alpha(photo[..., 0]),
        "alpha_hard": with_alpha(drawing(6), soft=False),
    }


def test_lossless_files_are_python_s_byte_for_byte(encoded, photo):
    cases = pictures(photo)
    found = encoded({f"{name}-visual-1-lossless": pixels for name, pixels in cases.items()})
    for name, pixels in cases.items():
        data = found[f"{name}-visual-1-lossless"]
        assert data == npeg.encode(pixels, lossless=True), name
        np.testing.assert_array_equal(npeg.decode(data), pixels)


def test_files_of_the_other_tune_name_its_model(encoded, photo):
    pixels = photo[:20, :30]
    (data,) = encoded({"a-psnr-0-lossless": pixels}).values()
    assert data == npeg.encode(pixels, lossless=True, tune="psnr")


def test_lossless_files_may_have_several_tiles(encoded):
    rows, columns = np.mgrid[:40, :2500]
    pixels = ((rows // 8 + columns // 50) % 7 * 30).astype(np.uint8)
    (data,) = encoded({"a-visual-1-lossless": pixels}).values()
    assert len(container.read_tiles(data)[1]) > 1
    assert data == npeg.encode(pixels, lossless=True)


def test_tiles_are_exact_where_python_s_are(encoded, photo):
    half = np.concatenate([photo[:64, :64], np.resize(drawing(5), (64, 64, 3))], axis=1)
    cases = {
        "few-visual-1-75": drawing(12),
        "two-psnr-0-40": drawing(2),
        "greys-visual-1-90": drawing(6)[..., 0],
        "alpha-visual-1-75": with_alpha(drawing(6), soft=False),
        "many-visual-1-100": drawing(200),
        "photo-visual-1-60": photo,
        "half-visual-1-95": half,
    }
    kinds = []
    for name, data in encoded(cases).items():
        _, tune, effort, quality = name.split("-")
        ours = npeg.encode(cases[name], float(quality), tune=tune, effort=int(effort))
        tiles = [container.read_tiles(one)[1] for one in (data, ours)]
        kinds += [[sorted(parts) for parts in file] for file in tiles][:1]
        assert [sorted(parts) for parts in tiles[0]] == [sorted(parts) for parts in tiles[1]], name
        if all(sections.EXACT in parts for parts in tiles[1]):
            assert data == ours, name
    assert sum(sections.EXACT in tile for file in kinds for tile in file) >= 4


def test_one_tile_may_be_exact_beside_another(encoded, photo):
    wide = np.tile(photo, (1, 25, 1))[:40, :2200].copy()
    wide[:, 1100:] = np.tile(drawing(5, 40, 50), (1, 22, 1))
    (data,) = encoded({"a-visual-0-60": wide}).values()
    kinds = [sections.EXACT in parts for parts in container.read_tiles(data)[1]]
    ours = container.read_tiles(npeg.encode(wide, 60, effort=0))[1]
    assert kinds == [sections.EXACT in parts for parts in ours]
    assert len(set(kinds)) == 2
    for parts, found in zip(ours, container.read_tiles(data)[1], strict=True):
        assert sections.EXACT not in parts or parts == found


def test_a_tile_beside_one_by_a_residual_alone_is_as_good_as_elsewhere(encoded, photo):
    noise = np.random.default_rng(0).integers(0, 256, (40, 1024, 3)).astype(np.uint8)
    both = np.concatenate([noise, np.tile(photo[:40], (1, 9, 1))[:, :1100]], axis=1)
    (data,) = encoded({"a-visual-0-92": both}).values()
    first, second, *_ = container.read_tiles(data)[1]
    assert first[sections.TILE] == b""
    assert sections.RESIDUAL in second
    error = np.abs(npeg.decode(data).astype(float) - both)[:, 1024:]
    assert error[:, :2].mean() < 1.8 * error[:, 8:].mean()
