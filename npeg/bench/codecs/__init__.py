"""The codecs of the bench, by name: built in, or added by any installed package.

A package adds its own through the entry-point group `npeg.codecs`; see `contract.Codec`.
"""

from dataclasses import fields
from importlib import import_module
from importlib.metadata import entry_points

from npeg.bench.codecs.contract import Codec
from npeg.errors import InputError

BUILT_IN = {
    "npeg": "npeg.bench.codecs.npeg_file:Npeg",
    "jpeg": "npeg.bench.codecs.pillow:Jpeg",
    "webp": "npeg.bench.codecs.pillow:Webp",
    "avif": "npeg.bench.codecs.pillow:Avif",
    "jpeg2000": "npeg.bench.codecs.pillow:Jpeg2000",
    "jxl": "npeg.bench.codecs.jpeg_xl:JpegXl",
    "mozjpeg": "npeg.bench.codecs.jpeg:Mozjpeg",
    "jpegli": "npeg.bench.codecs.jpeg:Jpegli",
    "hevc": "npeg.bench.codecs.video:Hevc",
    "vvc": "npeg.bench.codecs.video:Vvc",
    "dither": "npeg.bench.codecs.dither:Dither",
    "dither8": "npeg.bench.codecs.dither:Dither8",
    "dct": "npeg.bench.codecs.blocks:Dct",
    "dft": "npeg.bench.codecs.blocks:Dft",
    "png": "npeg.bench.codecs.pillow:Png",
    "webp-lossless": "npeg.bench.codecs.pillow:WebpLossless",
    "jxl-lossless": "npeg.bench.codecs.jpeg_xl:JpegXlLossless",
}
"""As the entry points of pyproject.toml, for a checkout that was never installed."""


def codec_names() -> list[str]:
    """Return the names of all codecs, whether or not their libraries are here."""
    return list(_locations())


def find_codec(spec: str, threads: int = 1) -> Codec:
    """Return the codec that a spec names.

    spec: a name, then any options: `avif`, `avif/speed=8`, `avif/speed=4/subsampling=4:2:0`; then
        an enhancement of what it decodes, if any: `jpeg+deblock`, `jpeg+nlm=0.3`.
    threads: number of threads the codec may use, >= 1.
    Raises InputError if the name or an option is unknown, or its value of the wrong kind.
    """
    spec, plus, enhancement = spec.partition("+")
    if plus:
        from npeg.bench.codecs.enhanced import enhanced

        return enhanced(find_codec(spec, threads), enhancement)
    name, *options = spec.split("/")
    location = _locations().get(name)
    if location is None:
        raise InputError(f"unknown codec {name!r}: known are {', '.join(codec_names())}")
    module, _, attribute = location.partition(":")
    made: type[Codec] = getattr(import_module(module), attribute)
    return made(threads=threads, **dict(_parse_option(made, text) for text in options))


def _locations() -> dict[str, str]:
    """Module and class of each codec, by name."""
    return BUILT_IN | {entry.name: entry.value for entry in entry_points(group="npeg.codecs")}


def _parse_option(codec: type[Codec], text: str) -> tuple[str, int | str]:
    """Read `speed=8` as an option of a codec."""
    key, _, value = text.partition("=")
    defaults = {f.name: f.default for f in fields(codec) if f.name != "threads"}
    if key not in defaults:
        known = ", ".join(defaults) or "none"
        raise InputError(f"unknown option {key!r} of codec {codec.name}: known are {known}")
    if not isinstance(defaults[key], int):
        return key, value
    try:
        return key, int(value)
    except ValueError:
        raise InputError(f"{codec.name}/{key} is {value!r}, expected a whole number") from None
