"""The teaching codecs of 8x8 blocks: the bases are bases, cosines win, and no file breaks them."""

from contextlib import suppress

import numpy as np
import pytest
from skimage import data

from npeg.bench.codecs import blocks, find_codec
from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.bdrate import bd_rate
from npeg.errors import FormatError, InputError, LimitError, NpegError

BASES = {"dct": blocks.cosine_basis(), "dft": blocks.fourier_basis()}


def picture(height=128, width=160):
    """A part of a photograph, (H, W, 3) uint8."""
    return np.ascontiguousarray(data.astronaut()[64 : 64 + height, 128 : 128 + width])


def curve(spec):
    image, codec = picture(), find_codec(spec)
    files = [codec.encode(image, quality) for quality in (10, 30, 50, 80)]
    rates = [8 * len(file) / image[..., 0].size for file in files]
    return [(rate, psnr_db(image, codec.decode(f))) for rate, f in zip(rates, files, strict=True)]


@pytest.mark.parametrize("name", BASES)
def test_a_basis_is_orthonormal_and_in_order_of_frequency(name):
    basis = BASES[name]
    assert np.allclose(basis.patterns @ basis.patterns.T, np.eye(64))
    assert np.all(np.diff(basis.frequencies) >= 0)
    assert np.allclose(basis.patterns[0], 1 / 8)


def test_fourier_weights_are_the_real_and_imaginary_parts_of_the_fft():
    block = np.random.default_rng(1).normal(size=(8, 8))
    spectrum = np.fft.fft2(block, norm="ortho").ravel()
    u, v = np.divmod(np.arange(64), 8)
    alone = (-u % 8 == u) & (-v % 8 == v)  # the four frequencies that are their own conjugates
    parts = np.where(alone, spectrum.real, np.sqrt(2) * spectrum.real)
    weights = BASES["dft"].patterns @ block.ravel()
    imaginary = np.sqrt(2) * spectrum.imag
    pairs = 8 * u + v <= 8 * (-u % 8) + -v % 8
    expected = np.abs(np.where(pairs, parts, imaginary))
    assert np.allclose(np.sort(np.abs(weights)), np.sort(expected))


def test_cosines_need_fewer_bits_than_fourier_waves_at_equal_psnr():
    saved = bd_rate(curve("dft"), curve("dct"))
    assert saved is not None and saved < -15


def test_the_teaching_codec_is_no_worse_than_jpeg_on_a_small_picture():
    saved = bd_rate(curve("jpeg/subsampling=4:4:4"), curve("dct"))
    assert saved is not None and saved < 0


def test_halved_chroma_needs_fewer_bytes():
    full, halved = (find_codec(spec) for spec in ("dct", "dct/subsampling=4:2:0"))
    assert len(halved.encode(picture(), 50)) < len(full.encode(picture(), 50))
    with pytest.raises(InputError, match="dct/subsampling is '4:1:1', expected 4:4:4 or 4:2:0"):
        find_codec("dct/subsampling=4:1:1").encode(picture(), 50)


@pytest.mark.parametrize("spec", ["dct", "dft", "dct/subsampling=4:2:0"])
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (7, 9), (33, 17)])
def test_any_size_comes_back_in_high_quality(spec, shape):
    image = np.zeros((*shape, 3), np.uint8) + np.arange(shape[1], dtype=np.uint8)[:, None]
    codec = find_codec(spec)
    assert psnr_db(image, codec.decode(codec.encode(image, 100))) > 45


def test_a_damaged_file_is_an_image_or_an_error_of_npegs():
    codec = find_codec("dct")
    file = codec.encode(picture(24, 40), 50)
    for length in range(0, len(file), 7):
        with pytest.raises(FormatError):
            codec.decode(file[:length])
    for position in range(len(file)):
        damaged = bytearray(file)
        damaged[position] ^= 0x55
        with suppress(NpegError):
            codec.decode(bytes(damaged))


def test_a_file_that_claims_to_be_huge_or_empty_is_refused():
    file = find_codec("dct").encode(picture(8, 8), 50)
    with pytest.raises(LimitError, match="image is 65535x65535, expected at most 524288 blocks"):
        find_codec("dct").decode(b"\xff\xff\xff\xff" + file[4:])
    with pytest.raises(FormatError, match="image is 8x0, expected one pixel or more"):
        find_codec("dct").decode(b"\0\0" + file[2:])
