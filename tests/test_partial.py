"""A part of a file is a picture, and a small picture needs the first bytes alone."""

import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile
from skimage import data

import npeg
from npeg import codec, container, latents, sections, tiles
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.errors import FormatError, InputError


def psnr_db(a: Pixels, b: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(a.astype(float) - b).mean()))


def averaged(pixels: Pixels, factor: int) -> NDArray[np.float64]:
    height, width = (side // factor for side in pixels.shape[:2])
    whole = pixels[: height * factor, : width * factor].astype(float)
    return whole.reshape(height, factor, width, factor, -1).mean((1, 3))


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return np.ascontiguousarray(data.astronaut()[20:260, 100:420])  # (240, 320, 3)


@pytest.fixture(scope="module")
def layered(photo: Pixels) -> dict[str, bytes]:
    """Files in layers: one tile, six, with alpha, with a residual, of exact tiles too."""
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[50:100] = 40
    mixed = photo.copy()
    mixed[:128, :128] = 200
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(latents, "LAYERED", 0)
        quick, small = EncoderOptions(effort=0), EncoderOptions(effort=0, tile_size=128)
        return {
            "one": codec.encode_pixels(photo, 140, quick),
            "tiles": codec.encode_pixels(photo, 140, small),
            "alpha": codec.encode_pixels(np.dstack([photo, alpha]), 140, small),
            "residual": codec.encode_pixels(photo, 196, small),
            "mixed": codec.encode_pixels(mixed, 140, small),
            "grey": codec.encode_pixels(photo[..., 1], 140, quick),
        }


def kinds_of(file: bytes) -> str:
    """Return the letters of a file's sections, in its order."""
    return "".join(kind.decode() for kind, _ in container.read_sections(file)[1])


def ends_of(file: bytes) -> list[int]:
    """Return where each section of a file ends."""
    header, stream, found = container.read_header(file), io.BytesIO(file), []
    stream.seek(container.HEADER_SIZE)
    while stream.tell() < len(file):
        head = sections.read_head(stream, header.tiles > 1)
        found.append(stream.seek(head.length, 1))
    return found


# --- what is in a file ---


def test_layers_come_tile_by_tile_and_one_after_another(layered: dict[str, bytes]) -> None:
    assert kinds_of(layered["one"]) == "HLMT"
    assert kinds_of(layered["tiles"]) == "HHHHHHLLLLLLMMMMMMTTTTTT"
    assert kinds_of(layered["alpha"]) == "HHHHHHLLLLLLAAAAAAMMMMMMTTTTTT"
    assert kinds_of(layered["mixed"]) == "HHHHHLLLLLMMMMMETTTTT"
    assert kinds_of(layered["residual"]) == "HLTTTTTMTRRRRRR"  # five have a residual alone


def test_layers_hold_the_same_symbols_in_hardly_more_bytes(photo: Pixels) -> None:
    for level in (100, 150, 190):
        files = []
        for least in (1 << 30, 0):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(latents, "LAYERED", least)
                files.append(codec.encode_pixels(photo, level, EncoderOptions(effort=0)))
        one, other = map(codec.decode_pixels, files)
        np.testing.assert_array_equal(one, other)
        assert len(files[1]) - len(files[0]) <= 41  # 1 % of the least tile that has layers


def test_small_tiles_have_no_layers(photo: Pixels) -> None:
    options = EncoderOptions(effort=0)
    small, large = (codec.encode_pixels(photo, level, options) for level in (60, 180))
    assert len(small) < latents.LAYERED < len(large)
    assert (kinds_of(small), kinds_of(large)[:4]) == ("T", "HLMT")


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ("LT", "no hyper-latents"),
        ("HE", "an exact tile is behind latents"),
        ("HLM", "truncated: 0 of 1 tiles"),
        ("HTM", "'M' of tile 0 is behind H, T"),
        ("HLLT", "'L' of tile 0 is behind H, L"),
        ("LHT", "'H' of tile 0 is behind L"),
    ],
)
def test_sections_that_do_not_go_together_are_refused(kinds: str, message: str) -> None:
    header = container.Header(8, 100, 40, 40)
    *before, last = [kind.encode() for kind in kinds]
    file = container.pack_header(header) + b"".join(
        [sections.pack_section(kind, b"x") for kind in before]
        + [sections.pack_section(last, b"x", last=True)]
    )
    with pytest.raises(FormatError, match=message):
        codec.decode_pixels(file)


def test_the_encoder_may_leave_layers_out(photo: Pixels, layered: dict[str, bytes]) -> None:
    """Each layer takes what those before it have left."""
    header, (parts,) = container.read_tiles(layered["one"])
    (place,) = tiles.tiles_of(header)
    from npeg import entropy, networks

    model, level = networks.load(header.model_id), header.networks_level
    z_hat, symbols, indexes = latents.read(model, parts, place.latent_shape(), level)
    coded = indexes >= model.first_coded
    for kinds in ("HT", "HMT", "HLT"):
        some = {kind.encode(): b"" for kind in kinds}
        some[b"H"] = entropy.encode([latents.hyper_group(model, z_hat, level)], model.tables)
        for kind, channels in latents._layers(model, some):
            where = coded & channels[:, None, None]
            group = symbols[where].astype(np.int32), indexes[where]
            some[kind] = entropy.encode([group], model.tables)
        file = container.write(header, [some])
        np.testing.assert_array_equal(codec.decode_pixels(file), npeg.decode(layered["one"]))


# --- cut files ---


def test_a_cut_file_is_an_error_unless_it_may_be_cut(layered: dict[str, bytes]) -> None:
    for name, file in layered.items():
        for end in [*ends_of(file)[:-1], len(file) - 1]:
            for size in (end, end + 1 if end + 1 < len(file) else end):
                with pytest.raises(FormatError, match="truncated"):
                    container.read_tiles(file[:size])
        with pytest.warns(UserWarning, match="cut after .* bytes: what is missing"):
            part = npeg.decode(file[: len(file) // 2], partial=True)
        assert part.shape == npeg.decode(file).shape, name


def test_a_whole_file_that_may_be_cut_decodes_as_ever(layered: dict[str, bytes]) -> None:
    for file in layered.values():
        np.testing.assert_array_equal(npeg.decode(file, partial=True), npeg.decode(file))


@pytest.mark.filterwarnings("ignore:the file is cut")
def test_each_layer_makes_the_picture_better(photo: Pixels, layered: dict[str, bytes]) -> None:
    whole = npeg.decode(layered["one"])
    found = [psnr_db(npeg.decode(layered["one"][:end], partial=True), whole)
             for end in ends_of(layered["one"])[:-1]]  # fmt: skip
    assert all(b > a + 2 for a, b in pairwise(found))
    assert found[0] > 15
    assert found[-1] > 25
    shares = [end / len(layered["one"]) for end in ends_of(layered["one"])]
    assert shares[0] < 0.1
    assert shares[1] < 0.4


@pytest.mark.filterwarnings("ignore:the file is cut")
def test_what_is_missing_has_a_stand_in(layered: dict[str, bytes], photo: Pixels) -> None:
    kinds, ends = kinds_of(layered["alpha"]), ends_of(layered["alpha"])
    opaque = npeg.decode(layered["alpha"][: ends[kinds.index("A") - 1]], partial=True)
    assert (opaque[..., 3] == 255).all()
    with_alpha = npeg.decode(layered["alpha"][: ends[kinds.rindex("A")]], partial=True)
    np.testing.assert_array_equal(with_alpha[..., 3], npeg.decode(layered["alpha"])[..., 3])
    first = npeg.decode(layered["tiles"][: ends_of(layered["tiles"])[0]], partial=True)
    assert psnr_db(first[:128, :128], photo[:128, :128]) > 14
    assert np.abs(first[:, 256:].astype(int) - 128).max() < 20  # nothing is known there
    kinds, ends = kinds_of(layered["mixed"]), ends_of(layered["mixed"])
    grey = npeg.decode(layered["mixed"][: ends[kinds.index("E") - 1]], partial=True)
    assert (grey[:120, :120] == 128).all()


def test_a_file_without_any_part_of_the_picture_is_an_error(layered: dict[str, bytes]) -> None:
    for size in (0, 10, container.HEADER_SIZE, container.HEADER_SIZE + 50):
        with pytest.raises(npeg.NpegError):
            npeg.decode(layered["one"][:size], partial=True)
    damaged = bytearray(layered["one"])
    damaged[60] ^= 1
    with pytest.raises(FormatError, match="damaged"):
        npeg.decode(bytes(damaged), partial=True)


def test_decode_allow_partial_writes_what_has_arrived(
    run: Callable[..., Any], layered: dict[str, bytes]
) -> None:
    file = layered["one"]
    Path("x.npeg").write_bytes(file[: len(file) // 2])
    done = run("decode", "x.npeg")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "truncated" in done.err
    assert not Path("x.png").exists()
    done = run("decode", "x.npeg", "--allow-partial")
    assert (done.status, done.err.count("\n")) == (0, 1)
    assert "warning: x.npeg: the file is cut" in done.err
    with Image.open("x.png") as image:
        assert image.size == (320, 240)
    done = run("decode", "x.npeg", "y.png", "--allow-partial", "--scale", "1/8")
    assert done.status == 1
    assert "found --scale and --allow-partial, expected one of them" in done.err


@pytest.mark.usefixtures("plugin")
def test_pillow_loads_cut_files_where_it_may(
    layered: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = layered["tiles"][: len(layered["tiles"]) // 2]
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(cut)).load()
    parser = ImageFile.Parser()
    for at in range(0, len(cut), 500):
        parser.feed(cut[at : at + 500])
    assert parser.image is not None
    assert parser.image.size == (320, 240)
    with pytest.raises(OSError, match="truncated"):
        parser.close()
    parser = ImageFile.Parser()
    for at in range(0, len(layered["tiles"]), 500):
        parser.feed(layered["tiles"][at : at + 500])
    np.testing.assert_array_equal(np.asarray(parser.close()), npeg.decode(layered["tiles"]))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    parser = ImageFile.Parser()
    parser.feed(cut)
    with pytest.warns(UserWarning, match="the file is cut"):
        found = np.asarray(parser.close())
    with pytest.warns(UserWarning, match="the file is cut"):
        np.testing.assert_array_equal(found, npeg.decode(cut, partial=True))


# --- small pictures ---


@pytest.mark.parametrize("name", ["one", "tiles", "alpha", "residual", "mixed", "grey"])
def test_small_pictures_are_near_to_the_averaged_whole(
    layered: dict[str, bytes], name: str, photo: Pixels
) -> None:
    whole = npeg.decode(layered[name])
    for factor, least in ((4, 27.0), (8, 28.0), (16, 25.0)):
        small = npeg.decode(layered[name], scale=1 / factor)
        assert small.shape == (-(-240 // factor), -(-320 // factor), *whole.shape[2:])
        assert small.flags.c_contiguous
        expected = averaged(whole, factor).squeeze()
        part = small[: expected.shape[0], : expected.shape[1]]
        assert psnr_db(part, expected.astype(np.uint8)) > least, factor


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


def test_a_small_picture_reads_the_first_bytes_alone(
    layered: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from npeg.networks import Model

    monkeypatch.setattr(Model, "synthesis", lambda *_: pytest.fail("a synthesis was run"))
    for name, last in (
        ("one", {16: "L", 8: "M"}),
        ("tiles", {16: "L", 4: "M"}),
        ("alpha", {8: "M"}),
    ):
        kinds, ends = kinds_of(layered[name]), ends_of(layered[name])
        for factor, kind in last.items():
            file, needed = Counted(layered[name]), ends[kinds.rindex(kind)]
            found = npeg.decode(file, scale=1 / factor)
            assert file.count == needed
            cut = npeg.decode(layered[name][:needed], scale=1 / factor)
            np.testing.assert_array_equal(found, cut)
            with pytest.raises(FormatError, match="truncated"):
                npeg.decode(layered[name][: needed - 1], scale=1 / factor)


@pytest.mark.parametrize("shape", [(1, 1), (17, 3), (64, 130), (65, 63, 3), (20, 200, 4)])
@pytest.mark.parametrize("lossless", [True, False])
def test_small_pictures_of_any_size(shape: tuple[int, ...], lossless: bool) -> None:
    pixels = np.random.default_rng(1).integers(90, 160, shape).astype(np.uint8)
    file = npeg.encode(pixels, 95, lossless=lossless)
    for factor in (4, 8, 16):
        small = npeg.decode(file, scale=1 / factor)
        assert small.shape == (-(-shape[0] // factor), -(-shape[1] // factor), *shape[2:])
        assert 80 < small.mean() < 170


def test_a_thumbnail_fits_and_keeps_its_shape(layered: dict[str, bytes]) -> None:
    file = layered["one"]
    assert npeg.thumbnail(file, 40).shape == (30, 40, 3)
    assert npeg.thumbnail(file, (320, 24)).shape == (24, 32, 3)
    assert npeg.thumbnail(file).shape == (192, 256, 3)
    np.testing.assert_array_equal(npeg.thumbnail(file, 1000), npeg.decode(file))
    for wrong in (0, -1, 2.5, (1, 2, 3), "12", True):
        with pytest.raises(InputError, match="found the size"):
            npeg.thumbnail(file, wrong)  # type: ignore[arg-type]
    no_scales: tuple[Any, ...] = (0, 2, 1 / 3, 1 / 32, "1/8", None, True)
    for wrong in no_scales:
        if wrong is not True:
            with pytest.raises(InputError, match="found the scale"):
                npeg.decode(file, scale=wrong)
    with pytest.raises(InputError, match="found several of region, scale and partial"):
        npeg.decode(file, scale=1 / 8, region=(0, 0, 8, 8))


def test_dither_files_have_small_pictures_too(photo: Pixels) -> None:
    file = npeg.encode(photo[:64, :96], codec="dither8")
    assert npeg.decode(file, scale=1 / 8).shape == (8, 12, 3)


def test_decode_scale_writes_a_small_picture(
    run: Callable[..., Any], layered: dict[str, bytes]
) -> None:
    Path("x.npeg").write_bytes(layered["one"])
    assert run("decode", "x.npeg", "--scale", "1/8").status == 0
    with Image.open("x.png") as image:
        found = np.asarray(image)
    np.testing.assert_array_equal(found, npeg.decode(layered["one"], scale=1 / 8))
    assert run("decode", "x.npeg", "--scale", "1/3").status == 2


@pytest.mark.usefixtures("plugin")
def test_pillow_drafts_and_makes_thumbnails(
    layered: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = Image.open(io.BytesIO(layered["one"]))
    assert image.draft("RGB", (40, 30)) == ("RGB", (0, 0, 40, 30))
    assert image.size == (40, 30)
    np.testing.assert_array_equal(np.asarray(image), npeg.decode(layered["one"], scale=1 / 8))
    image = Image.open(io.BytesIO(layered["one"]))
    assert image.draft("RGB", (200, 200)) is None
    monkeypatch.setattr(codec, "decode_pixels", lambda *_: pytest.fail("all was decoded"))
    image.thumbnail((24, 24))
    assert image.size == (24, 18)
    assert np.asarray(image).std() > 20
