"""HEIC, JPEG XL and raw files, by packages that are not always there.

Enters: an image file that Pillow alone cannot read, or not as its photographer means it. Leaves: a
Pillow image, sRGB where nothing says otherwise, or one line that names the package to install.

Source: ISO/IEC 18181-1 (size header of JPEG XL); Adobe, DNG Specification 1.7 (tag DNGVersion).
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any, Literal

from . import limits
from .errors import InputError, NpegError, warn

if TYPE_CHECKING:
    from PIL.Image import Image

HEIF, JPEG_XL = (".heic", ".heif"), (".jxl",)
RAW = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"),
    *(".rw2", ".pef", ".srw", ".x3f", ".3fr", ".iiq", ".kdc", ".mrw", ".erf", ".mef", ".mos"),
)
PACKAGES = {"HEIC": "pillow_heif", "JPEG XL": "imagecodecs", "raw": "rawpy"}  # kind -> module
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
JXL_CODESTREAM, JXL_CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a"
RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")
DNG_VERSION = 50706  # the tag that makes a DNG of a TIFF
HEAD = 64  # bytes that tell the kind of a file
JXL_HEAD = 1 << 16  # bytes in which its size is found
JXL_RATIOS = ((1, 1), (6, 5), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height


def extensions() -> tuple[str, ...]:
    """Return the names of files that count in a folder: of what can be read here, but for raw.

    Raw files lie beside the pictures that cameras made of them.
    """
    return (*HEIF * _is_here("HEIC"), *JPEG_XL * _is_here("JPEG XL"))


def kind_of(file: Any, head: bytes) -> str:
    """Return which of the kinds of PACKAGES an open file is, or ''.

    Args:
        file: at its beginning; by its name a TIFF may be a raw file.
        head: its first bytes.
    """
    head, name = head[:HEAD], getattr(file, "name", "")
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS and b"avif" not in head[8:]:
        return "HEIC"
    if head.startswith((JXL_CODESTREAM, JXL_CONTAINER)):
        return "JPEG XL"
    is_raw = isinstance(name, str | os.PathLike) and os.fspath(name).lower().endswith(RAW)
    starts = head.startswith(RAW_STARTS) or head[4:12] == b"ftypcrx "
    return "raw" if is_raw or starts or is_dng(file, head) else ""


def is_dng(file: Any, head: bytes) -> bool:
    """Tell a DNG by the tags of its first folder: a TIFF, of whose thumbnail Pillow would read."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    place = file.tell()
    file.seek(place + int.from_bytes(head[4:8], order))
    count = int.from_bytes(file.read(2), order)
    folder = file.read(12 * count)
    file.seek(place)
    tags = (int.from_bytes(folder[at : at + 2], order) for at in range(0, len(folder), 12))
    return DNG_VERSION in tags


def open_image(file: Any, kind: str) -> Image:
    """Open an image file of a kind; its pixels may be decoded at once.

    Raises:
        InputError: the package that reads it is not here, or the file is damaged.
        LimitError: too many pixels.
    """
    if not _is_here(kind):
        name = PACKAGES[kind].replace("_", "-")
        raise InputError(f'found {kind}, which {name} reads: pip install "npeg[formats]"')
    try:
        return {"HEIC": _open_heif, "JPEG XL": _open_jpeg_xl, "raw": _open_raw}[kind](file)
    except (NpegError, MemoryError):
        raise
    except Exception as error:  # these packages raise almost anything
        raise InputError(f"found a damaged {kind} file: {error}") from error


def _is_here(kind: str) -> bool:
    return importlib.util.find_spec(PACKAGES[kind]) is not None


def _open_heif(file: Any) -> Image:
    import PIL.Image
    import pillow_heif

    pillow_heif.register_heif_opener()  # its limits are libheif's
    image = PIL.Image.open(file)
    limits.check(image.width, image.height)
    if image.info.get("bit_depth", 8) > 8:
        warn(f"{image.info['bit_depth']} bits a sample are cut to 8")
    return image


def _open_jpeg_xl(file: Any) -> Image:
    """Decode the first frame; a colour profile is not handed on by imagecodecs."""
    import imagecodecs
    import numpy as np
    import PIL.Image

    file.seek(0)
    data = file.read()
    limits.check(*jpeg_xl_size(data[:JXL_HEAD]))
    found = imagecodecs.jpegxl_decode(data, index=0)
    if found.dtype != np.uint8:
        warn(f"{8 * found.dtype.itemsize} bits a sample are cut to 8")
        scale = 255 if found.dtype.kind == "f" else 255 / np.iinfo(found.dtype).max
        found = np.rint(found.astype(np.float64) * scale).clip(0, 255).astype(np.uint8)
    return PIL.Image.fromarray(found)


def _open_raw(file: Any) -> Image:
    """Develop a raw file as its camera would have: its white balance, sRGB, upright."""
    import PIL.Image
    import rawpy

    file.seek(0)
    with rawpy.imread(file) as raw:
        limits.check(raw.sizes.width, raw.sizes.height)
        return PIL.Image.fromarray(raw.postprocess(use_camera_wb=True))


def jpeg_xl_size(head: bytes) -> tuple[int, int]:
    """Return the width and the height that the first bytes of a JPEG XL file state.

    Raises:
        InputError: they state none.
    """
    at = head.find(JXL_CODESTREAM) if head.startswith(JXL_CODESTREAM) else _codestream(head)
    bits = int.from_bytes(head[at + 2 : at + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & (1 << count) - 1, bits >> count
        return value

    def side(small: int) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = take(1)
    height, ratio = side(small), take(3)
    if ratio:
        across, down = JXL_RATIOS[ratio - 1]
        return height * across // down, height
    return side(small), height


def _codestream(head: bytes) -> int:
    """Return where the codestream begins in a container of boxes."""
    at = 0
    while at + 16 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4]), head[at + 4 : at + 8]
        start = at + (16 if size == 1 else 8)
        if kind in (b"jxlc", b"jxlp"):
            return start + 4 * (kind == b"jxlp")
        size = int.from_bytes(head[at + 8 : at + 16]) if size == 1 else size
        if size < 8:
            break
        at += size
    raise InputError("found a damaged JPEG XL file: it states no size")
