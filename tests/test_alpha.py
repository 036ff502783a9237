"""Alpha and lossless, from inputs to files to outputs."""

import io
from pathlib import Path

import numpy as np
import pytest
from conftest import info_of
from PIL import Image, ImageDraw

import npeg
from npeg import codec, transparency
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.errors import InputError


@pytest.fixture(scope="module")
def rgba(photo: Pixels) -> Pixels:
    """A photograph behind a soft disc, (64, 80, 4)."""
    mask = Image.new("L", (80, 64))
    ImageDraw.Draw(mask).ellipse((8, 8, 70, 60), fill=255)
    soft = np.asarray(mask.resize((20, 16)).resize((80, 64), Image.Resampling.BICUBIC))
    return np.dstack([photo[:64, :80], soft])


def opened(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Image.open(buffer)


def modes(rgba: Pixels) -> dict[str, Image.Image | Pixels]:
    """Return one picture in all the ways that transparency comes in."""
    image = Image.fromarray(rgba)
    palette = image.convert("RGB").quantize(16)
    palette.info["transparency"] = 3
    return {
        "RGBA": image,
        "LA": image.convert("LA"),
        "PA": image.convert("PA"),
        "P with a transparent colour": opened(palette),
        "array (H, W, 4)": rgba,
        "array (H, W, 2)": np.ascontiguousarray(rgba[..., 2:]),
    }


def test_alpha_comes_back_as_it_was_from_every_mode(rgba: Pixels) -> None:
    for name, image in modes(rgba).items():
        found = npeg.decode(npeg.encode(image, 40, effort=0))
        whole = image if isinstance(image, np.ndarray) else np.asarray(image.convert("RGBA"))
        np.testing.assert_array_equal(found[..., -1], whole[..., -1], err_msg=name)
        assert found.shape[2] == (2 if "LA" in name or "2)" in name else 4), name


def test_lossless_gives_every_pixel_back(rgba: Pixels) -> None:
    for pixels in (rgba, rgba[..., :3], rgba[..., 0], rgba[..., 2:], rgba[..., [1, 1, 1, 3]]):
        data = npeg.encode(np.ascontiguousarray(pixels), lossless=True)
        np.testing.assert_array_equal(npeg.decode(data), pixels)
        assert info_of(data).lossless


def test_lossless_takes_no_target(rgba: Pixels) -> None:
    with pytest.raises(InputError, match="found lossless and a target, expected one of them"):
        npeg.encode(rgba, lossless=True, size=1000)


def test_opaque_alpha_costs_nothing(photo: Pixels) -> None:
    opaque = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    assert npeg.encode(opaque, 30, effort=0) == npeg.encode(photo, 30, effort=0)


def test_less_alpha_quality_takes_fewer_bytes_and_keeps_the_ends(rgba: Pixels) -> None:
    alpha = rgba[..., 3]
    sizes = []
    for quality, most in ((100, 0), (60, 2), (20, 4), (0, 9)):
        payload = transparency.encode(alpha, quality)
        found = transparency.decode(payload, *alpha.shape).astype(int)
        assert abs(found - alpha).max() <= most
        assert (found[alpha == 0] == 0).all() and (found[alpha == 255] == 255).all()
        sizes.append(len(payload))
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] < sizes[0] / 1.5
    with pytest.raises(InputError, match="alpha quality is 101, expected 0 to 100"):
        npeg.encode(rgba, alpha_quality=101)


def test_colours_under_full_transparency_cost_next_to_nothing(rgba: Pixels) -> None:
    hidden = rgba[..., 3] == 0
    noisy = rgba.copy()
    noisy[hidden, :3] = np.random.default_rng(0).integers(0, 256, (int(hidden.sum()), 3))
    assert npeg.encode(noisy, 50, effort=0) == npeg.encode(rgba, 50, effort=0)
    filled = transparency.fill(noisy)
    np.testing.assert_array_equal(filled[~hidden], rgba[~hidden])
    np.testing.assert_array_equal(transparency.fill(filled), filled)


def test_exact_tiles_are_chosen_where_they_are_smaller(photo: Pixels) -> None:
    white = np.full((64, 128, 3), 255, np.uint8)
    found = info_of(npeg.encode(white))
    assert found.lossless and found.size_bytes < 50
    mixed = np.concatenate([white[:, :64], photo[:64, :64]], axis=1)
    for effort in (0, 1):
        options = EncoderOptions(effort, tile_size=64)
        data, known = codec.encode_with_reconstruction(mixed, 150, options)
        assert sorted(s.type for s in npeg.info(data).sections) == ["E", "T"]
        pixels = codec.decode_pixels(data)
        assert (pixels[:, :64] == 255).all()
        assert abs(pixels.astype(int) - known).max() <= 1


def test_pillow_opens_and_saves_alpha(rgba: Pixels, plugin: None, tmp_path: Path) -> None:
    for mode in ("RGBA", "LA"):
        image = Image.fromarray(rgba).convert(mode)
        image.save(tmp_path / "x.npeg", lossless=True)
        with Image.open(tmp_path / "x.npeg") as found:
            assert found.mode == mode
            assert found.tobytes() == image.tobytes()


def test_the_command_line_keeps_flattens_or_refuses_alpha(run, rgba: Pixels) -> None:
    Image.fromarray(rgba).save("x.png")
    assert run("encode", "x.png", "--lossless").status == 0
    assert "RGB with alpha" in (out := run("info", "x.npeg").out) and "lossless" in out
    assert run("decode", "x.npeg", "y.png").status == 0
    np.testing.assert_array_equal(np.asarray(Image.open("y.png")), rgba)
    refused = run("decode", "x.npeg", "y.jpg")
    assert refused.status == 1
    assert "JPEG does not hold: add --background white" in refused.err
    assert run("decode", "x.npeg", "y.jpg", "--background", "#ff0000").status == 0
    assert np.asarray(Image.open("y.jpg"))[0, 0, 0] > 240
    assert run("encode", "x.png", "z.npeg", "--background", "white", "--lossless").status == 0
    assert npeg.decode("z.npeg").shape == (64, 80, 3)
    wrong = run("decode", "x.npeg", "w.png", "--background", "whitish")
    assert wrong.status == 1 and "found the background 'whitish', expected a name" in wrong.err


def test_flattening_is_what_pillow_makes_of_it(rgba: Pixels) -> None:
    image = Image.fromarray(rgba)
    behind = Image.new("RGBA", image.size, "#4080c0")
    expected = np.asarray(Image.alpha_composite(behind, image).convert("RGB")).astype(int)
    assert abs(transparency.flatten(rgba, "#4080c0") - expected).max() <= 1
    grey = np.ascontiguousarray(rgba[..., 2:])
    assert transparency.flatten(grey, "white").shape == (64, 80)
    assert transparency.flatten(grey, "red").shape == (64, 80, 3)
