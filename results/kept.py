"""Try what each codec's command keeps of a picture that is more than 8-bit sRGB pixels.

    python results/kept.py > results/kept.tsv

Makes a file for each case, encodes it by npeg, cwebp, avifenc and cjxl at a high quality, looks
into the result by exiftool, or decodes it and looks at the pixels, and prints a row a case: kept,
converted, lost, refused, or cannot be read. "said" is added where the command wrote a warning.
exiftool knows no .npeg, so these are decoded first, to PNG.
"""

import io
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin
from skimage import data

PHOTO = np.ascontiguousarray(data.astronaut()[:96, 180:320])
ALPHA = np.tile(np.linspace(0, 255, PHOTO.shape[1]).astype(np.uint8), (len(PHOTO), 1))
DEEP = (PHOTO.astype(np.uint16) * 257 // 3 + np.arange(PHOTO.shape[1])[None, :, None] * 7).astype(
    np.uint16
)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/npeg-test"/>'
    b"</rdf:RDF></x:xmpmeta>"
)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RED = struct.unpack_from(">I", SRGB, SRGB.index(b"rXYZ") + 4)[0] + 8
ICC = SRGB[:RED] + struct.pack(">i", 0xE000) + SRGB[RED + 4 :]  # a wider gamut, of no known name
SUFFIX = {"npeg": "npeg", "cwebp": "webp", "avifenc": "avif", "cjxl": "jxl"}
ENCODERS = {
    "npeg": [sys.executable, "-m", "npeg", "encode", "-q", "90", "{}", "{}"],
    "cwebp": ["cwebp", "-quiet", "-metadata", "all", "-q", "90", "{}", "-o", "{}"],
    "avifenc": ["avifenc", "-s", "8", "--min", "0", "--max", "20", "{}", "{}"],
    "cjxl": ["cjxl", "--quiet", "-j", "0", "--container=1", "-q", "90", "{}", "{}"],
}
DECODERS = {
    "npeg": [sys.executable, "-m", "npeg", "decode", "{}", "{}"],
    "cwebp": ["dwebp", "-quiet", "{}", "-o", "{}"],
    "avifenc": ["avifdec", "{}", "{}"],
    "cjxl": ["djxl", "--quiet", "{}", "{}"],
}
Look = Callable[[Path, Path], str]  # what the file and the decoded PNG show


def run(command: list[str], *paths: Path) -> tuple[int, str]:
    """Run a command with these paths in its gaps; return its status and what it wrote."""
    left = iter(paths)
    filled = [str(next(left)) if part == "{}" else part for part in command]
    done = subprocess.run(filled, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr + done.stdout


def tag(name: str, wanted: str) -> Look:
    """Return a look at a tag that exiftool finds in the file or in what it decodes to."""

    def look(file: Path, decoded: Path) -> str:
        found = [run(["exiftool", f"-{name}", "-b", "{}"], path)[1] for path in (file, decoded)]
        return "kept" if any(wanted in words for words in found) else "lost"

    return look


def profile(file: Path, decoded: Path) -> str:
    """Tell whether the profile is there, byte for byte."""
    commands = [["exiftool", "-icc_profile", "-b", str(path)] for path in (file, decoded)]
    found = [subprocess.run(command, capture_output=True).stdout for command in commands]
    return "kept" if ICC in found else "changed" if any(found) else "lost"


def opened(path: Path) -> np.ndarray:
    """Return the pixels as they are, of a PNG deep ones too."""
    import imagecodecs

    with Image.open(path) as image:
        if image.mode == "1":
            return np.asarray(image.convert("L"))
        if path.suffix == ".jpg":
            return np.asarray(image)
    return np.asarray(imagecodecs.png_decode(path.read_bytes()))


def upright(file: Path, decoded: Path) -> str:
    """Tell whether a viewer that knows the tag, or none, shows the picture upright."""
    with Image.open(decoded) as image:
        turned = ImageOps.exif_transpose(image).size == PHOTO.shape[:2]
    shown = tag("Orientation#", "6")(file, decoded) == "kept"
    return "kept" if turned or shown else "lost"


def same(wanted: np.ndarray, most: float, words: str = "kept") -> Look:
    """Return a look at whether pixels are within a root mean square error of what is wanted."""

    def look(_: Path, decoded: Path) -> str:
        found = opened(decoded).astype(float)
        if found.ndim == 2 and wanted.ndim == 3:
            found = found[..., None].repeat(3, 2)
        if found.shape != wanted.shape:
            return "lost"
        error = np.sqrt(((found - wanted) ** 2).mean())
        return words if error < most else f"off by {error:.0f} levels"

    return look


def neutral(_: Path, decoded: Path) -> str:
    """Tell whether grey came back grey."""
    found = opened(decoded)
    spread = 0 if found.ndim == 2 or found.shape[2] < 3 else np.ptp(found[..., :3], axis=2).max()
    return f"colours of {spread} level" if spread else "kept"


def alpha(wanted: np.ndarray) -> Look:
    """Return a look at whether alpha came back as it was."""

    def look(_: Path, decoded: Path) -> str:
        found = opened(decoded)
        if found.ndim < 3 or found.shape[2] not in (2, 4):
            return "lost"
        if (found[..., -1] == wanted).all():
            return "kept"
        if found.dtype != wanted.dtype:
            return "cut to 8 bits"
        return f"off by up to {np.abs(found[..., -1].astype(int) - wanted).max()} levels"

    return look


def deep(_: Path, decoded: Path) -> str:
    """Tell how many bits a sample came back with."""
    found = opened(decoded)
    if found.dtype == np.uint8:
        return "cut to 8 bits"
    grey = DEEP[..., 1] if found.ndim == 2 else DEEP
    error = np.sqrt(((found[..., : grey.shape[-1]].astype(float) - grey) ** 2).mean())
    return f"kept, {20 * np.log10(65535 / error):.0f} dB"


def linear(_: Path, decoded: Path) -> str:
    """Tell whether a PNG of gamma 1 is shown as bright as it is meant."""
    bright = (255 * (PHOTO / 255.0) ** (1 / 2.2)).mean()
    if abs(opened(decoded)[..., :3].mean() - bright) < 8:
        return "converted"
    return "kept" if re.search(b"gAMA|iCCP", decoded.read_bytes()) else "lost"


def hdr(file: Path, decoded: Path) -> str:
    """Tell whether a file or what it decodes to says that it is HDR."""
    found = run(["exiftool", "-TransferCharacteristics", "{}"], file)[1]
    return "kept" if "PQ" in found or b"cICP" in decoded.read_bytes() else "lost"


def png(pixels: np.ndarray, **more: object) -> bytes:
    """Return a PNG by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **more)
    return stream.getvalue()


def with_chunk(file: bytes, kind: bytes, content: bytes) -> bytes:
    """Return a PNG with a chunk behind its header."""
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return file[:33] + struct.pack(">I", len(content)) + kind + content + crc + file[33:]


def deep_png(pixels: np.ndarray) -> bytes:
    """Return a PNG of 16 bits."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def jpeg(mode: str = "RGB", **more: object) -> bytes:
    """Return a JPEG by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(PHOTO).convert(mode).save(stream, "JPEG", quality=97, **more)
    return stream.getvalue()


def exif(**tags: object) -> bytes:
    """Return EXIF with these tags of its first directory."""
    found = Image.Exif()
    for name, value in tags.items():
        found[int(name[1:])] = value
    return found.tobytes()


def iptc() -> bytes:
    """Return a JPEG with an IPTC caption, as Photoshop wraps it."""
    caption = b"\x1c\x02\x78" + struct.pack(">H", 9) + b"npeg-test"
    block = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(caption)) + caption
    content = b"Photoshop 3.0\0" + block
    marker = b"\xff\xed" + struct.pack(">H", len(content) + 2) + content
    plain = jpeg()
    return plain[:2] + marker + plain[2:]


def text() -> PngImagePlugin.PngInfo:
    """Return a text of a PNG."""
    found = PngImagePlugin.PngInfo()
    found.add_text("Title", "npeg-test")
    return found


def tiff(pixels: np.ndarray, **more: object) -> bytes:
    """Return a TIFF by Pillow."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", **more)
    return stream.getvalue()


def frames() -> bytes:
    """Return an animated PNG of two pictures."""
    stream = io.BytesIO()
    second = [Image.fromarray(PHOTO[::-1])]
    Image.fromarray(PHOTO).save(stream, "PNG", save_all=True, append_images=second)
    return stream.getvalue()


def cmyk() -> bytes:
    """Return a CMYK JPEG."""
    return jpeg("CMYK")


def cases() -> dict[str, tuple[str, bytes, Look]]:
    """Return, by name, the kind of file, the file, and how to look at what comes of it."""
    rgba, grey = np.dstack([PHOTO, ALPHA]), PHOTO[..., 1]
    palette = io.BytesIO()
    Image.fromarray(PHOTO).quantize(32).save(palette, "PNG", transparency=3)
    few = np.asarray(Image.open(palette).convert("RGBA"))
    pq = with_chunk(deep_png(DEEP), b"cICP", bytes([9, 16, 0, 1]))
    wide = np.zeros((8, 20_000, 3), np.uint8) + 99
    return {
        "colour profile": ("png", png(PHOTO, icc_profile=ICC), profile),
        "EXIF of a JPEG": ("jpg", jpeg(exif=exif(_315="npeg-test")), tag("Artist", "npeg-test")),
        "EXIF of a PNG": (
            "png",
            png(PHOTO, exif=exif(_315="npeg-test")),
            tag("Artist", "npeg-test"),
        ),
        "XMP": ("jpg", jpeg(xmp=XMP), tag("XMP:Format", "image/npeg-test")),
        "IPTC": ("jpg", iptc(), tag("Caption-Abstract", "npeg-test")),
        "comment of a JPEG": ("jpg", jpeg(comment=b"npeg-test"), tag("Comment", "npeg-test")),
        "text of a PNG": ("png", png(PHOTO, pnginfo=text()), tag("Title", "npeg-test")),
        "dots per inch": ("png", png(PHOTO, dpi=(300, 300)), tag("PixelsPerUnitX", "1181")),
        "orientation": ("jpg", jpeg(exif=exif(_274=6)), upright),
        "alpha": ("png", png(rgba), alpha(ALPHA)),
        "grey with alpha": ("png", png(np.dstack([grey, ALPHA])), alpha(ALPHA)),
        "palette with transparency": ("png", palette.getvalue(), alpha(few[..., 3])),
        "grey": ("png", png(grey), neutral),
        "black and white": (
            "png",
            png(grey > 99),
            same(np.where(grey > 99, 255, 0)[..., None].repeat(3, 2), 12),
        ),
        "16 bits a sample": ("png", deep_png(DEEP), deep),
        "grey of 16 bits": ("png", deep_png(DEEP[..., 1]), deep),
        "alpha of 16 bits": (
            "png",
            deep_png(np.dstack([DEEP, DEEP[..., 1]])),
            alpha(DEEP[..., 1]),
        ),
        "CMYK": ("jpg", cmyk(), same(PHOTO, 12, "converted")),
        "gamma of a PNG": (
            "png",
            with_chunk(png(PHOTO), b"gAMA", struct.pack(">I", 100_000)),
            linear,
        ),
        "HDR (cICP)": ("png", pq, hdr),
        "TIFF": ("tif", tiff(PHOTO, compression="tiff_lzw"), same(PHOTO, 12)),
        "second picture of an APNG": ("png", frames(), lambda *_: "lost"),
        "20,000 pixels wide": ("png", png(wide), same(wide, 4)),
    }


def outcome(codec: str, file: Path, look: Look) -> str:
    """Return what a codec makes of a file."""
    coded, decoded = file.with_suffix("." + SUFFIX[codec]), file.with_suffix(".out.png")
    if file.suffix == ".jpg" and codec == "npeg":
        decoded = decoded.with_suffix(".jpg")  # not all metadata has a place in a PNG
    for path in (coded, decoded):
        path.unlink(missing_ok=True)
    status, words = run(ENCODERS[codec], file, coded)
    if status or not coded.exists():
        unread = re.search(r"(?i)getting pixel data|cannot determine|unsupported|failed", words)
        return "cannot be read" if unread and codec != "npeg" else "refused"
    if run(DECODERS[codec], coded, decoded)[0]:
        return "cannot be decoded"
    said = ", said" if re.search(r"(?i)warning|npeg: ", words) else ""
    return look(coded, decoded) + said


def main() -> None:
    """Try all; print a row a case."""
    print("case", *ENCODERS, sep="\t")
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, content, look) in cases().items():
            file = Path(folder, f"case.{suffix}")
            file.write_bytes(content)
            print(name, *(outcome(codec, file, look) for codec in ENCODERS), sep="\t", flush=True)


if __name__ == "__main__":
    TiffImagePlugin.WRITE_LIBTIFF = True
    main()
