"""Each metric against a second implementation, and against what must hold for it."""

import dataclasses
import math
import os
import re
import shutil
import subprocess
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from npeg.bench.metrics import (
    METRICS,
    butteraugli,
    find_metric,
    mse,
    psnr_db,
    psnr_y_db,
    ssimulacra2,
    vmaf,
)
from npeg.bench.metrics.bdrate import bd_rate, rising, ssim_db
from npeg.bench.metrics.luma import luma
from npeg.bench.metrics.originals import remember
from npeg.bench.metrics.ssim import ms_ssim, ssim
from npeg.errors import InputError, NpegError


def pair(height, width, noise=12.0, seed=1):
    """A picture of waves and a noisy copy, (H, W, 3) uint8 both."""
    random = np.random.default_rng(seed)
    i, j = np.mgrid[:height, :width]
    waves = [np.sin(i / 7 + j / 31), np.sin(j / 5), np.cos((i * j) / 900)]
    clean = 128 + 100 * np.stack(waves, axis=-1)
    noisy = clean + random.normal(0, noise, clean.shape)
    return clean.astype(np.uint8), noisy.clip(0, 255).astype(np.uint8)


def test_psnr_is_that_of_scikit_image():
    original, decoded = pair(50, 70)
    assert psnr_db(original, decoded) == pytest.approx(peak_signal_noise_ratio(original, decoded))


def test_mse_is_that_of_scikit_image():
    original, decoded = pair(50, 70)
    assert mse(original, decoded) == pytest.approx(mean_squared_error(original, decoded))


def test_mse_of_a_known_error():
    grey = np.full((4, 5, 3), 100, np.uint8)
    off = grey.copy()
    off[0, 0] = (103, 100, 96)  # 9 + 16 over 60 samples
    assert mse(grey, off) == pytest.approx(25 / 60)


def test_luma_psnr_weighs_red_green_and_blue():
    grey = np.full((8, 8, 3), 100, np.uint8)
    for channel, weight in enumerate((0.299, 0.587, 0.114)):
        off = grey.copy()
        off[..., channel] += 10
        assert psnr_y_db(grey, off) == pytest.approx(20 * math.log10(255 / (10 * weight)))


@pytest.mark.parametrize("size", [(176, 177), (333, 201)])
def test_ms_ssim_is_that_of_pytorch_msssim(size):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("pytorch_msssim")
    original, decoded = pair(*size)
    x, y = (
        torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float64))
        for image in (original, decoded)
    )
    expected = float(reference.ms_ssim(x, y, data_range=255))
    assert 0.5 < expected < 0.999
    assert ms_ssim(original, decoded) == pytest.approx(expected, abs=1e-5)


def test_ms_ssim_of_a_small_image_is_not_defined():
    with pytest.raises(InputError, match="MS-SSIM needs more than 160 pixels, found 200x160"):
        ms_ssim(*pair(160, 200))


@pytest.mark.parametrize("size", [(60, 77), (11, 12)])
def test_ssim_is_that_of_pytorch_msssim_on_luma(size):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("pytorch_msssim")
    original, decoded = pair(*size)
    x, y = (torch.from_numpy(luma(image)[None, None]) for image in (original, decoded))
    expected = float(reference.ssim(x, y, data_range=255))
    assert 0.3 < expected < 0.99
    assert ssim(original, decoded) == pytest.approx(expected, abs=1e-5)  # its taps are float32


def test_ssim_of_flat_images_is_its_formula():
    low, high = (np.full((16, 16, 3), value, np.uint8) for value in (80, 120))
    c1 = (0.01 * 255) ** 2
    assert ssim(low, high) == pytest.approx((2 * 80 * 120 + c1) / (80**2 + 120**2 + c1))


def test_ssim_of_a_small_image_is_not_defined():
    with pytest.raises(InputError, match="SSIM needs 11x11 pixels or more, found 20x10"):
        ssim(*pair(10, 20))


def program(name):
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"the program {name} is not installed: apt install libjxl-devtools")
    return path


def saved(folder, *images):
    paths = [folder / f"{i}.ppm" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return paths


@pytest.mark.parametrize("noise", [3, 12, 40])
def test_ssimulacra2_is_that_of_libjxl(noise, tmp_path):
    original, decoded = pair(301, 256, noise)
    command = [program("ssimulacra2"), *saved(tmp_path, original, decoded)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert ssimulacra2.score(original, decoded) == pytest.approx(float(done.stdout), abs=0.1)


def test_butteraugli_is_the_norm_of_libjxls_map_of_differences(tmp_path):
    command = program("butteraugli_main")
    help_ = subprocess.run([command], capture_output=True, check=False)
    if b"--rawdistmap" not in help_.stdout + help_.stderr:
        pytest.skip("this butteraugli_main is older than 0.11 and does not write its map")
    original, decoded = pair(64, 80)
    paths = saved(tmp_path, original, decoded)
    file = tmp_path / "map.pfm"
    subprocess.run([command, *paths, "--rawdistmap", file], capture_output=True, check=True)
    differences = np.frombuffer(file.read_bytes().split(b"\n", 3)[3], "<f4").astype(np.float64)
    norms = [np.mean(differences**p) ** (1 / p) for p in (3, 6, 12)]
    assert butteraugli.distance(original, decoded) == pytest.approx(np.mean(norms), abs=1e-5)


@pytest.fixture()
def made_up_butteraugli(tmp_path, monkeypatch):
    """Put a program on the path that writes what it is told to."""

    def made_up(script):
        path = tmp_path / "butteraugli_main"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return made_up


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the program")
def test_butteraugli_reads_the_second_number_of_the_program(made_up_butteraugli):
    made_up_butteraugli("echo 5.9714517593; echo 3-norm: 1.932587")
    assert butteraugli.distance(*pair(9, 9)) == 1.932587


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the program")
def test_a_program_that_fails_or_says_nothing_is_named(made_up_butteraugli):
    made_up_butteraugli("echo no luck; exit 3")
    with pytest.raises(NpegError, match="butteraugli_main failed: no luck"):
        butteraugli.distance(*pair(9, 9))
    made_up_butteraugli("echo 5.97")
    with pytest.raises(NpegError, match="found no 3-norm in what the program wrote"):
        butteraugli.distance(*pair(9, 9))


def test_vmaf_falls_as_noise_grows_and_does_not_see_colour():
    if command := vmaf.missing():
        pytest.skip(f"no ffmpeg with libvmaf: {command}")
    scores = [vmaf.score(*pair(97, 121, noise)) for noise in (0, 5, 20)]
    assert scores == sorted(scores, reverse=True)
    assert 90 < scores[0] <= 100
    original, _ = pair(97, 121)
    assert vmaf.score(original, grey_of(original)) == pytest.approx(scores[0], abs=1)


def grey_of(image):
    """The image's luma, rounded, as R, G and B."""
    return np.repeat(luma(image).round().astype(np.uint8)[..., None], 3, axis=2)


def test_vmaf_is_that_of_ffmpeg_on_files(tmp_path):
    if command := vmaf.missing():
        pytest.skip(f"no ffmpeg with libvmaf: {command}")
    original, decoded = (grey_of(image) for image in pair(96, 128, 8))
    paths = saved(tmp_path, decoded, original)
    # ffmpeg's own conversion of the pictures, each from its file
    graph = "[0]format=yuv444p[a];[1]format=yuv444p[b];[a][b]libvmaf"
    inputs = [part for path in paths for part in ("-i", str(path))]
    ffmpeg = [str(vmaf._program()), *inputs, "-lavfi", graph, "-f", "null", "-"]
    done = subprocess.run(ffmpeg, capture_output=True, check=True)
    expected = float(re.findall(rb"VMAF score: ([\d.]+)", done.stderr)[0])
    assert expected < 99
    assert vmaf.score(original, decoded) == pytest.approx(expected, abs=0.5)


def test_what_is_kept_of_an_original_is_of_that_one_only():
    calls = []

    @remember
    def total(image):
        calls.append(image)
        return int(image.sum())

    fixed, other = (np.full((2, 2, 3), value, np.uint8) for value in (1, 2))
    fixed.setflags(write=False)
    assert [total(fixed), total(fixed), total(other), total(fixed)] == [12, 12, 24, 12]
    assert len(calls) == 3
    other[:] = 3
    assert total(other) == 36  # what can be written is never kept


@pytest.mark.parametrize("measured", [ms_ssim, ssimulacra2.score])
def test_scores_do_not_depend_on_what_was_measured_before(measured):
    original, decoded = pair(200, 180)
    alone = measured(original, decoded)
    original.setflags(write=False)
    measured(original, original)
    assert measured(original, decoded) == alone


def test_ssimulacra2_is_that_of_the_package_but_for_the_border(monkeypatch):
    reference = pytest.importorskip("ssimulacra2.ssimulacra2")
    original, decoded = pair(300, 256)
    files = BytesIO(), BytesIO()
    for image, file in zip((original, decoded), files, strict=True):
        Image.fromarray(image).save(file, "PNG")
    expected = reference.compute_ssimulacra2(*files)

    def blur(planes):
        return gaussian_filter(planes, 1.5, mode=("reflect", "constant"), axes=(1, 2), radius=5)

    monkeypatch.setattr(ssimulacra2, "_blur", blur)
    assert ssimulacra2.score(original, decoded) == pytest.approx(expected, abs=0.01)


def test_the_blur_of_ssimulacra2_is_nearly_a_gaussian():
    taps = ssimulacra2._taps()
    gaussian = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 1.5**2))
    assert taps.sum() == pytest.approx(1)
    assert taps == pytest.approx(gaussian / gaussian.sum(), abs=2e-3)


def test_ssimulacra2_falls_as_noise_grows():
    scores = [ssimulacra2.score(*pair(64, 64, noise)) for noise in (0, 2, 8, 30)]
    assert scores[0] > 99
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("name", METRICS)
def test_an_image_is_most_like_itself(name):
    metric = METRICS[name]
    if command := metric.missing():
        pytest.skip(command)
    original, decoded = pair(200, 180)
    best, other = metric.measure(original, original), metric.measure(original, decoded)
    known = {"psnr": math.inf, "psnr-y": math.inf, "mse": 0, "ssim": 1, "butteraugli": 0}
    assert best == pytest.approx(known.get(name, best))
    assert best > other if metric.larger_is_better else best < other


def test_an_unknown_metric_is_named():
    with pytest.raises(InputError, match=re.escape("unknown metric 'fid': known are psnr")):
        find_metric("fid")


def test_a_metric_that_is_not_installed_names_the_command(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.platform", "linux")
    message = "metric butteraugli is not installed: apt install libjxl-devtools"
    with pytest.raises(InputError, match=message):
        find_metric("butteraugli")


def test_the_version_of_a_program_is_part_of_its_metrics_version(monkeypatch):
    assert METRICS["psnr"].version == "1"
    metric = dataclasses.replace(METRICS["vmaf"], program=lambda: "ffmpeg 7.1")
    assert metric.version == "1, ffmpeg 7.1"


def own_bd_rate(anchor, test):
    """BD-rate as JCTVC-L1100 writes it, in a few lines."""
    curves = [np.array(sorted((q, math.log(r)) for r, q in curve)) for curve in (anchor, test)]
    logs = [PchipInterpolator(*curve.T) for curve in curves]
    low = max(log.x[0] for log in logs)
    high = min(log.x[-1] for log in logs)
    mean = (logs[1].integrate(low, high) - logs[0].integrate(low, high)) / (high - low)
    return 100 * (math.exp(mean) - 1)


JPEG = [(0.3, 27.0), (0.6, 29.5), (0.9, 32.1), (1.8, 36.0), (2.5, 37.0)]
AVIF = [(0.2, 28.0), (0.4, 31.0), (0.9, 35.5), (1.4, 38.0)]


def test_bd_rate_is_that_of_ten_lines_of_pchip():
    assert bd_rate(JPEG, AVIF) == pytest.approx(own_bd_rate(JPEG, AVIF), abs=1e-6)
    assert bd_rate(AVIF, JPEG) == pytest.approx(own_bd_rate(AVIF, JPEG), abs=1e-6)


def test_files_of_half_the_size_save_half():
    half = [(rate / 2, quality) for rate, quality in JPEG]
    assert bd_rate(JPEG, half) == pytest.approx(-50)
    assert bd_rate(half, JPEG) == pytest.approx(100)
    assert bd_rate(JPEG, JPEG) == pytest.approx(0)


def test_curves_that_do_not_meet_have_no_bd_rate():
    assert bd_rate(JPEG, [(rate, quality + 20) for rate, quality in JPEG]) is None
    assert bd_rate(JPEG, AVIF[:1]) is None


def test_points_that_a_cheaper_one_beats_are_no_part_of_a_curve():
    assert rising([(3.0, 30.0), (1.0, 28.0), (2.0, 27.0), (4.0, math.inf)]) == [(1, 28), (3, 30)]


def test_ms_ssim_in_decibels():
    assert ssim_db(0.99) == pytest.approx(20)
    assert ssim_db(1.0) == math.inf
