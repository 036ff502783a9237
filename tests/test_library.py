"""npeg.encode, npeg.decode and npeg.info: arrays and Pillow images, qualities and exact targets."""

import array
import io
import math
import mmap
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
from conftest import cpu_seconds, environment, info_of
from PIL import Image

import npeg
from npeg import codec, targets
from npeg.enhance import enhance

SIZES = [(1, 1), (1, 2), (3, 1), (15, 17), (16, 16), (64, 63), (65, 64), (5, 130)]


@pytest.mark.parametrize("height_width", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_comes_back_as_it_was(photo, height_width, channels):
    height, width = height_width
    pixels = np.resize(photo, (height, width, 3)) if channels == 3 else photo[:height, :width, 0]
    pixels = np.resize(pixels, (height, width, 3) if channels == 3 else (height, width))
    decoded = npeg.decode(npeg.encode(pixels, 60))
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8


def test_the_photograph_is_recognisable_and_grey_stays_grey(photo, photo_npeg):
    assert targets.psnr_db(photo, npeg.decode(photo_npeg)) > 24
    grey = np.asarray(Image.fromarray(photo).convert("L"))
    assert targets.psnr_db(grey, npeg.decode(npeg.encode(grey, 50))) > 24


def test_arrays_and_pillow_images_give_the_same_file(photo, photo_npeg):
    assert npeg.encode(Image.fromarray(photo), quality=50) == photo_npeg
    assert npeg.encode(np.asfortranarray(photo), quality=50) == photo_npeg
    grey = np.ascontiguousarray(photo[..., :1])
    assert (
        npeg.encode(grey) == npeg.encode(grey[..., 0]) == npeg.encode(Image.fromarray(grey[..., 0]))
    )


def sources(data: bytes, path) -> list[Any]:
    """Return everything that stands for a file with these bytes."""
    path.write_bytes(data)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    spread = np.zeros(2 * len(data), np.uint8)
    spread[::2] = np.frombuffer(data, np.uint8)
    return [
        *(data, bytearray(data), memoryview(data), mapped, np.frombuffer(data, np.uint8)),
        *(array.array("B", data), spread.data[::2], str(path), path, io.BytesIO(data)),
    ]


def test_paths_file_objects_and_buffers_are_one_set_of_inputs(photo_npeg, tmp_path):
    decoded = npeg.decode(photo_npeg)
    for source in sources(photo_npeg, tmp_path / "photo.npeg"):
        np.testing.assert_array_equal(npeg.decode(source), decoded)
    for source in sources(photo_npeg, tmp_path / "photo.npeg"):
        assert npeg.info(source) == npeg.info(photo_npeg)
    for source in sources(photo_npeg, tmp_path / "photo.npeg"):
        assert npeg.metadata(source) == npeg.metadata(photo_npeg)


def test_image_files_are_encoded_and_enhanced_as_their_pixels_are(photo, tmp_path):
    small = photo[:16, :24]
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, "PNG")
    expected, better = npeg.encode(small, effort=0), enhance(small, "auto-levels")
    for source in sources(buffer.getvalue(), tmp_path / "photo.png"):
        if not isinstance(source, np.ndarray):
            assert npeg.encode(source, effort=0) == expected
    for source in (buffer.getvalue(), tmp_path / "photo.png", Image.fromarray(small)):
        np.testing.assert_array_equal(enhance(source, "auto-levels"), better)
    assert enhance(small[..., :1], "auto-levels").shape == (16, 24)


@pytest.mark.parametrize("function", [npeg.decode, npeg.info, npeg.metadata])
def test_what_is_no_file_is_refused_in_one_line(function, tmp_path):
    for thing, message in [
        (str(tmp_path / "none.npeg"), "found no such file"),
        (tmp_path, "found is a directory"),
        ("a\0b", "null"),
        (io.StringIO("NPEG"), "found a file that gives str"),
        (np.zeros(9), "found a buffer of 8-byte items"),
        ([1], "found list, expected a .npeg file"),
        (None, "found NoneType, expected a .npeg file"),
    ]:
        with pytest.raises(npeg.NpegError, match=message):
            function(thing)


def test_any_memory_layout_gives_the_same_file_and_results_are_contiguous(photo):
    small = photo[:20, :30]
    expected = npeg.encode(small, effort=0)
    wide = np.zeros((20, 60, 4), np.uint8)
    wide[:, ::2, :3] = small
    turned = np.ascontiguousarray(small[::-1, ::-1])
    frozen = small.copy()
    frozen.flags.writeable = False
    for same in (wide[:, ::2, :3], turned[::-1, ::-1], np.asfortranarray(small), frozen):
        assert npeg.encode(same, effort=0) == expected
    assert npeg.encode(np.ascontiguousarray(small).data, effort=0) == expected
    assert npeg.decode(expected).flags.c_contiguous
    assert npeg.decode(npeg.encode(small[..., 0], effort=0)).flags.c_contiguous


def test_neutral_rgb_comes_back_neutral_in_as_many_bytes_as_grey(photo):
    grey = photo[..., 1]
    data = npeg.encode(np.repeat(grey[..., None], 3, axis=2), 60)
    assert len(data) == len(npeg.encode(grey, 60))
    decoded = npeg.decode(data)
    assert decoded.shape == photo.shape
    np.testing.assert_array_equal(decoded[..., 0], npeg.decode(npeg.encode(grey, 60)))
    assert (decoded == decoded[..., :1]).all()
    assert info_of(data).header.neutral


CHILD = """
import os, sys, warnings
warnings.simplefilter("ignore")
import numpy, npeg
image = numpy.zeros((70, 70, 3), "uint8")
data = npeg.encode(image)
child = os.fork()
if not child:
    assert npeg.encode(image) == data and npeg.decode(data).shape == image.shape
    print("the child encodes", end="")
    sys.exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere exit handlers know no status")
def test_a_forked_child_encodes_and_ends_with_its_own_status():
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, env=environment(), capture_output=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, b"the child encodes"), done.stderr


MEMORY = """
import gc, numpy, npeg
def resident_mib():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 >> 20
npeg.decode(npeg.encode(numpy.zeros((64, 64, 3), "uint8")))
before = resident_mib()
npeg.decode(npeg.encode(numpy.zeros((1200, 1200, 3), "uint8")))
gc.collect()
assert resident_mib() - before < 60, (before, resident_mib())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, and malloc_trim of glibc")
def test_the_memory_of_a_large_image_is_given_back():
    subprocess.run([sys.executable, "-c", MEMORY], env=environment(), check=True)


def test_info_describes_a_file_without_decoding_it(photo, photo_npeg):
    found = npeg.info(photo_npeg)
    assert (found.header.height, found.header.width, found.header.channels) == photo.shape
    assert found.header.quality == 50
    assert found.size_bytes == len(photo_npeg)
    assert found.rate_bpp == pytest.approx(8 * len(photo_npeg) / (96 * 128))


def test_a_warning_names_the_line_that_called():
    frames = [Image.new("L", (4, 4), grey) for grey in (0, 255)]
    vars(frames[0]).update(is_animated=True, n_frames=2)
    with pytest.warns(UserWarning, match="one of 2 frames") as caught:
        npeg.encode(frames[0])
    assert caught[0].filename == __file__


def test_a_higher_quality_is_a_larger_and_better_file(photo):
    encoded = [npeg.encode(photo, quality) for quality in (0, 25.5, 50, 75, 100)]
    sizes = [len(data) for data in encoded]
    assert sizes == sorted(sizes)
    psnrs = [targets.psnr_db(photo, npeg.decode(data)) for data in encoded]
    assert psnrs == sorted(psnrs)


@pytest.mark.parametrize("quality", [-1, 100.5, math.nan, "50", None, True])
def test_an_impossible_quality_is_refused(photo, quality):
    with pytest.raises(npeg.NpegError, match="quality is .*, expected 0 to 100"):
        npeg.encode(photo, quality)


@pytest.mark.parametrize("target", [{"bpp": 0}, {"size": -3}, {"psnr": math.inf}, {"bpp": "1"}])
def test_an_impossible_target_is_refused(photo, target):
    with pytest.raises(npeg.NpegError, match=r"(bpp|size|psnr) is .*, expected a number above 0"):
        npeg.encode(photo, **target)


def test_two_targets_at_once_are_refused(photo):
    with pytest.raises(npeg.NpegError, match="several"):
        npeg.encode(photo, bpp=1, psnr=30)


def quality_above(data: bytes) -> float:
    return npeg.info(data).header.quality + 0.5


@pytest.mark.parametrize("bpp", [0.6, 1.5])
def test_bpp_gives_the_highest_quality_below(photo, bpp):
    data = npeg.encode(photo, bpp=bpp)
    assert npeg.info(data).rate_bpp <= bpp
    assert npeg.info(npeg.encode(photo, quality_above(data))).rate_bpp > bpp


def test_size_gives_the_highest_quality_below(photo):
    data = npeg.encode(photo, size=2000)
    assert len(data) <= 2000
    assert len(npeg.encode(photo, quality_above(data))) > 2000
    assert npeg.encode(photo, size=10**9) == npeg.encode(photo, 100)


def test_psnr_gives_the_smallest_file_above(photo):
    data = npeg.encode(photo, psnr=30)
    assert targets.psnr_db(photo, npeg.decode(data)) >= 30
    smaller = npeg.encode(photo, npeg.info(data).header.quality - 0.5)
    assert targets.psnr_db(photo, npeg.decode(smaller)) < 30


def test_a_target_out_of_reach_says_what_is_reachable(photo):
    smallest = len(npeg.encode(photo, 0))
    with pytest.raises(npeg.NpegError, match=f"20 bytes is out of reach.* {smallest} bytes"):
        npeg.encode(photo, size=20)
    with pytest.raises(npeg.NpegError, match=r"0.01 bpp is out of reach.* is 0\.\d+ bpp"):
        npeg.encode(photo, bpp=0.01)
    with pytest.raises(npeg.NpegError, match=r"psnr 90 dB is out of reach.* is \d\d\.\d\d dB"):
        npeg.encode(photo, psnr=90)


def curves():
    """Yield curves of 201 values: smooth, bent, and with what flat pictures do at low qualities."""
    level, rng = np.arange(201), np.random.default_rng(1)
    for low, high, bend in [(0.04, 2, 1), (0.01, 8, 1), (0.1, 0.9, 1.3), (0.037, 1.95, 0.75)]:
        smooth = np.log(low) + np.log(high / low) * (level / 200) ** bend
        yield smooth
        yield smooth + 0.004 * rng.standard_normal(201)
        yield np.where(level < 25, smooth[25] + 0.1 * np.sin(level), smooth)


def value_at(values, level):
    return float(values[level])


@pytest.mark.parametrize("above", [False, True])
def test_six_tries_come_within_two_percent_of_the_best_of_all_levels(above):
    misses = tries = 0
    for values in curves():
        targets_ = np.linspace(values.min() + 0.15, values.max() - 0.02, 40)
        for target in targets_:
            curve = targets.Curve(partial(value_at, values))
            start = (target - np.log(0.037)) / targets.SIZE_SLOPE
            curve.approach(target, start, targets.SIZE_SLOPE, above)
            assert len(curve.values) <= 6
            tries += 1
            if above:
                reached = curve.where(target.__le__)
                best = values[values >= target].min()
                misses += not reached or min(curve.values[i] for i in reached) > best + 0.02
            else:
                reached = curve.where(target.__ge__)
                best = values[values <= target].max()
                misses += not reached or max(curve.values[i] for i in reached) < best - 0.02
    assert misses <= 0.03 * tries, (misses, tries)


def test_a_target_that_only_some_levels_of_a_small_picture_reach_is_reached(monkeypatch):
    ramp = np.add.outer(np.arange(16), 2 * np.arange(16))  # 46 greys: not flat, or it is exact
    grey = np.repeat((100 + ramp)[..., None], 3, axis=2).astype(np.uint8)
    coded = [codec.encode_with_reconstruction(grey, level) for level in range(201)]
    known = lambda *given: coded[given[1]]  # noqa: E731
    monkeypatch.setattr(codec, "encode_with_reconstruction", known)
    values = [targets.psnr_db(grey, decoded) for _, decoded in coded]
    best = max(values)
    want = min(len(data) for (data, _), value in zip(coded, values, strict=True) if value >= best)
    assert len(npeg.encode(grey, psnr=best)) == want
    with pytest.raises(npeg.NpegError, match=rf"the best for this image is {best:.2f} dB"):
        npeg.encode(grey, psnr=best + 0.01)


def test_a_search_says_how_far_it_is(photo):
    seen = []
    token = targets.watcher.set(lambda: seen.append(1))
    npeg.encode(np.tile(photo, (2, 2, 1)), bpp=0.6)
    targets.watcher.reset(token)
    assert 1 <= len(seen) <= 6


def test_psnr_is_that_of_its_definition(photo):
    other = np.clip(photo.astype(int) + 3, 0, 255).astype(np.uint8)
    mse = np.mean((photo.astype(float) - other) ** 2)
    assert targets.psnr_db(photo, other) == pytest.approx(10 * math.log10(255**2 / mse))
    assert targets.psnr_db(photo, photo) == math.inf


def test_importing_npeg_imports_nothing_heavy_and_is_quick():
    heavy = "{'numpy', 'PIL', 'onnxruntime', 'torch', 'tqdm'} & set(sys.modules)"
    code = f"import sys, npeg; assert not {heavy}, {heavy}"
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True)
    added = min(cpu_seconds("import npeg") for _ in range(5)) - min(
        cpu_seconds("pass") for _ in range(5)
    )
    assert added < 0.06
