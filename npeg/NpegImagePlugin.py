"""Pillow plugin: `Image.open` and `Image.save` for .npeg files, after `npeg.register()`.

Opening reads the header and the metadata; pixels are decoded when they are asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageCms, ImageFile

from . import container, decode, encoding, info, metadata_sections, pillow_metadata
from .encoder_rule import EncoderOptions
from .errors import InputError, NpegError
from .exif import PREFIX
from .metadata_sections import Metadata
from .targets import Target

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

    from .arrays import Pixels

FORMAT = "NPEG"
TARGETS = ("quality", "bpp", "size", "psnr", "ssimulacra2")
OPTIONS = ("effort", "tune", "lossless", "alpha_quality", "model")
CHOICES = (*TARGETS, *OPTIONS, "strip")
METADATA = ("icc_profile", "exif", "xmp", "iptc", "dpi", "comment")


class NpegImageFile(ImageFile.ImageFile):
    """A .npeg file that Pillow has opened."""

    format = FORMAT
    format_description = "NPEG neural image"
    text: dict[str, str]
    _encoded = _exclusive_fp = False  # of an image without a file: one from a pickle
    _factor = 1  # pixels of the file to one of the image, after `draft`

    def _open(self) -> None:
        assert self.fp is not None
        try:
            header, payloads = container.read_leading(self.fp)
        except NpegError as error:
            raise OSError(str(error)) from error
        self._size = header.width, header.height
        self._mode = ("RGB" if header.channels == 3 else "L") + "A" * header.alpha
        self._tell_metadata(payloads)
        self._encoded = True

    def _tell_metadata(self, payloads: dict[bytes, bytes]) -> None:
        """Fill `info` and `text` as Pillow's own plugins do."""
        try:
            found = metadata_sections.unpack(payloads)
        except NpegError as error:
            raise OSError(str(error)) from error
        for name in METADATA:
            if value := getattr(found, name):
                self.info[name] = PREFIX + value if name == "exif" else value
        self.text = {
            text.keyword: _IText(text.text, text.language, text.translated) for text in found.text
        }

    def load(self) -> PixelAccess | None:
        """Decode the pixels on the first call; a bad file is refused before they get memory."""
        if self._encoded and self.fp is not None:
            try:
                pixels = self._decoded()
            except NpegError as error:
                raise OSError(str(error)) from error
            if self._exclusive_fp:
                self.fp.close()
            self._encoded, self.fp, self.tile = False, None, []
            self.im = Image.fromarray(pixels).im
        return super().load()

    def _decoded(self) -> Pixels:
        assert self.fp is not None
        if self._factor > 1:
            return decode(self.fp, scale=1 / self._factor)
        return decode(self._read(), partial=ImageFile.LOAD_TRUNCATED_IMAGES)

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Let `load` give a smaller picture that covers `size`, as that of JPEG does.

        The mode stays. Returns it and the box of the image within the smaller one.
        """
        if not self._encoded or self.fp is None or size is None or self._factor > 1:
            return None
        from .thumbnails import factor_for  # which loads the networks' runtime

        factor = factor_for(*self.size, size)
        if factor == 1:
            return None
        width, height = self.size
        self._factor = factor
        self._size = -(-width // factor), -(-height // factor)
        return self.mode, (0, 0, width / factor, height / factor)

    def crop(self, box: tuple[float, float, float, float] | None = None) -> Image.Image:
        """Return a rectangle; before the pixels are decoded, only what it needs is read of them."""
        if self._encoded and self.fp is not None and box is not None and self._factor == 1:
            left, top, right, bottom = (round(side) for side in box)
            if 0 <= left < right <= self.width and 0 <= top < bottom <= self.height:
                try:
                    pixels = decode(self.fp, region=(left, top, right - left, bottom - top))
                except NpegError as error:
                    raise OSError(str(error)) from error
                return self._new(Image.fromarray(pixels).im)
        return super().crop(box)

    def verify(self) -> None:
        """Raise OSError unless the file is whole and every CRC-32 agrees; decodes no pixels."""
        if self._encoded and self.fp is not None:
            try:
                info(self._read())
            except NpegError as error:
                raise OSError(str(error)) from error
        super().verify()

    def _read(self) -> bytes:
        assert self.fp is not None
        self.fp.seek(0)
        return self.fp.read()

    def __getstate__(self) -> list[Any]:
        """Return the state of Pillow's own images, and the texts."""
        return [*super().__getstate__(), self.text]

    def __setstate__(self, state: list[Any]) -> None:
        """Take it back."""
        *state, self.text = state
        super().__setstate__(state)


class _IText(str):
    """A text with its language, as that of Pillow's PNG plugin, which writes it as it came."""

    lang: str
    tkey: str

    def __new__(cls, text: str, lang: str = "", tkey: str = "") -> _IText:
        self = super().__new__(cls, text)
        self.lang, self.tkey = lang, tkey
        return self


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    found = dict(image.encoderinfo)
    choices = {name: found.pop(name) for name in CHOICES if name in found}
    given = {name: found.pop(name) for name in METADATA if name in found}
    for name, value in found.items():  # people save with **image.info to keep metadata
        if name not in image.info or image.info[name] is not value:
            known = ", ".join((*CHOICES, *METADATA))
            raise InputError(f"found the option {name}, expected some of {known}")
    metadata = _given(pillow_metadata.of(image), given) if given else None
    turn = pillow_metadata.orientation(image) if given and "exif" not in given else 0
    target = Target(**{name: choices[name] for name in TARGETS if name in choices})
    options = EncoderOptions(**{name: choices[name] for name in OPTIONS if name in choices})
    strip = choices.get("strip", False)
    fp.write(encoding.encode(image, target, options, "npeg", metadata, strip, turn))


def _given(found: Metadata, given: dict[str, Any]) -> Metadata:
    """Return an image's own metadata with what is given in its place; None is nothing."""
    values = {name: value or getattr(Metadata(), name) for name, value in given.items()}
    if isinstance(values.get("exif"), Image.Exif):
        values["exif"] = values["exif"].tobytes()
    for name in ("xmp", "comment"):
        if isinstance(values.get(name), str):
            values[name] = values[name].encode()
    if "icc_profile" in given and not given["icc_profile"]:  # not the image's own either
        values["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return replace(found, **values)


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def register() -> None:
    """Register format, extension and MIME type with Pillow."""
    Image.register_open(FORMAT, NpegImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".npeg")
    Image.register_mime(FORMAT, "image/x-npeg")
