"""Write the files of `npeg conformance` and their table: docs/conformance.md.

    python tests/make_conformance.py

Files that are there already are left as they are. What each holds is said by the reference
decoder, reference/decode.py: it makes the table's hashes and pixels.
"""

import io
import sys
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image
from skimage import data

from npeg import codec, container, depth, latents
from npeg.arrays import Samples
from npeg.encoder_rule import EncoderOptions
from npeg.sections import MIDDLE, TILE

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
sys.path.insert(0, str(ROOT / "reference"))
decode = import_module("decode")
HEADS = ("file", "width", "height", "channels", "depth", "tolerance", "symbols", "pixels", "why")
NOT_COMPARED = "coffee-layers-*"  # its pixels would take 130 kB
Sections = list[tuple[str, int, bytes]]  # type, tile, payload; the last one ends the file


# --- files by hand ---


def number(value: int) -> bytes:
    """Return a number of seven bits a byte."""
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + number(rest) if rest else bytes([low])


def section(kind: str, payload: bytes, tile: int | None, last: bool, length: bytes = b"") -> bytes:
    """Return a section with its checksum; `length` in place of the right one."""
    head = bytes([ord(kind) | 128 * last]) + (length or number(len(payload)))
    head += b"" if tile is None or kind.islower() else number(tile)
    return head + zlib.crc32(head + payload).to_bytes(4, "little") + payload


def file_of(header: bytes, sections: Sections) -> bytes:
    """Return a file with these sections; tiles are numbered if there are several."""
    many = any(tile for _, tile, _ in sections)
    packed = [
        section(kind, payload, tile if many else None, i == len(sections) - 1)
        for i, (kind, tile, payload) in enumerate(sections)
    ]
    return header + b"".join(packed)


def sections_of(file: bytes) -> Sections:
    """Return the sections of a sound file."""
    _, tiles = container.read_tiles(file)
    return [
        (kind.decode(), tile, payload)
        for tile, parts in enumerate(tiles)
        for kind, payload in sorted(
            parts.items(), key=lambda part: "HLAMTER".index(part[0].decode())
        )
    ]


def changed(file: bytes, at: int, value: bytes) -> bytes:
    """Return a file whose header has other bytes at a place, and the right checksum."""
    header = file[:at] + value + file[at + len(value) : 16]
    return header + zlib.crc32(header).to_bytes(4, "little") + file[20:]


def with_payload(file: bytes, kind: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return a file in which the payloads of one type are changed behind right checksums."""
    found = [(k, tile, change(p) if k == kind else p) for k, tile, p in sections_of(file)]
    return file_of(file[:20], found)


def put(at: int, value: int) -> Callable[[bytes], bytes]:
    """Return what sets one byte of a payload."""
    return lambda payload: payload[:at] + bytes([value]) + payload[at + 1 :]


# --- sound files ---


def sound_files() -> Iterator[tuple[str, bytes, str]]:
    """Yield names, files that must be decoded, and what they show."""
    photo = data.coffee()[100:140, 150:198]
    grey = photo[..., 1]
    deep = np.maximum(photo, 1) * np.uint16(257) - np.arange(48, dtype=np.uint16)[:, None] * 5
    ramp = np.linspace(0, 255, 48).astype(np.uint8)[None].repeat(40, axis=0)
    usual, small = EncoderOptions(), EncoderOptions(tile_size=64)
    exact = EncoderOptions(lossless=True)
    ten = EncoderOptions(lossless=True, bit_depth=10)
    few = photo // 64 * 64

    def file(pixels: Samples, level: int = 120, options: EncoderOptions = usual) -> bytes:
        return codec.encode_pixels(np.ascontiguousarray(pixels), level, options)

    flat = np.full((64, 64, 3), 200, np.uint8)
    flat[20:40, 30:50] = 10, 90, 30
    wide = data.coffee()[100:164, 150:214]
    yield "deep", file(deep), "16 bits a sample"
    yield "deep-residual", file(deep, 200), "16 bits and a residual"
    yield "deep-grey", file(deep[..., 1]), "16 bits, grey"
    yield "deep-alpha", file(np.dstack([deep, ramp * np.uint16(257)])), "16 bits with alpha"
    yield "deep-exact", file(deep[:20, :24], 200, exact), "16 bits, exact"
    yield "ten-bits-exact", file(depth.widened(deep >> 6, 10), 200, ten), "10 bits, exact"
    yield "deep-few-colours", file(few * np.uint16(123), 200, exact), "16 bits, exact, few colours"
    yield "grey-alpha", file(np.dstack([grey, ramp])), "grey with alpha of many levels"
    yield "neutral", file(np.dstack([grey] * 3)), "RGB whose channels are equal"
    yield "grey-residual", file(grey, 190), "grey with a residual"
    yield "photo-exact", file(photo[:20, :24], 200, exact), "a photograph, exact"
    yield "high-exact", file(few.swapaxes(0, 1), 200, exact), "higher than wide, exact"
    yield "lowest", file(photo, 0), "quality 0"
    yield "highest", file(photo, 200), "quality 100"
    yield "mixed", mixed(file(wide, 150, small), file(flat, 150, small)), "networks beside exact"
    with patch.object(latents, "LAYERED", 0):
        yield "layers", file(photo), "hyper-latents and latents in three layers"
        with patch.object(latents, "LAYERS", {MIDDLE: 20, TILE: 256}):
            yield "two-layers", file(photo), "layers without the first one"
    yield from sound_sections(file(photo), file(photo, 190))


def mixed(first: bytes, second: bytes) -> bytes:
    """Return a file of two tiles of 64 pixels from two files of one each, the second one first."""
    header = changed(first, 8, (128).to_bytes(3, "little"))[:20]
    found = [(kind, 1, payload) for kind, _, payload in sections_of(second)]
    return file_of(header, found + sections_of(first))


def sound_sections(plain: bytes, residual: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose sections are unusual and legal."""
    for kind, name in (("q", "unknown-metadata"), ("x", "metadata")):
        found = [(kind, 0, b"\0<x:xmpmeta/>"), *sections_of(plain)]
        yield name, file_of(plain[:20], found), f"a section {kind} to be skipped"
    steeper = with_payload(residual, "R", lambda p: put(1, p[1] + 32)(p))
    yield "sloped", steeper, "a residual whose steps grow with frequency"
    named = file_of(changed(plain, 5, b"\0")[:20], [("N", 0, model_name(8)), *sections_of(plain)])
    yield "named", named, "model 8 by its name, as a model of one's own"
    pieces = [(kind, 0, b"" if kind == "T" else p) for kind, _, p in sections_of(residual)]
    yield "residual-alone", file_of(residual[:20], pieces), "a residual without latents"


def model_name(number: int) -> bytes:
    """Return the name of a model that npeg ships."""
    model = import_module("model")
    return model.name_of(decode.MODELS / model.MODELS[number])


# --- files that must be refused ---


def bad_files() -> Iterator[tuple[str, bytes, str]]:
    """Yield names, files that must be refused, and why."""
    plain = (GOLDEN / "coffee-100x75-q40-model8.npeg").read_bytes()
    yield "empty", b"", "there are no bytes"
    yield "magic", b"NPEX" + plain[4:], "it does not begin with NPEG"
    yield "cut-header", plain[:15], "the header is cut"
    yield "cut-section", plain[: len(plain) // 2], "a section is cut"
    yield "cut-last-byte", plain[:-1], "the last byte is missing"
    yield "longer", plain + b"\0", "there is a byte behind the last section"
    yield "header-checksum", plain[:16] + b"1234" + plain[20:], "the header's checksum is wrong"
    yield "section-checksum", plain[:-1] + bytes([plain[-1] ^ 1]), "a section's checksum is wrong"
    yield from bad_headers(plain)
    yield from bad_sections(plain)
    yield from bad_payloads(plain)
    yield from bad_residuals((GOLDEN / "coffee-residual-48x64-q95-model8.npeg").read_bytes())
    yield from bad_exact((GOLDEN / "few-colours-70x80-lossless-model8.npeg").read_bytes())
    yield from bad_alpha((GOLDEN / "coffee-alpha-44x60-q50-model8.npeg").read_bytes())


def bad_headers(plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose headers say what is illegal, behind right checksums."""
    most = (2**24 - 1).to_bytes(3, "little")
    for name, at, value, why in (
        ("version-2", 4, b"\2", "version 2"),
        ("model-6", 5, b"\6", "model 6 was never released"),
        ("model-250", 5, b"\xfa", "model 250 is not there"),
        ("level-201", 6, b"\xc9", "level 201"),
        ("channels-6", 7, b"\6", "a reserved layout of channels"),
        ("depth-9", 7, b"\x91", "a reserved depth"),
        ("width-0", 8, bytes(3), "no column"),
        ("height-0", 11, bytes(3), "no row"),
        ("too-many-pixels", 8, most + most, "more than 2^32 pixels"),
        ("tile-size-0", 14, b"\0", "tiles of no pixel"),
        ("tile-size-33", 14, b"\x21", "tiles of more than 2048 pixels"),
        ("networks-level-202", 15, b"\xca", "no such level of the networks"),
        ("more-tiles", 8, (3000).to_bytes(3, "little"), "a picture of three tiles has one"),
    ):
        yield name, changed(plain, at, value), why


def bad_sections(plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose sections do not go together, behind right checksums."""
    header, ((_, _, payload),) = plain[:20], sections_of(plain)
    tile, note, alpha = ("T", 0, payload), ("c", 0, b"\0a"), ("A", 0, b"\xff\3\0\1\0\7")
    residual = ("R", 0, bytes(9))
    for name, found, why in (
        ("unknown-section", [("Q", 0, b"1"), tile], "a section that is needed and unknown"),
        ("no-letter", [("\1", 0, b"1"), tile], "a section whose type is no letter"),
        ("metadata-last", [tile, note], "the last section is not one of a tile"),
        ("metadata-twice", [note, note, tile], "metadata is there twice"),
        ("tile-twice", [tile, tile], "a tile's latents are there twice"),
        ("unwanted-alpha", [alpha, tile], "alpha in a file without"),
        ("layers-alone", [("L", 0, payload), tile], "layers without hyper-latents"),
        ("layer-late", [("H", 0, payload), tile, ("L", 0, b"1")], "a layer comes too late"),
        ("residual-first", [residual, tile], "a residual before the latents"),
        ("both-kinds", [tile, ("E", 0, b"\3\0\3\0\1\2\3")], "a tile is coded twice"),
        ("exact-residual", [("E", 0, b"\3\0\3\0\1\2\3"), residual], "an exact tile has a residual"),
        ("no-pixels", [("H", 0, payload)], "a tile without pixels"),
        ("nothing", [("T", 0, b"")], "no latents and no residual"),
    ):
        yield name, file_of(header, found), why
    yield "missing-alpha", changed(plain, 7, b"\4"), "a file with alpha has none"
    size = bytes([len(payload) & 127 | 128, len(payload) >> 7 | 128, 0])
    needless = section("T", payload, None, True, size)
    unnamed, named = changed(plain, 5, b"\0")[:20], ("N", 0, bytes(8))
    yield "name-missing", unnamed + plain[20:], "a model without an id has no name"
    yield "name-unknown", file_of(unnamed, [named, tile]), "a model of a name that is not there"
    yield "name-late", file_of(unnamed, [note, named, tile]), "the model's name is not the first"
    yield "name-unwanted", file_of(header, [named, tile]), "a model has an id and a name"
    yield "needless-byte", header + needless, "a number is longer than it must be"
    five = section("T", payload, None, True, b"\xff\xff\xff\xff\1")
    yield "long-number", header + five, "a number has five bytes"
    tiled = (GOLDEN / "coffee-tiles-140x130-q10-model8.npeg").read_bytes()
    kind, _, last = sections_of(tiled)[-1]
    found = [*sections_of(tiled)[:-1], (kind, 9, last)]
    yield "no-such-tile", file_of(tiled[:20], found), "tile 9 of 9, counted from 0"


def bad_payloads(plain: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose symbols are illegal, behind right checksums."""
    for name, change, why in (
        ("payload-empty", lambda p: p[:1], "a payload of one byte"),
        ("payload-cut", lambda p: p[2:], "a payload lacks its first word"),
        ("payload-longer", lambda p: b"\0\0" + p, "a payload has a word too much"),
        ("payload-lanes", lambda p: p[:-1] + b"\xb0", "2^11 lanes"),
        ("payload-state", lambda p: p[:-3] + b"\1" + p[-2:], "the final states are wrong"),
        ("payload-word", lambda p: b"\xff\xff" + p[2:], "a word of a payload was changed"),
    ):
        yield name, with_payload(plain, "T", change), why
    large = changed(plain, 8, (2048).to_bytes(3, "little") * 2 + b"\x20")
    yield "too-few-lanes", large, "one lane for the symbols of 2048 x 2048 pixels"


def bad_residuals(file: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose residuals are illegal, behind right checksums."""
    for name, change, why in (
        ("residual-step", put(0, 96), "step 96"),
        ("residual-nothing", lambda p: bytes(6) + p[6:], "a residual without a band"),
        ("residual-cut", lambda p: p[:6] + p[8:], "a residual lacks its first word"),
        ("residual-longer", lambda p: p[:6] + b"\0\0" + p[6:], "a residual has a word too much"),
        ("residual-short", lambda p: p[:5], "a residual of five bytes"),
    ):
        yield name, with_payload(file, "R", change), why


def bad_exact(file: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose exact payloads are illegal, behind right checksums."""
    for name, change, why in (
        ("exact-empty", lambda p: b"", "an exact payload of no bytes"),
        ("exact-kind", put(0, 4), "kind 4"),
        ("exact-nested", lambda p: b"\3\1\3\0\3\0\1", "colours that are a palette"),
        ("exact-cut", lambda p: p[:-2], "a word is missing"),
        ("exact-longer", lambda p: p + b"\0\0", "there is a word too much"),
        ("exact-flags", lambda p: b"\0\x10" + p[2:], "a flag that is reserved"),
        ("exact-guesses", lambda p: b"\0\2" + p[2:], "guesses without matching"),
        ("exact-state", lambda p: b"\0\0\0" + bytes(4), "a state below 2^16"),
        ("exact-one-colour", lambda p: b"\3\0\3\0\1\2\3\0", "one colour and a byte too much"),
    ):
        yield name, with_payload(file, "E", change), why


def bad_alpha(file: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Yield files whose alpha is illegal, behind right checksums."""
    yield "alpha-missing", file_of(file[:20], sections_of(file)[1:]), "alpha is missing"
    yield "alpha-late", file_of(file[:20], sections_of(file)[::-1]), "alpha behind the latents"
    for name, change, why in (
        ("alpha-no-levels", put(0, 0), "alpha of no level"),
        ("alpha-above", lambda p: b"\6\3\0\1\0\7", "alpha of 7 where 6 is the highest"),
    ):
        yield name, with_payload(file, "A", change), why


# --- the table ---


def described(path: Path, why: str) -> list[object]:
    """Return the row of a sound file; its pixels are written beside it."""
    pixels = Path("pixels") / f"{path.stem}.png"
    if path.match(NOT_COMPARED):
        pixels = Path("pixels") / "none"
    symbols = reference(path, GOLDEN / pixels)
    header = container.read_header(path.read_bytes())
    image = Image.open(GOLDEN / pixels)
    exact = all(kind in "AE" for kind, _, _ in sections_of(path.read_bytes()))
    channels = len(image.getbands())
    if not header.deep:
        squeeze(GOLDEN / pixels)
    row = [path.relative_to(GOLDEN), *image.size, channels, 16 if header.deep else 8]
    if path.match(NOT_COMPARED):
        (GOLDEN / pixels).unlink()
        pixels = Path("-")
    return [*row, 0 if exact else 2, symbols, pixels, why]


def reference(path: Path, output: Path) -> str:
    """Decode a file by the reference decoder; return the SHA-256 of its symbols."""
    picture = decode.read(path.read_bytes(), decode.MODELS, 2**32)
    output.write_bytes(decode.png(picture.pixels()))
    return decode.digest(picture)


def squeeze(path: Path) -> None:
    """Make a PNG file of 8 bits smaller."""
    packed = io.BytesIO()
    Image.open(path).save(packed, "PNG", optimize=True)
    path.write_bytes(packed.getvalue())


def shown_by(name: str) -> str:
    """Return what a golden file shows, by its name."""
    return f"a golden file: {name.removesuffix('.npeg').replace('-', ' ')}"


def write(folder: str, files: Iterator[tuple[str, bytes, str]]) -> dict[str, str]:
    """Write files that are not there yet; return what each shows, by path."""
    (GOLDEN / folder).mkdir(exist_ok=True)
    found = {}
    for name, data_, why in files:
        path = GOLDEN / folder / f"{name}.npeg"
        if not path.exists():
            path.write_bytes(data_)
        found[f"{folder}/{name}.npeg"] = why
    return found


def main() -> None:
    """Write the files and the table."""
    (GOLDEN / "pixels").mkdir(exist_ok=True)
    sound = {path.name: shown_by(path.name) for path in sorted(GOLDEN.glob("*.npeg"))}
    sound |= write("sound", sound_files())
    bad = [[name, *"-------", why] for name, why in write("bad", bad_files()).items()]
    rows = [*(described(GOLDEN / name, why) for name, why in sound.items()), *bad]
    lines = ["\t".join(map(str, row)) for row in (HEADS, *rows)]
    (GOLDEN / "conformance.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
