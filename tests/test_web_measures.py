"""What the page measures, beside Python: SSIMULACRA2, PSNR, where bits go, residuals it encodes."""

import json
import math
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npeg
from npeg import container, sections
from npeg.bench.metrics.ssimulacra2 import score
from npeg.web import has_runtime
from npeg.web.bits import bits_of

TESTS = Path(__file__).parent / "web"


def run(script, *args):
    """Return what a script prints in node."""
    if not shutil.which("node"):
        pytest.skip("apt-get install nodejs")
    if not has_runtime():
        pytest.skip("make runtime")
    done = subprocess.run(["node", TESTS / script, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def as_jpeg(pixels, quality):
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    ("height", "width", "quality"), [(96, 128, 90), (95, 67, 10), (9, 50, 30), (40, 8, 60)]
)
def test_the_page_measures_as_the_bench(photo, tmp_path, height, width, quality):
    original = np.ascontiguousarray(photo[:height, :width])
    height, width = original.shape[:2]
    decoded = as_jpeg(original, quality)
    for name, pixels in (("a", original), ("b", decoded)):
        opaque = np.full((height, width), 255, np.uint8)
        (tmp_path / f"{name}.rgba").write_bytes(np.dstack([pixels, opaque]).tobytes())
    found = json.loads(run("measure.mjs", tmp_path, width, height))
    error = np.square(original.astype(float) - decoded).mean()
    expected = [score(original, decoded), 10 * math.log10(255**2 / error)]
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_bits_of_blocks_are_those_of_python_and_sum_to_the_file(photo, tmp_path):
    pictures = {
        "photo": (photo, 60),
        "residual": (photo[:70, :90], 95),
        "grey": (photo[:33, :65, 1], 90),
    }
    files = {name: npeg.encode(pixels, q) for name, (pixels, q) in pictures.items()}
    files["exact"] = npeg.encode(photo[:40, :50], lossless=True)
    golden = Path(__file__).parent / "golden"
    files |= {path.stem: path.read_bytes() for path in golden.glob("*.npeg")}
    for name, data in files.items():
        (tmp_path / f"{name}.npeg").write_bytes(data)
    run("bits.mjs", tmp_path)
    for name, data in files.items():
        expected = bits_of(data)
        found = np.fromfile(tmp_path / f"{name}.bits", np.float32).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=0.05, err_msg=name)
        assert expected.min() >= 0, name
        assert expected.sum() <= 8 * len(data), name
    for name in ("photo", "residual"):
        assert bits_of(files[name]).sum() > 0.95 * 8 * (len(files[name]) - 29), name


def test_bits_are_where_the_picture_is_rich():
    half = np.zeros((64, 128, 3), np.uint8)
    half[:, 64:] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    found = bits_of(npeg.encode(half, 50, effort=0))
    assert found[:, 5:].sum() > 4 * found[:, :3].sum()


def test_residuals_of_the_page_are_those_of_python(photo, tmp_path):
    rng = np.random.default_rng(1)
    small = np.ascontiguousarray(photo[:96, :120])
    cases = {
        "high": (small, "visual", 95),
        "first": (small, "psnr", 82),
        "grey": (small[..., :1], "visual", 100),
        "neutral": (np.repeat(small[..., :1], 3, axis=2), "visual", 90),
        "noise": (rng.integers(0, 256, (40, 56, 3)).astype(np.uint8), "visual", 100),
        "drawing": (np.kron(rng.integers(0, 256, (9, 11, 3)), np.ones((7, 7, 1))), "visual", 70),
        "letters": (np.where(rng.random((64, 80, 3)) < 0.1, 20, small[:64, :80]), "visual", 75),
        "lettering": (
            np.where(rng.random((64, 80, 1)) < 0.1, 20, small[:64, :80, :1]),
            "psnr",
            90,
        ),
        "below": (small, "visual", 70),
    }
    for name, (pixels, tune, quality) in cases.items():
        shape = "x".join(map(str, pixels.shape))
        stem = tmp_path / f"{shape}-{tune}-1-{quality}-{name}"
        stem.with_suffix(".rgb").write_bytes(pixels.astype(np.uint8).tobytes())
    run("compare.mjs", tmp_path)
    behind = set()
    for name, (pixels, tune, quality) in cases.items():
        (path,) = tmp_path.glob(f"*-{name}.encoded")
        data, wanted = path.read_bytes(), pixels.astype(np.uint8).squeeze()
        ours = npeg.encode(wanted, quality, tune=tune)
        parts = [container.read_tiles(one)[1][0] for one in (data, ours)]
        if sections.EXACT in parts[1]:
            continue  # which the page does not write
        assert parts[0].keys() == parts[1].keys(), name
        assert abs(len(data) - len(ours)) <= 0.005 * len(ours) + 4, name
        errors = [np.square(npeg.decode(one).astype(float) - wanted).mean() for one in (data, ours)]
        assert errors[0] <= 1.01 * errors[1], name
        if sections.RESIDUAL in parts[0]:
            behind.add(name)
    assert {"high", "grey", "noise", "letters", "lettering"} <= behind
    assert "below" not in behind
