"""The container: what SPEC.md sections 2 and 3 forbid is refused, in one line, before decoding."""

import io
import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npeg import container, sections
from npeg.container import HEADER_SIZE, Header
from npeg.errors import FormatError, LimitError, NpegError

HEADER = Header(model_id=1, level=100, width=65, height=63)


def sealed(fields: bytes) -> bytes:
    """Return header fields with the CRC-32 that fits them."""
    return fields + struct.pack("<I", zlib.crc32(fields))


def forged(offset: int, value: int) -> bytes:
    """Return a header in which one byte was changed and the CRC-32 mended."""
    fields = bytearray(container.pack_header(HEADER)[:-4])
    fields[offset] = value
    return sealed(bytes(fields))


@given(
    st.integers(0, 255),
    st.integers(0, 200),
    st.integers(1, 8000),
    st.integers(1, 8000),
    st.sampled_from([1, 3]),
    st.integers(1, 32),
)
def test_a_header_survives_the_round_trip(
    model_id: int, level: int, width: int, height: int, channels: int, units: int
) -> None:
    header = Header(model_id, level, width, height, channels, tile_size=64 * units)
    packed = container.pack_header(header)
    assert len(packed) == HEADER_SIZE == 20
    assert container.read_header(packed) == header


def test_the_header_is_these_bytes() -> None:
    expected = "4e504547 01 01 64 01 410000 3f0000 10 00 ca7de270".replace(" ", "")
    assert container.pack_header(HEADER).hex() == expected


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 0x89, "not an NPEG file: starts with 89504547"),
        (4, 2, "NPEG version 2, this decoder reads version 1"),
        (6, 201, "quality byte is 201, at most 200 is defined"),
        (7, 6, "layout 06"),
        (7, 0x91, "layout 91"),
        (15, 202, "byte 15 ca"),
        (14, 0, "in tiles of 0"),
        (14, 33, "in tiles of 2112"),
        (8, 0, "image of 0x63"),
    ],
)
def test_an_illegal_header_value_is_refused_by_name(offset: int, value: int, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        container.read_header(forged(offset, value))


def test_a_forged_size_is_refused_before_anything_is_allocated() -> None:
    fields = bytearray(container.pack_header(HEADER)[:-4])
    fields[8:14] = b"\xff" * 6
    with pytest.raises(LimitError, match="16777215x16777215 pixels, at most 4294967296"):
        container.read_header(sealed(bytes(fields)))


FILE = container.write(HEADER, [{b"T": b"payload"}])


def test_the_overhead_of_a_one_tile_file_is_26_bytes() -> None:
    assert len(FILE) - len(b"payload") == 26


def test_every_truncation_is_refused() -> None:
    for size in range(len(FILE)):
        with pytest.raises(FormatError):
            container.read_tiles(FILE[:size])


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(8 * len(FILE)):
        damaged = bytearray(FILE)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NpegError):
            container.read_tiles(bytes(damaged))


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_or_read_without_another_error(tail: bytes) -> None:
    for data in (tail, FILE[:HEADER_SIZE] + tail, FILE + tail):
        try:
            container.info(data)
        except NpegError as error:
            assert "\n" not in str(error)


def test_an_unknown_section_is_skipped_or_refused_by_the_case_of_its_letter() -> None:
    head, tile = FILE[:HEADER_SIZE], FILE[HEADER_SIZE:]
    optional = sections.pack_section(b"q", b"more")
    assert container.read_tiles(head + optional + tile) == (HEADER, [{b"T": b"payload"}])
    assert [s.type for s in container.info(head + optional + tile).sections] == ["q", "T"]
    with pytest.raises(FormatError, match="section type 'Q' is not known"):
        container.read_tiles(head + sections.pack_section(b"Q", b"more") + tile)


def test_only_a_section_of_a_tile_ends_a_file() -> None:
    head, tile = FILE[:HEADER_SIZE], sections.pack_section(b"T", b"payload")
    with pytest.raises(FormatError, match="truncated: the file ends before its last section"):
        container.read_tiles(head + tile)
    late = sections.pack_section(b"q", b"late", last=True)
    with pytest.raises(FormatError, match="'q' ends the file, expected one of a tile"):
        container.read_tiles(head + tile + late)


@given(st.integers(0, (1 << 28) - 1))
def test_a_number_takes_as_few_bytes_as_it_can(number: int) -> None:
    section = sections.pack_section(b"T", b"", tile=number)
    assert len(section) == 6 + max(1, -(-number.bit_length() // 7))
    head = sections.read_head(io.BytesIO(section), numbered=True)
    assert (head.kind, head.length, head.tile, head.last) == (b"T", 0, number, False)


@pytest.mark.parametrize("length", ["8000", "ffffffff7f", "ff8000"])
def test_a_number_of_too_many_bytes_is_refused(length: str) -> None:
    with pytest.raises(FormatError, match="a number of too many bytes"):
        sections.read_head(io.BytesIO(b"T" + bytes.fromhex(length) + bytes(9)), numbered=False)


def test_a_tile_that_is_not_there_is_refused() -> None:
    header = Header(1, 100, 200, 129, tile_size=128)
    data = container.write(header, [{b"T": b""}] * 3)
    more = sections.pack_section(b"T", b"", 4, last=True)
    with pytest.raises(FormatError, match="'T' of tile 4, there are 4"):
        container.read_tiles(data[:-7] + more)


def test_nothing_may_follow_the_last_tile() -> None:
    with pytest.raises(FormatError, match="bytes follow the section that ends the file"):
        container.read_tiles(FILE + sections.pack_section(b"q", b"late"))


def test_a_file_of_several_tiles_gives_each_payload_in_raster_order() -> None:
    header = Header(1, 100, 200, 129, tile_size=128)
    payloads = [{b"T": bytes([k]) * k} for k in range(4)]
    assert container.read_tiles(container.write(header, payloads)) == (header, payloads)
    with pytest.raises(FormatError, match="3 of 4 tiles"):
        container.read_tiles(container.write(header, payloads[:3]))


def test_alpha_belongs_before_each_tile_of_a_header_that_says_so() -> None:
    header = Header(1, 100, 200, 129, tile_size=128, alpha=True)
    kinds = [b"T", b"E", b"E", b"T"]
    tiles = [{b"A": b"alpha", kind: bytes([k])} for k, kind in enumerate(kinds)]
    data = container.write(header, tiles)
    assert container.read_tiles(data) == (header, tiles)
    assert [s.type for s in container.info(data).sections] == list("AAAATTEE")
    assert container.info(data).exact_tiles == 2
    for k in range(4):
        less = [dict(parts) for parts in tiles]
        del less[k][b"A"]
        with pytest.raises(FormatError, match="3 tiles have an alpha section, expected 4"):
            container.read_tiles(container.write(header, less))
    with pytest.raises(FormatError, match="4 tiles have an alpha section, expected 0"):
        container.read_tiles(container.write(replace(header, alpha=False), tiles))


def test_a_tile_has_its_sections_once_and_in_their_order() -> None:
    header = Header(1, 100, 20, 20, alpha=True)
    head = container.pack_header(header)
    for wrong in ("TA", "AAT", "ATT", "A", "AA", "AET"):
        *before, last = list(wrong)
        found = [sections.pack_section(kind.encode(), b"1") for kind in before]
        found.append(sections.pack_section(last.encode(), b"1", last=True))
        with pytest.raises(FormatError, match=r"is behind|0 of 1 tiles"):
            container.read_tiles(head + b"".join(found))
