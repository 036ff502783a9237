"""The codec: any size, the same symbols everywhere, the encoder's image is the decoder's."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from npeg import codec, container, entropy, latents, networks, tiles
from npeg.arrays import Pixels
from npeg.bench.metrics import ssimulacra2
from npeg.encoder_rule import EFFORTS, EncoderOptions
from npeg.errors import FormatError, InputError, LimitError, NpegError

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"


def scene(height: int, width: int) -> Pixels:
    """Return a made-up photograph: a gradient, soft texture and a bright disc."""
    i, j = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).normal(0, 6, (height, width, 1))
    ramp = np.stack([60 + i / 3, 90 + j / 4, 160 - (i + j) / 5], axis=-1)
    disc = ((i - height / 2) ** 2 + (j - width / 3) ** 2 < (height / 4) ** 2)[..., None]
    return np.clip(ramp + noise + 70 * disc, 0, 255).astype(np.uint8)


def psnr_db(a: Pixels, b: Pixels) -> float:
    error = max(float(np.mean((a.astype(float) - b) ** 2)), 1e-9)  # exact tiles have none
    return float(10 * np.log10(255**2 / error))


SIZES = [(1, 1), (1, 65), (65, 1), (16, 16), (17, 31), (63, 65), (64, 64), (65, 63), (130, 200)]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_comes_back_in_its_size(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    decoded = codec.decode_pixels(codec.encode_pixels(pixels, 160))
    assert decoded.shape == pixels.shape
    assert decoded.dtype == np.uint8
    assert psnr_db(decoded, pixels) > 27


def test_a_grey_image_stays_grey() -> None:
    grey = scene(70, 90)[..., 1]
    decoded = codec.decode_pixels(codec.encode_pixels(grey, 160))
    assert decoded.shape == grey.shape
    assert psnr_db(decoded, grey) > 27


def test_files_grow_and_errors_shrink_with_the_quality() -> None:
    pixels = scene(128, 192)
    files = [codec.encode_pixels(pixels, level) for level in range(0, 201, 40)]
    sizes = [len(data) for data in files]
    quality = [psnr_db(codec.decode_pixels(data), pixels) for data in files]
    assert sizes == sorted(sizes)
    assert quality == sorted(quality)


def test_one_and_two_threads_write_and_read_the_same_symbols() -> None:
    z_hat = np.random.default_rng(5).integers(-40, 40, (networks.load().hyper_latents, 5, 7))
    one, two = (networks.load(threads=n) for n in (1, 2))
    for level in (0, 77, 200):
        z = z_hat.astype(np.float32)
        assert np.array_equal(one.scale_indexes(z, level), two.scale_indexes(z, level))


def test_a_file_encoded_with_one_thread_decodes_with_two(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = scene(130, 140)
    images = []
    for writer, reader in (("1", "2"), ("2", "1")):
        monkeypatch.setenv("NPEG_THREADS", writer)
        data = codec.encode_pixels(pixels, 120)
        monkeypatch.setenv("NPEG_THREADS", reader)
        images.append(codec.decode_pixels(data).astype(int))
    assert np.abs(images[0] - images[1]).max() <= 1


def test_the_encoders_reconstruction_is_the_decoders_image() -> None:
    pixels = scene(200, 150)
    data, reconstruction = codec.encode_with_reconstruction(pixels, 90)
    assert data == codec.encode_pixels(pixels, 90)
    assert np.array_equal(reconstruction, codec.decode_pixels(data))


@pytest.mark.parametrize("tile_size", [None, 128])
@pytest.mark.parametrize("level", [20, 60, 100, 140, 180])
def test_more_effort_lowers_rate_and_distortion(level: int, tile_size: int | None) -> None:
    """Their sum as in training, R + lmbda * 255^2 * MSE with 20 * 800^t for lmbda * 255^2."""
    pixels = np.ascontiguousarray(astronaut()[:200, 100:356])
    costs = []
    for effort in EFFORTS:
        file, decoded = codec.encode_with_reconstruction(
            pixels, level, EncoderOptions(effort, "psnr", tile_size)
        )
        mse = np.mean((pixels.astype(float) - decoded) ** 2) / 255**2
        costs.append(8 * len(file) / pixels[..., 0].size + 20 * 800 ** (level / 200) * mse)
    assert costs[1] < 0.998 * costs[0]


@pytest.mark.parametrize("level", [40, 80, 120])
def test_each_tune_is_better_at_what_it_is_for(level: int) -> None:
    """At the size of the other's file or less."""
    pixels = np.ascontiguousarray(astronaut()[:256, 100:400])
    data, plain = codec.encode_with_reconstruction(pixels, level, EncoderOptions(tune="psnr"))
    seen = (codec.encode_with_reconstruction(pixels, n) for n in range(196, 0, -4))
    visual = next(decoded for file, decoded in seen if len(file) <= len(data))
    assert ssimulacra2.score(pixels, visual) > ssimulacra2.score(pixels, plain) + 3
    assert psnr_db(visual, pixels) < psnr_db(plain, pixels)


def test_tiles_leave_no_seams() -> None:
    pixels = scene(200, 330)
    whole = codec.decode_pixels(codec.encode_pixels(pixels, 140))
    tiled = codec.decode_pixels(codec.encode_pixels(pixels, 140, EncoderOptions(tile_size=128)))
    seam = np.abs(tiled.astype(float) - pixels)[:, 124:132].mean()
    elsewhere = np.abs(whole.astype(float) - pixels)[:, 124:132].mean()
    assert seam < 1.15 * elsewhere
    assert psnr_db(tiled, pixels) > psnr_db(whole, pixels) - 0.3


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(40, 30, 1024), (1000, 1024, 1024), (70, 1100, 1152), (16, 2100, 1024), (1250, 1300, 1024)],
)
def test_pictures_that_are_synthesised_at_once_are_one_tile(
    height: int, width: int, side: int
) -> None:
    data = codec.encode_pixels(np.zeros((height, width), np.uint8), 20)
    assert container.read_tiles(data)[0].tile_size == side


def test_each_tile_is_decoded_without_the_others() -> None:
    pixels = scene(128, 256)
    header, payloads = container.read_tiles(
        codec.encode_pixels(pixels, 100, EncoderOptions(tile_size=128))
    )
    right = container.Header(header.model_id, 100, 128, 128, tile_size=128)
    alone = codec.decode_pixels(container.write(right, payloads[1:]))
    assert psnr_db(alone, pixels[:, 128:]) > 25


def test_synthesis_by_tiles_equals_synthesis_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "AT_ONCE", 0)
    model = networks.load()
    header = container.Header(networks.DEFAULT_MODEL, 100, 448, 128, tile_size=192)
    y_hat = np.random.default_rng(3).normal(0, 2, (256, 8, 28)).astype(np.float32)
    places = tiles.tiles_of(header)
    parts = [y_hat[:, :, t.left // 16 : -(-t.right // 16)] for t in places]
    at_once = model.synthesis(y_hat, 100).astype(int)
    found = tiles.with_pixels(parts, lambda part: part, header)
    by_tiles = np.zeros((128, 448, 3), int)
    for place, (_, pixels) in zip(tiles.tiles_of(header), found, strict=True):
        by_tiles[place.pixels] = pixels()
    assert np.abs(at_once - by_tiles).max() <= 1


def test_the_payload_is_as_long_as_its_tables_say() -> None:
    pixels = scene(256, 384)
    model = networks.load()
    header, (parts,) = container.read_tiles(codec.encode_pixels(pixels, 120))
    (tile,) = tiles.tiles_of(header)
    z_hat, symbols, indexes = latents.read(model, parts, tile.latent_shape(), 120)
    coded = indexes >= model.first_coded
    index_z = np.repeat(model.index_z(120), z_hat[0].size)
    bits = entropy.entropy_bits(z_hat.astype(int).ravel(), index_z, model.tables)
    bits += entropy.entropy_bits(symbols[coded].astype(int), indexes[coded], model.tables)
    assert not symbols[~coded].any()
    assert len(parts[b"T"]) <= 1.02 * bits / 8 + 16


def small_file() -> bytes:
    return codec.encode_pixels(scene(24, 40), 60)


def test_every_truncation_of_a_file_is_refused() -> None:
    data = small_file()
    for size in range(len(data)):
        with pytest.raises(NpegError):
            codec.decode_pixels(data[:size])


def test_every_flipped_bit_of_a_file_is_refused() -> None:
    data = small_file()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NpegError):
            codec.decode_pixels(bytes(damaged))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(payload=st.binary(max_size=120), level=st.integers(0, 200))
def test_any_payload_behind_right_checksums_gives_an_image_or_one_line(
    payload: bytes, level: int
) -> None:
    data = container.write(
        container.Header(networks.DEFAULT_MODEL, level, 70, 40), [{b"T": payload}]
    )
    try:
        assert codec.decode_pixels(data).shape == (40, 70, 3)
    except FormatError as error:
        assert "\n" not in str(error)


def test_an_unknown_model_is_refused_by_name() -> None:
    data = container.write(container.Header(250, 100, 16, 16), [{b"T": b""}])
    with pytest.raises(FormatError, match="needs model 250, this npeg has 7, 8"):
        codec.decode_pixels(data)


@pytest.mark.parametrize("model_id", sorted(networks.WITHDRAWN))
def test_a_withdrawn_model_is_refused_by_name(model_id: int) -> None:
    data = container.write(container.Header(model_id, 100, 16, 16), [{b"T": b""}])
    message = f"needs model {model_id}, a preview that was never released"
    with pytest.raises(FormatError, match=message):
        codec.decode_pixels(data)


@pytest.mark.parametrize(
    ("pixels", "level", "message"),
    [
        (np.zeros((4, 4, 5), np.uint8), 100, r"uint8 \(4, 4, 5\)"),
        (np.zeros((4, 4, 3), np.uint32), 100, "uint32"),
        (np.zeros((0, 4, 3), np.uint8), 100, r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), 201, "quality is 100.5, expected 0 to 100"),
        (np.zeros((4, 4, 3), np.uint8), -1, "quality is -0.5"),
    ],
)
def test_what_cannot_be_encoded_is_refused(pixels: Pixels, level: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode_pixels(pixels, level)


def test_an_unknown_tune_is_refused() -> None:
    with pytest.raises(InputError, match="tune is 'ssim', expected visual or psnr"):
        EncoderOptions(tune="ssim")


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(InputError, match="effort is 2, expected 0 to 1"):
        EncoderOptions(effort=2)


def test_an_image_beyond_the_limit_is_refused() -> None:
    pixels = np.broadcast_to(np.uint8(0), (1 << 14, 1 << 14))
    with pytest.raises(LimitError, match="expected at most 179 million"):
        codec.encode_pixels(pixels, 100)


def test_golden_files_decode_for_ever() -> None:
    """Each line of golden/sha256.txt: digest of the file, its name, its size and mean colour."""
    lines = (GOLDEN / "sha256.txt").read_text().splitlines()
    assert lines
    for line in lines:
        digest, name, *numbers = line.split()
        data = (GOLDEN / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, f"{name} was changed"
        pixels = codec.decode_pixels(data)
        height, width = pixels.shape[:2]
        assert [height, width] == [int(n) for n in numbers[:2]]
        np.testing.assert_allclose(
            pixels.reshape(height * width, -1).mean(0).mean(), float(numbers[2]), atol=0.02
        )


def test_the_example_of_the_specification_decodes_as_it_says() -> None:
    text = (ROOT / "SPEC.md").read_text().split("## 12. Example")[1]
    dump = re.findall(r"^    [0-9a-f]{4}: ((?:[0-9a-f]{2} ?)+)", text, re.M)
    data = bytes.fromhex("".join(dump))
    colours = re.findall(r"^    row (\d), column (\d): (\d+) (\d+) (\d+)", text, re.M)
    pixels = codec.decode_pixels(data)
    assert len(colours) >= 2
    for row, column, *rgb in colours:
        found = pixels[int(row), int(column)].astype(int)
        assert np.abs(found - [int(v) for v in rgb]).max() <= 1
