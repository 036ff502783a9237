"""The residual layer: what is coded comes back, what is damaged is refused, and it pays."""

import ast
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from npeg import codec, container, residual, residual_order, residual_rule, targets
from npeg.arrays import Pixels
from npeg.encoder_rule import EncoderOptions
from npeg.errors import FormatError, NpegError
from npeg.residual import Residual
from npeg.residual_order import BINS, Group, Order, bin_of, middle_of_bin
from npeg.residual_rule import Steps
from npeg.sections import EXACT, RESIDUAL, TILE

SIZES = [(1, 1), (1, 70), (7, 8), (8, 9), (33, 1), (64, 63), (70, 70)]
PSNR = EncoderOptions(tune="psnr")


def random_residual(height: int, width: int, planes: int, seed: int = 0) -> Residual:
    """Return symbols that get rarer from band to band, a few of them large."""
    rng = np.random.default_rng(seed)
    shape = (planes, 8, 8, -(-height // 8), -(-width // 8))
    scale = 6 / (1 + np.add.outer(np.arange(8), np.arange(8))) ** 1.5
    symbols = np.rint(rng.laplace(0, 1, shape) * scale[None, :, :, None, None]).astype(np.int32)
    symbols[0, 0, 0, 0, 0] = 3000
    return Residual(symbols, (24, 30, 30)[:planes])


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_symbols_survive_the_round_trip(size: tuple[int, int], planes: int, alone: bool) -> None:
    wanted = random_residual(*size, planes)
    wanted = Residual(wanted.symbols, wanted.steps, alone)
    found = residual.unpack(residual.pack(wanted), *size, planes, alone=alone)
    assert (found.symbols == wanted.symbols).all()
    assert (found.steps, found.alone) == (wanted.steps, alone)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("size", [*SIZES, (500, 70)])
def test_compiled_loops_and_numpy_write_the_same(
    size: tuple[int, int], planes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("npeg._residual", reason="npeg was installed without a C compiler")
    wanted = random_residual(*size, planes)
    wanted.symbols[0, 3, 1] = 20_000  # above what counts, in contexts that are halved
    payload = residual.pack(wanted)
    pixels = residual.inverse(wanted.symbols, wanted.worth, *size)
    for module in (residual, residual_order):
        monkeypatch.setattr(module, "kernel", None)
    assert np.abs(residual.inverse(wanted.symbols, wanted.worth, *size) - pixels).max() < 1e-7
    assert residual.pack(wanted) == payload
    assert (residual.unpack(payload, *size, planes).symbols == wanted.symbols).all()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("expect", "nnnn 0 2 SC"),  # the context says 4 blocks a band: of 3 bands
        ("expect", "nnnn 3 2 SC"),
        ("choose", "SCS h 1 (2,2) bt II"),
        ("learn", "I s cc"),
        ("keep", "S 0 2 (2,2) nnnn"),
        ("inverse", "S fff (1,2,2) f"),
    ],
)
def test_compiled_loops_refuse_arrays_that_are_too_short(name: str, arguments: str) -> None:
    kernel = pytest.importorskip("npeg._residual", reason="no C compiler")
    arrays = {
        "n": np.zeros((1, 1), np.int32),
        "S": np.zeros((3, 4), np.int32),
        "C": np.zeros((3, 4), np.uint8),
        "f": np.zeros(64),
        "h": np.array([0, 4]),  # block 4 of 4
        "b": np.zeros(1 << 16, np.int64),
        "t": np.zeros(320, np.int64),
        "I": np.zeros((3, 2), np.int64),
        "s": np.zeros(3, np.int32),
        "c": np.zeros(320, np.int64),
    }
    given = [
        part
        for word in arguments.split()
        for part in ([ast.literal_eval(word)] if word[0] in "(0123" else [arrays[k] for k in word])
    ]
    with pytest.raises(ValueError, match="too short|no such diagonal|out of range"):
        getattr(kernel, name)(*given)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_the_transform_and_its_inverse_give_the_difference(
    size: tuple[int, int], planes: int
) -> None:
    difference = np.random.default_rng(1).integers(-255, 256, (*size, planes)).astype(np.int16)
    coefficients = residual.forward(difference)
    symbols, unit = (
        np.rint(coefficients * 1000).astype(np.int32),
        np.full((planes, 8, 8, 1, 1), 1e-3),
    )
    assert np.abs(residual.inverse(symbols, unit, *size) - difference).max() < 0.02
    if size == (64, 64):
        assert np.isclose(np.square(coefficients).sum(), np.square(difference * 1.0).sum())


def test_the_payload_is_these_bytes() -> None:
    payload = residual.pack(random_residual(8, 16, 1))
    assert payload.hex() == GOLDEN
    assert (
        f"{zlib.crc32(residual.pack(random_residual(70, 70, 3))):08x}",
        f"{zlib.crc32(residual.tables().frequencies.astype('<u2').tobytes()):08x}",
    ) == CHECKSUMS


GOLDEN = (
    "180ca91fabdfaae5ccc019e00fc04d8016656f22664154c02f20a8221a825245"
    "d10f2f580595c894c159e3d63e1520b60a"
)
CHECKSUMS = ("e2228d15", "d5332571")


def test_contexts_are_integers_and_bins_are_in_order() -> None:
    bins = bin_of(np.arange(1 << 20))
    assert bins[0] == 0
    assert (np.diff(bins) >= 0).all()
    assert bins.max() < BINS
    assert [int(bin_of(int(middle_of_bin(t) * 1024))) for t in range(76)] == list(range(76))
    order = Order(1, (3, 4), [15])
    seen = []

    def visit(group: Group) -> NDArray[np.int64]:
        seen.append(group[4])
        return 0 * group[4]

    order.run(np.zeros((1, 15), np.int64), visit)
    assert all(index.dtype.kind == "i" for index in seen)
    assert sum(index.size for index in seen) == 3 * 4 * 64


@pytest.mark.parametrize("planes", [1, 3])
def test_steps_may_grow_with_frequency(planes: int) -> None:
    symbols = random_residual(40, 33, planes).symbols
    wanted = Residual(symbols, (24,) * planes, True, (2, 15, 0)[:planes])
    found = residual.unpack(residual.pack(wanted), 40, 33, planes, alone=True)
    assert found.slopes == wanted.slopes
    assert found.worth[0, 0, 0].item() == 8
    assert np.isclose(found.worth[0, 3, 5].item(), 8 * 2 ** (8 * 2 / 16))
    assert (found.symbols == symbols).all()


def test_text_has_finer_and_sloped_steps_and_photographs_have_not(photograph: Pixels) -> None:
    y, x = np.mgrid[:96, :96]
    gradient = np.stack([2 * x, 2 * y, 255 - x - y], axis=2)
    text = np.where(((x // 3 + y // 5) % 3 == 0)[..., None], [255, 240, 40], gradient)
    for pixels, sloped in ((text.astype(np.uint8), True), (photograph, False)):
        _, (parts,) = container.read_tiles(codec.encode_pixels(pixels, 184))
        head = parts[RESIDUAL][:6]
        assert bool(head[1] >> 4) == sloped
        assert (parts[TILE] == b"") == sloped


def test_every_truncation_is_refused() -> None:
    payload = residual.pack(random_residual(16, 16, 3))
    for size in range(len(payload)):
        with pytest.raises(FormatError):
            residual.unpack(payload[:size], 16, 16, 3)


@given(st.integers(0, 10_000), st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_any_damage_is_refused_or_read_without_another_error(place: int, change: int) -> None:
    payload = bytearray(residual.pack(random_residual(16, 24, 3)))
    payload[place % len(payload)] ^= change
    try:
        assert residual.unpack(bytes(payload), 16, 24, 3).symbols.shape == (3, 8, 8, 2, 3)
    except NpegError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("head", [(96, 1), (3, 16), (3, 0)])
def test_an_illegal_head_is_refused(head: tuple[int, int]) -> None:
    payload = residual.pack(random_residual(8, 8, 1))
    with pytest.raises(FormatError, match="residual has steps"):
        residual.unpack(bytes(head) + payload[2:], 8, 8, 1)


def test_a_short_payload_cannot_keep_a_decoder_busy() -> None:
    payload = residual.pack(random_residual(8, 8, 1))
    with pytest.raises(FormatError, match="2048x2048 pixels has 1 lanes"):
        residual.unpack(payload, 2048, 2048, 1)


def test_a_tile_of_zeros_costs_next_to_nothing() -> None:
    symbols = np.zeros((3, 8, 8, 32, 32), np.int32)
    symbols[0, 7, 7, 31, 31] = 1
    assert len(residual.pack(Residual(symbols, (24, 24, 24)))) < 256


@pytest.fixture(scope="module")
def photograph() -> Pixels:
    return np.ascontiguousarray(data.coffee()[100:228, 150:310])


@pytest.mark.parametrize("tune", ["psnr", "visual"])
@pytest.mark.parametrize("effort", [0, 1])
def test_quality_100_is_above_45_db_in_all_channels(
    photograph: Pixels, tune: str, effort: int
) -> None:
    grey = photograph.mean(axis=2).astype(np.uint8)
    neutral = np.repeat(grey[..., None], 3, axis=2)
    options = EncoderOptions(effort=effort, tune=tune, tile_size=128)
    for pixels in (photograph, grey, neutral):
        file, decoded = codec.encode_with_reconstruction(pixels, 200, options)
        assert decoded.shape == pixels.shape
        assert targets.psnr_db(pixels, decoded) > 45
        assert (codec.decode_pixels(file) == decoded).all()


def test_bytes_and_psnr_rise_across_the_joint(photograph: Pixels) -> None:
    for tune, levels in (
        ("psnr", (150, 158, 160, 164, 172, 182, 190, 200)),
        ("visual", (158, 166, 168, 172, 180, 190, 200)),
    ):
        options = EncoderOptions(tune=tune)
        files = [codec.encode_with_reconstruction(photograph, n, options) for n in levels]
        assert (np.diff([len(file) for file, _ in files]) > 0).all()
        assert (np.diff([targets.psnr_db(photograph, found) for _, found in files]) > 0).all()


def test_photographs_at_lower_qualities_have_no_residual(photograph: Pixels) -> None:
    _, parts = container.read_tiles(codec.encode_pixels(photograph, 130))
    assert [list(tile) for tile in parts] == [[TILE]]


def test_text_is_better_with_a_residual_where_photographs_have_none() -> None:
    text = np.ascontiguousarray(data.text())[:128, :192]
    sharp = np.where(text > 100, 255, 0).astype(np.uint8)
    file, decoded = codec.encode_with_reconstruction(sharp, 150, PSNR)
    assert {RESIDUAL, EXACT} & set(container.read_tiles(file)[1][0])
    assert targets.psnr_db(sharp, decoded) > 30


def test_a_psnr_of_44_db_is_reached(photograph: Pixels) -> None:
    file = targets.encode_to_psnr(photograph, 44, PSNR)
    assert 44 <= targets.psnr_db(photograph, codec.decode_pixels(file)) < 44.6


def test_a_tile_of_nothing_is_refused(photograph: Pixels) -> None:
    header = container.read_header(codec.encode_pixels(photograph, 100))
    with pytest.raises(FormatError, match="empty payload and no residual"):
        codec.decode_pixels(container.write(header, [{TILE: b""}]))


def test_one_level_of_difference_in_the_networks_changes_no_symbol() -> None:
    wanted = random_residual(40, 40, 3)
    found = residual.unpack(residual.pack(wanted), 40, 40, 3)
    for other in (0, 1):
        pixels = np.full((40, 40, 3), 128 + other, np.uint8)
        step = residual.add(pixels, found) - residual.add(pixels - 1, found)
        np.testing.assert_allclose(step, 1)


def test_choosing_by_rate_costs_less_than_rounding(photograph: Pixels) -> None:
    noisy = np.clip(photograph + np.random.default_rng(2).normal(0, 9, photograph.shape), 0, 255)
    known = noisy.astype(np.uint8)
    payload, chosen, cost = residual_rule.choose(photograph, known, Steps(24))
    assert cost < residual_rule.cost_without(photograph, known, 24)
    x = residual.forward(photograph.astype(np.int16) - known) / residual.step_of(24)
    rounded = Residual(np.rint(x).astype(np.int32), chosen.steps)
    error = np.square(x - rounded.symbols).sum() / residual_rule.BIT
    assert cost < error + 8 * len(residual.pack(rounded))
    assert len(payload) < len(residual.pack(rounded))
