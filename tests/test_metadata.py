"""What an image says beside its pixels is carried byte for byte, or a warning says what is not."""

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

import npeg
from npeg import container, exif, icc, metadata_sections, sections
from npeg.errors import FormatError, InputError
from npeg.metadata_sections import Metadata, Text
from npeg.pixels import to_picture

PIXELS = np.arange(24 * 16 * 3, dtype=np.uint32).reshape(16, 24, 3).astype(np.uint8)
P3 = icc.profile(icc.PRIMARIES[12], None)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')


def exif_with_thumbnail(orientation: int = 6) -> bytes:
    """Return EXIF of a camera, a comment of its own, an orientation and a thumbnail."""
    thumbnail = b"\xff\xd8" + b"t" * 500 + b"\xff\xd9"
    first = struct.pack("<H", 2)
    first += struct.pack("<HHII", 0x010F, 2, 9, 38)  # the camera's name, behind the folder
    first += struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    second_at = 38 + 10
    first += struct.pack("<I", second_at) + b"a camera\0\0"
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 0x0201, 4, 1, second_at + 30)
    second += struct.pack("<HHII", 0x0202, 4, 1, len(thumbnail)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + first + second + thumbnail


EXIF = exif_with_thumbnail()
EVERYTHING = Metadata(
    icc_profile=P3,
    exif=exif.cleaned(EXIF),
    xmp=UPRIGHT_XMP,
    iptc=b"\x1c\x02\x78\x00\x07caption",
    dpi=(300.0, 150.0),
    comment=b"a comment\xff",
    text=(Text("Title", "Größe"), Text("Note", "n", "en", "Anmerkung")),
)


def test_everything_survives_the_round_trip():
    data = npeg.encode(PIXELS, effort=0, metadata=EVERYTHING)
    assert npeg.metadata(data) == EVERYTHING
    names = ("ICC profile", "EXIF", "XMP", "IPTC", "dpi", "comment", "text")
    assert npeg.info(data).metadata == names
    plain = npeg.encode(PIXELS, effort=0)
    np.testing.assert_array_equal(npeg.decode(data), npeg.decode(plain))
    assert npeg.metadata(plain) == Metadata()
    stripped = npeg.encode(PIXELS, effort=0, metadata=EVERYTHING, strip=True)
    assert npeg.metadata(stripped) == Metadata(icc_profile=P3)


def test_a_jpeg_is_turned_and_its_metadata_carried_but_for_orientation_and_thumbnail():
    buffer = io.BytesIO()
    options = {"xmp": XMP, "dpi": (300, 300), "comment": b"hm", "icc_profile": P3}
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=b"Exif\0\0" + EXIF, **options)
    data = npeg.encode(buffer, effort=0)
    found = npeg.metadata(data)
    assert npeg.decode(data).shape == (24, 16, 3)
    assert found == Metadata(P3, exif.cleaned(EXIF), UPRIGHT_XMP, b"", (300, 300), b"hm")
    assert b"ttt" not in found.exif
    assert b"a camera" in found.exif
    assert exif.orientation(found.exif) == 1


def test_exif_but_for_orientation_and_thumbnail_stays_byte_for_byte():
    kept = exif.cleaned(EXIF)
    changed = [i for i, (a, b) in enumerate(zip(EXIF, kept, strict=False)) if a != b]
    orientation_at = 8 + 2 + 12 + 8
    assert set(changed) <= {orientation_at, *range(34, 38), *range(48, len(kept))}
    lone = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
    assert exif.orientation(lone) == 6
    assert exif.cleaned(lone) == b""  # nothing else was there


@settings(deadline=None)
@given(st.binary(max_size=80), st.integers(0, len(EXIF)), st.integers(0, 255))
def test_damaged_exif_is_cleaned_or_refused(tail, at, value):
    damaged = bytearray(EXIF)
    damaged[at : at + 1] = bytes([value])
    for data in (tail, b"II*\0" + tail, EXIF[:at], bytes(damaged)):
        exif.orientation(data)
        try:
            assert len(exif.cleaned(data)) <= len(data)
        except ValueError as error:
            assert "\n" not in str(error)


def encoded(image_format: str, metadata: Metadata) -> Image.Image:
    """Return an image file that decode writes, opened again; its warnings are errors."""
    from npeg.image_files import image_file

    return Image.open(io.BytesIO(image_file(PIXELS, image_format, metadata)))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_decoding_puts_metadata_back(image_format):
    held = EVERYTHING.without("iptc", "dpi", "comment", "text")
    image = encoded(image_format, held)
    image.load()
    assert image.info["icc_profile"] == P3
    assert image.getexif()[0x010F] == "a camera"
    assert image.info["xmp"] == UPRIGHT_XMP
    if image_format in ("JPEG", "PNG"):
        assert image.info["exif"].removeprefix(b"Exif\0\0") == EVERYTHING.exif
    _, again, _ = to_picture(image)
    assert (again.icc_profile, again.xmp) == (P3, UPRIGHT_XMP)


def test_a_second_generation_has_all_that_the_first_had():
    jpeg = npeg.metadata(npeg.encode(encoded("JPEG", EVERYTHING.without("text")), effort=0))
    assert jpeg == EVERYTHING.without("text")
    png = npeg.metadata(npeg.encode(encoded("PNG", EVERYTHING.without("iptc", "comment"))))
    assert png.text == EVERYTHING.text
    assert png.dpi == pytest.approx((300, 150), abs=0.02)
    tiff = npeg.metadata(npeg.encode(encoded("TIFF", EVERYTHING.without("text", "comment"))))
    assert (tiff.iptc, tiff.dpi) == (EVERYTHING.iptc, EVERYTHING.dpi)


@pytest.mark.parametrize(
    ("image_format", "lost"),
    [
        ("JPEG", "JPEG does not hold text,"),
        ("PNG", "PNG does not hold IPTC,"),
        ("WEBP", "WEBP does not hold IPTC and dpi and comment and text,"),
        ("TIFF", "TIFF does not hold comment and text,"),
        ("PPM", "colours are converted to sRGB: PPM holds no ICC profile"),
    ],
)
def test_what_a_format_cannot_hold_is_named(image_format, lost):
    with pytest.warns(UserWarning, match=lost):
        encoded(image_format, Metadata(P3) if image_format == "PPM" else EVERYTHING)


def test_too_much_for_a_jpeg_segment_is_named():
    large = Metadata(exif=EXIF[:-2] + bytes(70_000), xmp=b"x" * 70_000)
    with pytest.warns(UserWarning, match="JPEG does not hold EXIF and XMP"):
        encoded("JPEG", large)


def test_png_text_is_carried_and_xmp_is_not_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "a title")
    info.add_itxt("Title2", "ä", "de", "Titel")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", pnginfo=info)
    found = npeg.metadata(npeg.encode(buffer, effort=0))
    assert found.text == (Text("Title", "a title"), Text("Title2", "ä", "de", "Titel"))
    assert found.xmp == UPRIGHT_XMP


def loaded(data: bytes) -> Image.Exif:
    tags = Image.Exif()
    tags.load(data)
    return tags


def test_tiff_tags_that_describe_the_picture_are_carried_as_exif():
    tags = Image.Exif()
    tags[0x013B], tags[0x8298] = "an artist", "2026"
    tags[0x8769] = {0x9003: "2026:11:30 12:00:00"}
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "TIFF", exif=loaded(tags.tobytes()))
    found = loaded(npeg.metadata(npeg.encode(buffer, effort=0)).exif)
    assert (found[0x013B], found[0x8298]) == ("an artist", "2026")
    assert found.get_ifd(0x8769)[0x9003] == "2026:11:30 12:00:00"
    assert 0x0111 not in found  # strips of the TIFF file


def test_targets_count_the_metadata():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    with_text = Metadata(comment=np.random.default_rng(1).bytes(900))
    data = npeg.encode(noise, size=4000, metadata=with_text, effort=0)
    assert 3000 < len(data) <= 4000
    data = npeg.encode(noise, bpp=4, metadata=with_text, effort=0)
    assert npeg.info(data).rate_bpp <= 4
    with pytest.raises(InputError, match=r"found 9\d\d bytes of metadata, more than the target"):
        npeg.encode(noise, size=800, metadata=with_text)


def small_file(*before: bytes) -> bytes:
    tile = sections.pack_section(b"T", b"t", last=True)
    return container.pack_header(container.Header(8, 100, 8, 8)) + b"".join(before) + tile


@pytest.mark.parametrize(
    ("kind", "payload", "message"),
    [
        (b"i", b"", "ICC profile section begins with nothing"),
        (b"i", b"\0", "ICC profile section begins with 00"),
        (b"e", b"\2abc", "EXIF section begins with 02"),
        (b"x", b"\1abc", "XMP section is not zlib"),
        (b"x", b"\1" + zlib.compress(b"abc")[:-1], "XMP section does not hold one zlib stream"),
        (b"x", b"\1" + zlib.compress(b"abc") + b"x", "XMP section does not hold one zlib stream"),
        (b"c", b"\1" + zlib.compress(bytes(1 << 22)), "does not hold one zlib stream of less"),
        (b"d", b"\0" + bytes(15), "dpi section holds 15 bytes, expected 16"),
        (b"d", b"\0" + struct.pack("<dd", 300, float("nan")), "expected finite numbers above 0"),
        (b"d", b"\0" + struct.pack("<dd", 0, 300), "expected finite numbers above 0"),
        (b"k", b"\0abc", "text section has no text of 3 bytes at 0"),
        (b"k", b"\0" + b"\xff\xff\xff\xffabc", "text section has no text of 4294967295 bytes"),
        (b"k", b"\0" + b"\1\0\0\0\xff", "text section is not UTF-8 at 0"),
        (b"k", b"\0" + bytes(16), "text section has a text without a keyword"),
        (b"k", b"\0" + b"\1\0\0\0a", "text section has a text without a keyword"),
    ],
)
def test_illegal_contents_are_refused_by_name(kind, payload, message):
    data = small_file(sections.pack_section(kind, payload))
    for function in (npeg.metadata, npeg.info):
        with pytest.raises(FormatError, match=message):
            function(data)


def test_a_section_twice_or_too_large_is_refused():
    once = sections.pack_section(b"c", b"\0abc")
    assert npeg.metadata(small_file(once)).comment == b"abc"
    with pytest.raises(FormatError, match="metadata section 'c' is there twice"):
        container.read_tiles(small_file(once, once))
    large = sections.pack_section(b"c", bytes(sections.MAX_METADATA + 1))
    with pytest.raises(FormatError, match="metadata has 4194305 bytes, more than it may have"):
        container.read_tiles(small_file(large))
    with pytest.raises(InputError, match="at most 4 MiB fit"):
        metadata_sections.pack(Metadata(comment=bytes(1 << 22)))


@settings(deadline=None)
@given(st.sampled_from(sorted(sections.METADATA)), st.binary(max_size=60))
def test_any_contents_are_read_or_refused_in_one_line(kind, payload):
    for packed in (payload, b"\0" + payload, b"\1" + zlib.compress(payload)):
        try:
            metadata_sections.unpack({kind: packed})
        except FormatError as error:
            assert "\n" not in str(error)


# --- colours ---


def png_with(*chunks: tuple[bytes, bytes]) -> Image.Image:
    """Return an opened PNG of PIXELS with these chunks behind its head."""
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    data, more = buffer.getvalue(), b""
    for kind, body in chunks:
        crc = struct.pack(">I", zlib.crc32(kind + body))
        more += struct.pack(">I", len(body)) + kind + body + crc
    return Image.open(io.BytesIO(data[:33] + more + data[33:]))


ADOBE = (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))
GAMMA = (b"gAMA", struct.pack(">I", 45455))


def test_wide_colours_stay_and_the_profile_travels_with_them():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", icc_profile=P3)
    pixels, metadata, _ = to_picture(Image.open(buffer))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert metadata.icc_profile == P3
    assert len(metadata_sections.pack(metadata)) < 450


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"cICP", bytes([1, 13, 0, 1]))],
        [(b"sRGB", b"\0"), GAMMA, ADOBE],
        [GAMMA],
        [(b"cICP", bytes([1, 13, 0, 1])), GAMMA, ADOBE],
    ],
)
def test_srgb_however_it_is_stated_costs_no_section(chunks):
    pixels, metadata, _ = to_picture(png_with(*chunks))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert metadata_sections.pack(metadata) == b""


def test_an_srgb_profile_costs_no_section():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG", icc_profile=profile)
    assert to_picture(Image.open(buffer))[1] == Metadata()


@pytest.mark.parametrize("chunks", [[(b"cICP", bytes([12, 13, 0, 1]))], [GAMMA, ADOBE]])
def test_stated_primaries_become_a_profile(chunks):
    pixels, metadata, _ = to_picture(png_with(*chunks))
    np.testing.assert_array_equal(pixels, PIXELS)
    assert b"acsp" in metadata.icc_profile


def test_a_lone_gamma_is_converted():
    pixels, metadata, _ = to_picture(png_with((b"gAMA", struct.pack(">I", 100000))))
    linear = PIXELS / 255
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(pixels - 255 * curved).max() <= 2
    assert metadata == Metadata()


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(transfer, name):
    with pytest.raises(InputError, match=f"found {name} colours .high dynamic range"):
        to_picture(png_with((b"cICP", bytes([9, transfer, 0, 1]))))


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        ((b"cICP", bytes([77, 13, 0, 1])), "colours .cICP 77/13. are not known"),
        ((b"cHRM", bytes(32)), "chromaticities are not usable"),
        ((b"cHRM", struct.pack(">8I", *[30000] * 8)), "chromaticities are not usable"),
    ],
)
def test_unusable_colours_are_warned_about(chunk, message):
    with pytest.warns(UserWarning, match=message):
        np.testing.assert_array_equal(to_picture(png_with(chunk))[0], PIXELS)


def test_grey_and_cmyk_are_converted_and_it_is_said():
    with pytest.warns(UserWarning, match="CMYK colours are converted to sRGB"):
        assert to_picture(Image.new("CMYK", (2, 2)))[0].shape == (2, 2, 3)
    grey = Image.fromarray(PIXELS[..., 0])
    grey.info["icc_profile"] = icc.profile(icc.SRGB, 1.0)
    with pytest.warns(UserWarning, match="grey colours are converted to sRGB"):
        assert to_picture(grey)[1].icc_profile == b""


def test_deeper_samples_are_cut_with_a_warning(tmp_path: Path):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "AVIF")
    deep = buffer.getvalue()
    at = deep.index(b"av1C") + 6
    deep = deep[:at] + bytes([deep[at] | 0x40]) + deep[at + 1 :]  # what the head says
    from npeg import stated_colours

    opened = Image.new("RGB", (1, 1))
    vars(opened).update(format="AVIF", fp=io.BytesIO(deep))
    assert stated_colours.read(opened).bits == 10
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG2000")
    data = bytearray(buffer.getvalue())
    siz = data.index(b"\xff\x4f\xff\x51")
    data[siz + 42 : siz + 51 : 3] = b"\x0b" * 3  # 12 bits
    vars(opened).update(format="JPEG2000", fp=io.BytesIO(data))
    assert stated_colours.read(opened).bits == 12


def test_a_plain_image_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for image_format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "JPEG2000"):
            buffer = io.BytesIO()
            Image.fromarray(PIXELS).save(buffer, image_format)
            assert set(to_picture(Image.open(buffer))[1].names()) <= {"dpi", "comment"}
