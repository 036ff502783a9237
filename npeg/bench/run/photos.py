"""Folders and files to photographs: 8-bit RGB pixels, known by their hash.

Does not know: codecs, measures, results.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from PIL import Image

from npeg.arrays import Pixels
from npeg.errors import InputError
from npeg.inputs import rgb_file


@dataclass(frozen=True)
class Photo:
    """An image on disk; the hash covers its size and its samples, not the file."""

    path: Path
    name: str
    width: int
    height: int
    sha256: str

    def pixels(self) -> Pixels:
        """Return the image, (H, W, 3) uint8."""
        return read_pixels(self.path)


def find_photos(paths: Sequence[Path]) -> list[Photo]:
    """Return the photographs of folders and files, sorted by name, each only once.

    Args:
        paths: image files, or folders whose image files are meant (not those of their folders).

    Raises:
        InputError: nothing is there, or a file is no image that npeg can take.
    """
    photos = {photo.sha256: photo for photo in map(_read_photo, _image_files(paths))}
    if not photos:
        raise InputError(f"no images in {', '.join(map(str, paths))}")
    return sorted(photos.values(), key=lambda photo: photo.name)


@lru_cache(maxsize=2)  # the measurements of one photograph come one after another
def read_pixels(path: Path) -> Pixels:
    """Return an image file as (H, W, 3) uint8 sRGB; the array is shared and cannot be written.

    Raises:
        InputError: missing, no image, damaged, or not 8-bit and opaque.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # metadata that npeg would lose does not matter here
        rgb = rgb_file(path)
    rgb.setflags(write=False)
    return rgb


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files named, and those in the folders named that look like images."""
    known = set(Image.registered_extensions())
    for path in paths:
        if path.is_dir():
            yield from (p for p in sorted(path.iterdir()) if p.suffix.lower() in known)
        else:
            yield path


def _read_photo(path: Path) -> Photo:
    pixels = read_pixels(path)
    height, width = pixels.shape[:2]
    digest = sha256(f"{width}x{height}".encode() + pixels.tobytes()).hexdigest()
    return Photo(path, path.name, width, height, digest)
