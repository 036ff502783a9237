"""Each metric against a second implementation, and against what must hold for it."""

import math
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from npeg.bench import ssimulacra2
from npeg.bench.bdrate import bd_rate, ms_ssim_db, rising
from npeg.bench.metrics import METRICS, find_metric, ms_ssim, psnr_db, psnr_y_db
from npeg.errors import InputError


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
    if metric.missing():
        pytest.skip(metric.missing())
    original, decoded = pair(200, 180)
    best = metric.measure(original, original)
    assert best == pytest.approx({"psnr": math.inf, "psnr-y": math.inf}.get(name, best))
    assert best > metric.measure(original, decoded)


def test_an_unknown_metric_is_named():
    with pytest.raises(InputError, match=re.escape("unknown metric 'ssim': known are psnr")):
        find_metric("ssim")


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
    assert ms_ssim_db(0.99) == pytest.approx(20)
    assert ms_ssim_db(1.0) == math.inf
