"""IW-SSIM, VMAF NEG and ST-LPIPS: golden values of others' code, and what must hold for each."""

from functools import partial

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from npeg.bench.metrics import METRICS, find_metric, st_lpips, vmaf
from npeg.bench.metrics import iw_ssim as iw
from npeg.bench.metrics.iw_ssim import iw_ssim
from npeg.errors import InputError


def pair(height, width, noise=12.0, seed=1):
    """A picture of waves and a noisy copy, (H, W, 3) uint8 both."""
    random = np.random.default_rng(seed)
    i, j = np.mgrid[:height, :width]
    waves = [np.sin(i / 7 + j / 31), np.sin(j / 5), np.cos((i * j) / 900)]
    clean = 128 + 100 * np.stack(waves, axis=-1)
    noisy = clean + random.normal(0, noise, clean.shape)
    return clean.astype(np.uint8), noisy.clip(0, 255).astype(np.uint8)


def installed(name):
    metric = METRICS[name]
    if command := metric.missing():
        pytest.skip(command)
    return metric


# piq 0.8.0, `information_weighted_ssim` of BT.601 luma in float64, as score ** 1.0001: piq divides
# the five exponents by their sum, 1.0001, which the authors' code does not
GOLDEN_IW_SSIM = [
    ((176, 192), 12, 0.9451881168187887),
    ((176, 192), 3, 0.9954817496131251),
    ((161, 170), 12, 0.9465046753621221),
    ((256, 320), 40, 0.761534156880179),
]


@pytest.mark.parametrize(("size", "noise", "expected"), GOLDEN_IW_SSIM)
def test_iw_ssim_is_that_of_piq(size, noise, expected):
    # an odd side's border is mirrored at its last sample, as in Matlab, not at piq's last zero
    close = 1e-7 if not (size[0] % 16 or size[1] % 16) else 3e-6
    assert iw_ssim(*pair(size[0], size[1], noise)) == pytest.approx(expected**1.0001, abs=close)


def test_iw_ssim_of_a_small_image_is_not_defined():
    with pytest.raises(InputError, match="IW-SSIM needs more than 160 pixels, found 200x160"):
        iw_ssim(*pair(160, 200))


def test_iw_ssim_of_flat_images_is_ssims_brightness():
    low, high = (np.full((176, 176, 3), value, np.uint8) for value in (80, 120))
    assert iw_ssim(low, low) == pytest.approx(1)
    # the coarse rest is 16 times as bright, as the pyramid's low-pass doubles at each scale
    x, y, c1 = 16 * 80, 16 * 120, (0.01 * 255) ** 2
    expected = ((2 * x * y + c1) / (x**2 + y**2 + c1)) ** 0.1333
    assert iw_ssim(low, high) == pytest.approx(expected)


def test_the_bands_of_the_pyramid_add_up_to_the_picture():
    plane = np.random.default_rng(0).uniform(0, 255, (45, 62))
    *bands, picture = iw._pyramid(plane)
    for band in reversed(bands):
        picture = band + iw._enlarge(picture, band.shape)
    np.testing.assert_allclose(picture, plane)


def test_a_busy_place_tells_more_than_a_calm_one():
    picture = np.random.default_rng(3).normal(128, 5, (192, 192))
    picture[:, 96:] *= 4
    fine, coarser, *_ = iw._pyramid(picture)
    bits = iw._information(iw._content(fine, coarser), fine, fine)
    # sixteen times the variance: up to four bits more in each of ten directions
    assert 10 < bits[:, 98:].mean() - bits[:, :90].mean() < 41


def test_means_of_a_flat_place_are_exact_beside_a_busy_one():
    """Running sums are not: they gave negative variances, and a logarithm that is no number."""
    plane = np.zeros((9, 400))
    plane[:, :200] = np.random.default_rng(0).normal(0, 1e4, (9, 200))
    assert not iw._box(plane)[:, 202:].any()


def test_ringing_in_a_flat_place_gives_a_number():
    original, decoded = (np.full((192, 192, 3), 255, np.uint8) for _ in range(2))
    original[:96, :96], decoded[:96, :96] = pair(96, 96, 30)
    decoded[96:] -= np.random.default_rng(2).integers(0, 4, (96, 192, 3), np.uint8)
    assert 0 < iw_ssim(original, decoded) < iw_ssim(original, original) == 1


def test_vmaf_neg_does_not_reward_contrast_that_was_added():
    plain, neg = installed("vmaf"), installed("vmaf-neg")
    original = (pair(97, 121)[0] * 0.6 + 50).astype(np.uint8)
    blurred = gaussian_filter(original.astype(float), (1, 1, 0))
    sharpened = (blurred + 2 * (original - blurred)).clip(0, 255).astype(np.uint8)
    assert plain.measure(original, sharpened) >= neg.measure(original, sharpened) + 1
    scores = [neg.measure(*pair(97, 121, noise)) for noise in (0, 5, 20)]
    assert scores == sorted(scores, reverse=True)
    assert 90 < scores[0] <= 100


def test_vmaf_neg_is_measured_by_its_model():
    measure = METRICS["vmaf-neg"].measure
    assert isinstance(measure, partial) and measure.keywords == {"model": "vmaf_v0.6.1neg"}
    with pytest.raises(InputError, match="VMAF needs 16x16 pixels or more, found 20x15"):
        METRICS["vmaf-neg"].measure(*pair(15, 20))
    assert vmaf.MODEL != vmaf.NEG_MODEL


# stlpips-pytorch 0.0.2, `LPIPS(net="alex", variant="shift_tolerant")`, torch 2.13.0
GOLDEN_ST_LPIPS = [
    ((97, 121), 12, 0.0583332),
    ((97, 121), 40, 0.4946188),
    ((64, 64), 5, 0.0057014),
    ((32, 32), 12, 0.0415534),
]


@pytest.mark.parametrize(("size", "noise", "expected"), GOLDEN_ST_LPIPS)
def test_st_lpips_is_that_of_its_package(size, noise, expected):
    metric = installed("st-lpips")
    original, decoded = pair(size[0], size[1], noise)
    assert metric.measure(original, decoded) == pytest.approx(expected, abs=2e-6)
    assert metric.measure(original, original) == 0


def test_st_lpips_grows_with_noise_and_takes_pixels_that_cannot_be_written():
    metric = installed("st-lpips")
    images = [pair(48, 50, noise) for noise in (2, 8, 30)]
    for original, _ in images:
        original.setflags(write=False)
    distances = [metric.measure(*both) for both in images]
    assert distances == sorted(distances)


def test_st_lpips_of_a_small_image_is_not_defined():
    metric = installed("st-lpips")
    assert metric.measure(*pair(24, 24)) > 0
    with pytest.raises(InputError, match="ST-LPIPS needs 24x24 pixels or more, found 40x23"):
        metric.measure(*pair(23, 40))


def test_a_package_without_its_weights_gives_one_line(monkeypatch):
    pytest.importorskip("torch")
    st_lpips._weights.cache_clear()
    monkeypatch.setattr(st_lpips, "PACKAGE", "json")
    with pytest.raises(InputError, match=r"found no weights/.*: pip install stlpips-pytorch"):
        st_lpips.distance(*pair(32, 32))


def test_what_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("npeg.bench.metrics.find_spec", lambda name: None)
    message = "metric st-lpips is not installed: pip install stlpips-pytorch torch"
    with pytest.raises(InputError, match=message):
        find_metric("st-lpips")
