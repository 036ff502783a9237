"""What the bench asks of a codec: pixels to bytes at a quality, and bytes to pixels.

Enters: 8-bit RGB images and a quality. Leaves: whole files as bytes, and decoded images.
Does not know: which images there are, how results are measured, kept or shown.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from npeg.arrays import Pixels


@dataclass(frozen=True, kw_only=True)
class Codec(ABC):
    """One way to compress an image. Fields are the encoder's options; their defaults matter.

    A subclass is listed in the entry-point group `npeg.codecs` under its `name`.
    `quality` is the codec's own scale, on which a larger number gives a larger file.
    """

    name: ClassVar[str]
    title: ClassVar[str]  # name for people; options in braces are filled in
    lossless: ClassVar[bool] = False
    qualities: ClassVar[Sequence[float]] = (100,)  # of a run that names none
    quality_range: ClassVar[tuple[float, float]] = (100, 100)
    quality_step: ClassVar[float] = 1  # smallest step of the scale

    threads: int = 1  # to encode and to decode with, where the codec has a say

    @abstractmethod
    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the whole file."""

    @abstractmethod
    def decode(self, data: bytes) -> Pixels:
        """Return the image of a file that `encode` made."""

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Return the libraries that do the work, with their versions."""

    @classmethod
    def missing(cls) -> str | None:
        """Return the command that installs what this codec needs, or None if all is here."""
        return None

    @property
    def spec(self) -> str:
        """The name and every option that differs from its default, as `find_codec` reads it."""
        return "/".join([self.name, *(f"{key}={value}" for key, value in self._changed())])

    @property
    def label(self) -> str:
        """The title, and every other option that differs from its default."""
        others = [(key, value) for key, value in self._changed() if f"{{{key}}}" not in self.title]
        return ", ".join([self.title.format(**vars(self)), *(f"{k} {v}" for k, v in others)])

    def _changed(self) -> list[tuple[str, object]]:
        options = [(f, getattr(self, f.name)) for f in fields(self) if f.name != "threads"]
        return [(f.name, value) for f, value in options if value != f.default]
