"""The dither codecs: bits come back exactly, files are refused or decoded, any size works."""

import random
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import npeg
from npeg.dither import codec, coder, container, context, networks
from npeg.dither.context import KINDS, Counts, Weights, passes
from npeg.errors import FormatError, InputError, LimitError, NpegError

PLANES = 6


def weights(seed: int = 0, planes: int = PLANES, features: int = 12) -> Weights:
    """A model of arbitrary integers, within what the format allows."""
    numbers = random.Random(seed)  # the same on every machine and with every NumPy

    def draw(low: int, high: int, *shape: int) -> np.ndarray:
        values = [numbers.randrange(low, high) for _ in range(int(np.prod(shape)))]
        return np.array(values).reshape(shape)

    order = np.arange(planes)[:, None]
    sources = draw(0, 1000, planes, features) % np.maximum(order, 1)
    strong = draw(-200, 200, planes, features) * (order > 0)
    rows, columns = draw(-1, 2, planes, features), draw(-1, 2, planes, features)
    scales, biases = draw(0, 512, planes, KINDS), draw(-200, 200, planes, KINDS)
    own = draw(-200, 200, planes, KINDS, 2)
    arrays = (sources, rows, columns, strong, scales, biases, own)
    return Weights(*(array.astype(np.int16) for array in arrays))


def smooth_bits(shape: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=shape), axis=2) + rng.normal(size=shape)
    return (walk > 0).astype(np.uint8)


# --- the coder ---


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=4),
    st.sampled_from([1, 2, 64, 1024]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_bits_come_back_whatever_their_probabilities(sizes, lanes, seed):
    rng = np.random.default_rng(seed)
    groups = []
    for n in sizes:
        ones = rng.integers(1, coder.TOTAL, n).astype(np.uint16)
        groups.append((rng.integers(0, 2, n).astype(np.uint8), ones))
    decoder = coder.Decoder(coder.encode(groups, lanes))
    for bits, ones in groups:
        np.testing.assert_array_equal(decoder.decode(ones), bits)
    decoder.finish()


def test_a_payload_is_as_long_as_the_probabilities_say():
    rng = np.random.default_rng(0)
    ones = rng.integers(1, coder.TOTAL, 200_000).astype(np.uint16)
    bits = (rng.integers(0, coder.TOTAL, len(ones)) < ones).astype(np.uint8)
    ideal = coder.information_bits(bits, ones)
    assert ideal <= 8 * len(coder.encode([(bits, ones)])) < 1.007 * ideal


def test_the_first_golden_payload_never_changes():
    bits = np.array([1, 0, 0, 1, 1, 1, 0, 1, 0, 0], np.uint8)
    ones = np.array([4096, 100, 1, 8191, 6000, 7000, 2000, 8000, 300, 4096], np.uint16)
    assert coder.encode([(bits, ones)], 1).hex() == GOLDEN_PAYLOAD
    assert coder.Decoder(bytes.fromhex(GOLDEN_PAYLOAD)).decode(ones).tolist() == bits.tolist()


GOLDEN_PAYLOAD = "0003670900"


def test_the_second_golden_payload_never_changes():
    i, j = np.mgrid[:12, :10]
    planes = np.stack([(i * i + p * j) % 7 < 3 for p in range(PLANES)]).astype(np.uint8)
    payload = context.encode_planes(planes, weights(), 2)
    assert payload.hex() == GOLDEN_PLANES
    np.testing.assert_array_equal(context.decode_planes(payload, planes.shape, weights()), planes)


GOLDEN_PLANES = (
    "011ee0fe0077cd9a0603600780e1fe068239dea6a358e368e0ddbe00a09880dee027a12bc056e229"
    "844a00880a46e74c7e0d40625f118092f4085c1512a61820614fbe0e805a1fea8300b7af3d568d0f"
    "60f7ff2fe2e42b86e83e11fefff26efb9050e6c22229f0b4544500989ffe5f1da1bfca9239e43fcb"
    "99a7b95edde55fb74c35a0885afa2fd0dccf2385c05b6039602420b80047fa9161acff0a0ab57604"
    "a0ec29f4e0ba406040ae62182723e037457de0ac71cc661f8bba458a386795cc316db456c4d9300a"
    "6004c0b737b29e05c5180207e02142"
)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "does not hold"),
        (b"\x0b" + bytes(9000), "does not hold 2^11 lanes"),
        (b"\x01\0\0\1\0", "does not hold"),
        (b"\0\0\0\1\0\5", "does not hold"),
        (b"\0\xff\xff\0\0", "starts in state 65535"),
    ],
)
def test_a_payload_that_cannot_be_one_is_refused(payload, message):
    with pytest.raises(FormatError) as caught:
        coder.Decoder(payload)
    assert message in str(caught.value)


def test_a_payload_that_ends_early_or_late_is_refused():
    ones = np.full(5000, 4096, np.uint16)
    data = coder.encode([(smooth_bits((1, 1, 5000)).ravel(), ones)], 2)
    with pytest.raises(FormatError, match="used up"):
        coder.Decoder(data[:-4]).decode(ones)
    decoder = coder.Decoder(data + b"\0\0")
    decoder.decode(ones)
    with pytest.raises(FormatError, match="words are left"):
        decoder.finish()


# --- the context model ---


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (5, 4), (16, 17), (33, 64)])
def test_the_passes_cover_every_position_once_and_look_at_known_ones(shape):
    known = np.zeros((shape[0] + 4, shape[1] + 4), np.int16)
    inside = np.zeros_like(known)
    inside[2:-2, 2:-2] = 1
    for step in passes():
        for pair in step.offsets():
            for dy, dx in pair:
                assert (step.of(known, dy, dx) == step.of(inside, dy, dx)).all()
        assert not step.of(known).any()
        step.of(known)[...] = 1
    np.testing.assert_array_equal(known, inside)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (6, 5, 2), (6, 40, 33)])
def test_planes_come_back(shape):
    planes = smooth_bits(shape)
    data = context.encode_planes(planes, weights())
    np.testing.assert_array_equal(context.decode_planes(data, shape, weights()), planes)


def test_a_feature_of_another_plane_is_worth_its_bits():
    planes = np.repeat(np.random.default_rng(0).integers(0, 2, (1, 64, 64)), 2, axis=0)
    blank = Weights(*(np.zeros_like(array) for array in vars(weights(planes=2)).values()))
    blank.scales[:] = 256
    size_without = len(context.encode_planes(planes.astype(np.uint8), blank))
    blank.weights[1, 0], blank.biases[1] = 512, -256  # says: as in plane 0
    assert len(context.encode_planes(planes.astype(np.uint8), blank)) < 0.6 * size_without


def test_counts_start_at_what_the_sum_predicts_and_adapt():
    counts, buckets = Counts(), np.arange(64)
    predicted = 1 / (1 + np.exp(-(buckets - 31.5) / 4))
    np.testing.assert_allclose(counts.ones(buckets) / coder.TOTAL, predicted, atol=0.002)
    counts.add(np.full(1000, 40), np.ones(1000, np.uint8))
    assert counts.ones(np.array([40]))[0] > 8000 > counts.ones(np.array([41]))[0]


def test_no_sum_can_leave_16_bits():
    for number in container.VARIANTS:
        model = networks.load(number).context
        assert np.abs(model.weights.astype(int)).sum(1).max() < 2**15
        assert model.planes == container.VARIANTS[number].planes
        used = model.weights != 0
        assert (model.sources < np.arange(model.planes)[:, None])[used].all()
        assert max(np.abs(model.rows).max(), np.abs(model.columns).max()) <= 1


def test_a_sum_of_features_is_the_plain_sum():
    model, known = weights(3), np.pad(smooth_bits((PLANES, 9, 7)), ((0, 0), (2, 2), (2, 2)))
    sums = context.sum_features(known.astype(np.int16), 5, model)
    for i, j in np.ndindex(9, 7):
        expected = sum(
            int(w) * int(known[q, 2 + i + dy, 2 + j + dx])
            for q, dy, dx, w in zip(
                model.sources[5], model.rows[5], model.columns[5], model.weights[5], strict=True
            )
        )
        assert sums[2 + i, 2 + j] == expected


# --- files ---

NAMES = ["dither", "dither8"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3, 3), (8, 17, 3), (33, 65), (65, 63, 3)])
def test_any_size_comes_back(name, shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    data = npeg.encode(pixels, codec=name)
    assert npeg.decode(data).shape == shape
    header = npeg.info(data).header
    assert (header.height, header.width) == shape[:2]


@pytest.mark.parametrize("name", NAMES)
def test_a_photograph_is_recognised(name, photo):
    decoded = npeg.decode(npeg.encode(photo, 100, codec=name)).astype(float)
    assert np.corrcoef(decoded.ravel(), photo.ravel())[0, 1] > 0.9


def test_more_planes_are_more_bytes_and_a_better_image(photo):
    files = [npeg.encode(photo, q, codec="dither8") for q in (0, 30, 60)]
    errors = [np.square(npeg.decode(f).astype(float) - photo).mean() for f in files]
    assert [npeg.info(f).header.planes for f in files] == [8, 17, 36]
    assert sorted(map(len, files)) == [*map(len, files)]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("name", NAMES)
def test_the_bits_are_those_of_the_encoder(name, photo):
    data = npeg.encode(photo, 100, codec=name)
    header, packed = codec.read_planes(data)
    bits = np.unpackbits(packed, axis=0)[: header.planes]
    model = networks.load(header.variant_id)
    np.testing.assert_array_equal(bits, model.encode(photo))
    whole = model.decode(2 * bits).astype(int)
    assert np.abs(whole - npeg.decode(data)).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_windows_and_tiles_leave_no_seams(name, photo, monkeypatch):
    pixels = photo[:64, :80]
    whole = npeg.decode(npeg.encode(pixels, codec=name)).astype(int)
    monkeypatch.setattr(codec, "WINDOW_POSITIONS", {1: 24, 8: 5})
    for module in (codec, container):
        monkeypatch.setattr(module, "TILE", {"dither": 32, "dither8": 4}[name])
    data = npeg.encode(pixels, codec=name)
    assert npeg.info(data).header.tiles == 6
    assert np.abs(npeg.decode(data) - whole).max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_decoder_on_one_thread_gives_the_same_bits_and_pixels(name, photo, monkeypatch):
    data = npeg.encode(photo, codec=name)
    both = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NPEG_THREADS", threads)
        both.append((codec.read_planes(data)[1], npeg.decode(data).astype(int)))
    np.testing.assert_array_equal(both[0][0], both[1][0])
    assert np.abs(both[0][1] - both[1][1]).max() <= 1


@pytest.fixture(scope="module")
def small() -> bytes:
    i, j = np.mgrid[:24, :40]
    return npeg.encode(np.stack([5 * i, 5 * j, i + j], axis=2).astype(np.uint8), codec="dither8")


def test_every_truncation_and_every_flipped_bit_is_refused(small):
    for end in range(len(small)):
        with pytest.raises(NpegError):
            npeg.decode(small[:end])
    for bit in range(8 * len(small)):
        damaged = bytearray(small)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NpegError):
            npeg.decode(bytes(damaged))
    with pytest.raises(FormatError, match="3 bytes follow the last tile"):
        npeg.decode(small + b"xyz")


@pytest.mark.parametrize("name", NAMES)
def test_forged_payloads_with_right_checksums_are_decoded_or_refused(name, small):
    rng = random.Random(0)
    header, payloads = container.read_tiles(npeg.encode(np.zeros((16, 24), np.uint8), codec=name))
    refused = 0
    for _ in range(60):
        payload = bytearray(rng.choice([payloads[0], rng.randbytes(rng.randint(0, 99))]))
        for _ in range(rng.randint(0, 4)):
            if payload:
                payload[rng.randrange(len(payload))] ^= 1 << rng.randrange(8)
        changed = replace(header, width=rng.randint(1, 40), channels=rng.choice([1, 3]))
        try:
            npeg.decode(container.write(changed, [bytes(payload)]))
        except FormatError:
            refused += 1
    assert refused > 30


def forged(**fields: Any) -> bytes:
    """A file of one empty tile whose header says such things, with a right checksum."""
    layout: dict[str, Any] = {
        "magic": b"NPGD",
        "version": 1,
        "variant": 2,
        "planes": 20,
        "layout": 1,
    }
    layout |= {"width": 8, "height": 8, "reserved": 0} | fields
    sides = [layout.pop(side).to_bytes(3, "little") for side in ("width", "height")]
    *head, reserved = layout.values()
    data = container._FIELDS.pack(*head, *sides, reserved)
    return data + zlib.crc32(data).to_bytes(4, "little") + bytes(8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"version": 2}, "dither version 2"),
        ({"variant": 0}, "needs variant 0"),
        ({"planes": 97}, "found 97 planes, dither8 has at most 96"),
        ({"planes": 7}, "found 7 planes"),
        ({"variant": 1}, "found 20 planes, dither has at most 128"),
        ({"layout": 2}, "layout 02"),
        ({"reserved": 1}, "reserved bytes 0001"),
        ({"width": 0}, "image of 0x8"),
        ({}, "tile 0 is damaged"),
    ],
)
def test_a_forged_header_is_refused(fields, message):
    with pytest.raises(FormatError) as caught:
        npeg.decode(forged(**fields))
    assert message in str(caught.value)


def test_too_large_images_are_refused_before_anything_else():
    for fields in ({"width": 2**14, "height": 2**13}, {"width": 2**24 - 1, "height": 2**24 - 1}):
        with pytest.raises(LimitError, match="takes at most 64 Mpx"):
            npeg.decode(forged(**fields))
    with pytest.raises(LimitError, match="dither takes at most 16 Mpx"):
        npeg.encode(np.broadcast_to(np.uint8(0), (4097, 4096)), codec="dither")


def test_unusable_arguments_are_refused(photo):
    for arguments in ({"quality": 101}, {"quality": -1}, {"bpp": 1.0}, {"psnr": 30.0}):
        with pytest.raises(InputError):
            npeg.encode(photo, codec="dither8", **arguments)
    with pytest.raises(InputError, match="codec is 'dither9', expected npeg, dither or dither8"):
        npeg.encode(photo, codec="dither9")


# --- the command line ---


def test_the_command_line_writes_reads_and_describes(run, png, photo):
    done = run("encode", png, "--codec", "dither8", "-q", 60, "-o", "a.npeg")
    assert (done.status, done.err) == (0, "")
    told = run("info", "a.npeg")
    assert told.status == 0
    assert "128x96 RGB" in told.out
    assert "dither variant 2, 36 planes" in told.out
    assert '"planes": 36' in run("info", "a.npeg", "--json").out
    assert run("decode", "a.npeg", "-o", "b.png").status == 0


def test_the_command_line_refuses_a_quality_for_dither(run, png):
    done = run("encode", png, "--codec", "dither", "-q", 60)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "dither, which has one rate" in done.err


def test_a_far_too_long_dither_file_is_not_read_to_its_end(run, tmp_path):
    (tmp_path / "long.npeg").write_bytes(forged(planes=20) + bytes(20_000_000))
    assert "far longer file than 8x8 pixels need" in run("info", "long.npeg").err
