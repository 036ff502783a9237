"""Pillow plugin: `Image.open` and `Image.save` for .npeg files, after `npeg.register()`.

Opening reads the header alone; pixels are decoded when they are asked for.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING

from PIL import Image, ImageFile

from . import container, decode, encode
from .errors import NpegError

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

FORMAT = "NPEG"


class NpegImageFile(ImageFile.ImageFile):
    """A .npeg file that Pillow has opened."""

    format = FORMAT
    format_description = "npeg neural image"

    def _open(self) -> None:
        assert self.fp is not None
        try:
            header = container.read_header(self.fp.read(container.HEADER_SIZE))
        except NpegError as error:
            raise OSError(str(error)) from error
        self._size = header.width, header.height
        self._mode = "RGB" if header.channels == 3 else "L"
        self.info["quality"] = header.quality
        self._encoded = True

    def load(self) -> PixelAccess | None:
        """Decode the pixels on the first call; a bad file is refused before they get memory."""
        if self._encoded and self.fp is not None:
            try:
                pixels = decode(self._read())
            except NpegError as error:
                raise OSError(str(error)) from error
            if self._exclusive_fp:
                self.fp.close()
            self._encoded = False
            self.fp = BytesIO(pixels.tobytes())
            self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return super().load()

    def verify(self) -> None:
        """Raise OSError unless the file is whole and every CRC-32 agrees; decodes no pixels."""
        try:
            container.info(self._read())
        except NpegError as error:
            raise OSError(str(error)) from error
        super().verify()

    def _read(self) -> bytes:
        assert self.fp is not None
        self.fp.seek(0)
        return self.fp.read()


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    names = ("quality", "bpp", "size", "psnr", "effort", "tune")
    fp.write(encode(image, **{n: v for n, v in image.encoderinfo.items() if n in names}))


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def register() -> None:
    """Register format, extension and MIME type with Pillow."""
    Image.register_open(FORMAT, NpegImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".npeg")
    Image.register_mime(FORMAT, "image/x-npeg")
