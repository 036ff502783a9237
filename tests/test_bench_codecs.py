"""The codecs of the bench: each keeps the contract, and the right one is found."""

import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from npeg.bench.codecs import BUILT_IN, codec_names, find_codec, jpeg, jpeg_xl, video
from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.bdrate import bd_rate
from npeg.bench.run.measure import verify
from npeg.errors import FormatError, InputError, NpegError

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def photo(height=48, width=64):
    """A smooth picture with a few edges, (H, W, 3) uint8."""
    i, j = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(i / 9), 4 * j % 256, 128 + 80 * np.cos((i + j) / 11)]
    image = np.stack(planes, axis=-1)
    image[height // 3 :, width // 2 :] = 255 - image[height // 3 :, width // 2 :]
    return image.clip(0, 255).astype(np.uint8)


def curve(spec, *qualities):
    """Points (rate in bpp, PSNR in dB) of a codec on a part of a photograph."""
    image = np.ascontiguousarray(data.astronaut()[64:192, 128:288])
    codec = find_codec(spec)
    files = [codec.encode(image, quality) for quality in qualities]
    pixels = image.size / 3
    return [(8 * len(file) / pixels, psnr_db(image, codec.decode(file))) for file in files]


def installed(name):
    codec = find_codec(name)
    if command := codec.missing():
        pytest.skip(command)
    return codec


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_codec_gives_back_an_image_of_the_same_size(name):
    codec = installed(name)
    image = photo()
    quality = codec.qualities[len(codec.qualities) // 2]
    file = codec.encode(image, quality)
    decoded = codec.decode(file)
    assert isinstance(file, bytes)
    verify(codec, image, decoded)
    assert psnr_db(image, decoded) > 15


@pytest.mark.parametrize("shape", [(1, 1), (33, 17), (2, 9)])
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_codec_takes_small_images_with_odd_sides(name, shape):
    codec = installed(name)
    image = photo(*shape)
    verify(codec, image, codec.decode(codec.encode(image, codec.qualities[-1])))


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_higher_quality_is_a_larger_and_better_file(name):
    codec = installed(name)
    if len(codec.qualities) == 1:
        pytest.skip("one quality only")
    image = photo(128, 128)
    low, high = (codec.encode(image, q) for q in (codec.qualities[0], codec.qualities[-1]))
    assert len(low) < len(high)
    assert psnr_db(image, codec.decode(low)) < psnr_db(image, codec.decode(high))


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_codec_states_its_libraries_and_its_scale(name):
    codec = installed(name)
    assert re.search(r"\d", codec.version())
    assert "{" not in codec.label
    low, high = codec.quality_range
    assert all(low <= quality <= high for quality in codec.qualities)
    assert list(codec.qualities) == sorted(codec.qualities)


def test_options_change_the_encoder_the_spec_and_the_label():
    plain, fast = find_codec("avif"), find_codec("avif/speed=9/subsampling=4:2:0")
    assert (plain.spec, plain.label) == ("avif", "AVIF 4:4:4 speed 6")
    assert fast.spec == "avif/subsampling=4:2:0/speed=9"
    assert fast.label == "AVIF 4:2:0 speed 9"
    assert find_codec("avif/tune=psnr").label == "AVIF 4:4:4 speed 6, tune psnr"
    assert find_codec(fast.spec) == fast
    assert find_codec("npeg/effort=0").label == "npeg, effort 0"
    assert find_codec("npeg/tune=psnr").label == "npeg, tune psnr"
    image = photo(96, 96)
    assert plain.encode(image, 50) != fast.encode(image, 50)


def test_threads_are_no_option_of_the_spec():
    assert find_codec("avif", threads=2).spec == "avif"
    assert find_codec("avif", threads=2) != find_codec("avif")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jpg", "unknown codec 'jpg': known are npeg, jpeg"),
        ("avif/sped=9", "unknown option 'sped' of codec avif: known are subsampling, speed, tune"),
        ("png/x", "unknown option 'x' of codec png: known are none"),
        ("avif/speed=fast", "avif/speed is 'fast', expected a whole number"),
    ],
)
def test_an_unknown_codec_or_option_is_named(spec, message):
    with pytest.raises(InputError, match=re.escape(message)):
        find_codec(spec)


def test_the_built_in_codecs_are_the_entry_points_of_the_package():
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert project["entry-points"]["npeg.codecs"] == BUILT_IN
    assert set(BUILT_IN) <= set(codec_names())


def test_libaoms_psnr_tune_needs_fewer_bits_at_equal_psnr():
    installed("avif")
    saved = bd_rate(*(curve(f"avif/speed=8{tune}", 30, 50, 70) for tune in ("", "/tune=psnr")))
    assert saved is not None and saved < 0


@pytest.mark.parametrize("name", ["mozjpeg", "jpegli"])
def test_a_better_jpeg_encoder_writes_progressive_jpeg(name):
    file = installed(name).encode(photo(), 50)
    assert file[:2] == b"\xff\xd8" and b"\xff\xc2" in file


def test_mozjpeg_and_jpegli_need_fewer_bits_than_libjpeg_turbo():
    for name in ("mozjpeg", "jpegli"):
        installed(name)
        saved = bd_rate(curve("jpeg", 30, 60, 90), curve(name, 30, 60, 90))
    assert saved is not None and saved < 0


def test_ten_bits_of_ycbcr_keep_every_pixel_and_4_2_0_does_not():
    image = np.ascontiguousarray(data.astronaut()[64:192, 128:288])
    assert np.array_equal(installed("hevc").convert(image), image)
    assert 35 < psnr_db(image, installed("vvc").convert(image)) < 50


def test_an_option_that_a_video_encoder_lacks_is_one_line():
    installed("vvc")
    with pytest.raises(InputError, match="vvc/tune is 'ssim', expected psnr or default"):
        find_codec("vvc/tune=ssim").encode(photo(), 20)
    with pytest.raises(NpegError, match="^ffmpeg: [^\n]+$"):
        find_codec("hevc/preset=brisk").encode(photo(), 20)


def test_a_damaged_video_file_is_one_line():
    codec = installed("hevc")
    with pytest.raises(FormatError, match="file has 1 bytes, expected a header of 2"):
        codec.decode(b"x")
    with pytest.raises(NpegError, match="^ffmpeg: [^\n]+$"):
        codec.decode(b"not a stream")


COMMANDS = {
    "jxl": "pip install imagecodecs",
    "mozjpeg": 'pip install "pyvips[binary]"',
    "jpegli": "pip install pyjpegli mozjpeg-lossless-optimization",
    "hevc": "pip install imageio-ffmpeg",
    "vvc": "pip install imageio-ffmpeg",
}


@pytest.fixture
def nothing_optional(monkeypatch):
    """As on a machine without any library that is not npeg's own."""
    for module in (jpeg, jpeg_xl, video):
        monkeypatch.setattr(module, "find_spec", lambda name: None)


def test_a_codec_without_its_library_is_listed_with_the_command(nothing_optional, run):
    lines = {line.split()[0]: line for line in run("bench", "--list").out.splitlines()}
    for name, command in COMMANDS.items():
        assert lines[name].endswith(f"missing: {command}")
    assert set(lines) >= set(BUILT_IN)
    assert [name for name in BUILT_IN if "missing" in lines[name]] == [*COMMANDS, "jxl-lossless"]


def test_a_run_says_what_a_missing_codec_needs(nothing_optional, run, png):
    done = run("bench", "--images", png, "--codecs", "vvc,dct", "--metrics", "psnr", "-j", 1)
    assert "left out vvc: it needs pip install imageio-ffmpeg" in done.err.splitlines()
    assert done.status == 0 and "block DCT" in done.out


def test_an_old_ffmpeg_is_to_be_upgraded(monkeypatch):
    monkeypatch.setattr(video, "find_spec", lambda name: True)
    monkeypatch.setattr(video, "ffmpeg_has", lambda kind, name: name != "libvvenc")
    assert find_codec("hevc").missing() is None
    assert find_codec("vvc").missing() == "pip install --upgrade imageio-ffmpeg"


def test_a_decoded_image_of_another_size_is_refused():
    with pytest.raises(NpegError, match=re.escape("decoded image is uint8 (3, 4, 3), expected")):
        verify(find_codec("jpeg"), photo(), photo(3, 4))


def test_a_lossless_codec_that_changes_a_pixel_is_refused():
    changed = photo()
    changed[0, 0, 0] += 1
    verify(find_codec("jpeg"), photo(), changed)
    with pytest.raises(NpegError, match="1 pixels differ after decoding"):
        verify(find_codec("png"), photo(), changed)


def test_npeg_leaves_the_environment_as_it_was(monkeypatch):
    codec = installed("npeg")
    monkeypatch.setenv("NPEG_THREADS", "3")
    codec.decode(codec.encode(photo(), 20))
    assert os.environ["NPEG_THREADS"] == "3"
