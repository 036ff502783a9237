"""Exact targets in place of a quality: bits a pixel, bytes, or PSNR.

Samples and a target enter, the best file that meets the target leaves.  Files are measured, never
estimated: size means the whole file, PSNR the decoder's own output.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from . import codec, depth, sketches, transparency
from .arrays import Samples
from .container import LEVELS
from .encoder_rule import DEFAULT, EncoderOptions, is_number
from .errors import InputError

Measure = Callable[[Samples, Samples], float]  # original, decoded -> larger for better

TOP = LEVELS - 1
TRIES = 6  # encodings of a picture that is not small
CLOSE = 0.01  # a file that uses all but this share of its bytes is the one
SMALL = 1 << 15  # pixels up to which curves are uneven, and encodings so short that more are tried
WINDOW = 16  # levels that are tried of a small picture beyond the one found
HOPE_DB = 6.0  # by which no level of a small picture is above what its neighbours have

EXACT = 999.0  # in place of the infinite PSNR of images that are equal

LEAST_BPP = 0.037  # of photographs, at level 0
SIZE_SLOPE = math.log(1.95 / LEAST_BPP) / TOP  # of a file's logarithm a level, up to 1.95 bpp

watcher: ContextVar[Callable[[], object] | None] = ContextVar("watcher", default=None)
"""What is called after each encoding of a search, such as a progress bar's update."""


@dataclass(frozen=True)
class Target:
    """What a file is to reach: the quality, or the one of the others that is given.

    Attributes:
        quality: 0..100.
        bpp: bits of the whole file a pixel, at most.
        size: bytes of the whole file, at most.
        psnr: RGB PSNR in dB, at least.
        ssimulacra2: score, at least.

    Raises:
        InputError: two of the others are given.
    """

    quality: float = 75.0
    bpp: float | None = None
    size: float | None = None
    psnr: float | None = None
    ssimulacra2: float | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in self.others) > 1:
            raise InputError("found several of bpp, size, psnr and ssimulacra2, expected one")

    @property
    def others(self) -> tuple[float | None, ...]:
        """What is given in place of the quality."""
        return self.bpp, self.size, self.psnr, self.ssimulacra2


def encode(pixels: Samples, target: Target, options: EncoderOptions = DEFAULT) -> bytes:
    """Encode pixels, as `codec.encode_pixels`, at the quality or so that they meet the target.

    Colours under alpha 0 are replaced by what costs little, unless all is to be lossless.

    Raises:
        InputError: a value is out of range, or none reaches the target.
    """
    if options.lossless:
        if any(value is not None for value in target.others):
            raise InputError("found lossless and a target, expected one of them")
        return codec.encode_pixels(pixels, TOP, options)
    pixels = transparency.fill(pixels)
    if target.bpp is not None:
        return encode_to_bpp(pixels, target.bpp, options)
    if target.size is not None:
        return encode_to_size(pixels, target.size, options)
    if target.psnr is not None:
        return encode_to_psnr(pixels, target.psnr, options)
    if target.ssimulacra2 is not None:
        return encode_to_score(pixels, target.ssimulacra2, options)
    return codec.encode_pixels(pixels, level_of(target.quality), options)


def level_of(quality: float) -> int:
    """Return the level in the file, 0..200, of a quality of 0..100."""
    if not is_number(quality) or not 0 <= quality <= TOP / 2:
        raise InputError(f"quality is {quality!r}, expected 0 to {TOP // 2}")
    return round(2 * quality)


def encode_to_bpp(pixels: Samples, bpp: float, options: EncoderOptions = DEFAULT) -> bytes:
    """Return the file of the highest quality that has at most bpp bits a pixel."""
    count = pixels.shape[0] * pixels.shape[1]
    limit = _positive(bpp, "bpp") * count / 8
    return _largest_file(pixels, limit, lambda size: f"{8 * size / count:.4g} bpp", options)


def encode_to_size(pixels: Samples, size_bytes: float, options: EncoderOptions = DEFAULT) -> bytes:
    """Return the file of the highest quality that has at most size_bytes bytes."""
    limit = _positive(size_bytes, "size")
    return _largest_file(pixels, limit, lambda size: f"{size:.0f} bytes", options)


def encode_to_psnr(pixels: Samples, psnr: float, options: EncoderOptions = DEFAULT) -> bytes:
    """Return the smallest file whose decoded image has at least this RGB PSNR in dB."""
    return _smallest_file(pixels, _positive(psnr, "psnr"), PSNR, options)


def encode_to_score(pixels: Samples, score: float, options: EncoderOptions = DEFAULT) -> bytes:
    """Return the smallest file whose decoded image has at least this SSIMULACRA2."""
    from . import scores

    if not is_number(score):
        raise InputError(f"ssimulacra2 is {score!r}, expected a number, 100 at most")
    return _smallest_file(pixels, score, scores.scale(), options)


class Scale(NamedTuple):
    """A way to measure images, and what is known of it before anything is encoded."""

    measure: Measure
    name: str
    unit: str
    start: float  # its value at level 0 of a usual photograph
    slope: float  # by which it grows a level
    hope: float = HOPE_DB


def _smallest_file(pixels: Samples, target: float, scale: Scale, options: EncoderOptions) -> bytes:
    """Return the smallest file that is as good as a target."""
    files: dict[int, bytes] = {}

    def measured(
        some: Samples, level: int, options: EncoderOptions = options
    ) -> tuple[bytes, float]:
        data, found = codec.encode_with_reconstruction(some, level, options)
        colours = transparency.split(some)[0], transparency.split(found)[0]
        return data, min(scale.measure(*colours), EXACT)

    def value_at(level: int) -> float:
        files[level], value = measured(pixels, level)
        return value

    small = pixels.shape[0] * pixels.shape[1] <= SMALL
    quick = replace(options, effort=0)
    sketch = sketches.shape_of(lambda part, level: measured(part, level, quick)[1], pixels)
    curve = Curve(value_at, None if small else sketch)
    curve.approach(target, (target - scale.start) / scale.slope, scale.slope, above=True)
    reached = curve.where(lambda value: value >= target)
    if reached and small:
        curve.try_all(range(min(reached) - WINDOW, min(reached) + WINDOW // 2))
    elif not reached:
        curve.try_all(range(TOP, TOP - (WINDOW if small else 2), -1))
        if small and max(curve.values.values()) > target - scale.hope:
            curve.try_all(range(LEVELS))
    reached = curve.where(lambda value: value >= target)
    if not reached:
        best = f"{max(curve.values.values()):.2f}{scale.unit}"
        text = f"{scale.name} {target:g}{scale.unit}"
        raise InputError(curve.out_of_reach(text, "best", best))
    return files[min(reached, key=lambda level: (len(files[level]), -curve.values[level]))]


def psnr_db(a: Samples, b: Samples) -> float:
    """Return the PSNR over all samples of two images of equal shape; inf when they are equal."""
    rows = zip(a, b, strict=True)  # one by one: no second image in memory
    error = sum(int(np.square(np.subtract(x, y, dtype=np.int64)).sum()) for x, y in rows)
    return 10 * math.log10(depth.full(a) ** 2 * a.size / error) if error else math.inf


PSNR = Scale(psnr_db, "psnr", " dB", 26, 0.1)


def _largest_file(
    pixels: Samples, limit: float, text: Callable[[float], str], options: EncoderOptions
) -> bytes:
    """Return the file of the highest quality with at most `limit` bytes."""
    files: dict[int, bytes] = {}

    def log_size_at(level: int) -> float:
        files[level] = codec.encode_pixels(pixels, level, options)
        return math.log(len(files[level]))

    count = pixels.shape[0] * pixels.shape[1]
    share = math.log(count / math.prod(sketches.part_of(pixels).shape[:2]))
    quick = replace(options, effort=0)
    sketch = sketches.shape_of(
        lambda part, level: share + math.log(len(codec.encode_pixels(part, level, quick))), pixels
    )
    curve = Curve(log_size_at, None if count <= SMALL else sketch)
    start = math.log(8 * limit / count / LEAST_BPP) / SIZE_SLOPE
    curve.approach(math.log(limit), start, SIZE_SLOPE, above=False)
    fitting = [level for level in files if len(files[level]) <= limit]
    if count <= SMALL:
        first = max(fitting) + 1 if fitting else 0
        curve.try_all(range(first, min(first + WINDOW, LEVELS)))
    elif not fitting:
        curve.try_all(range(2))
    fitting = [level for level in files if len(files[level]) <= limit]
    if not fitting:
        raise InputError(
            curve.out_of_reach(text(limit), "smallest", text(min(map(len, files.values()))))
        )
    return files[max(fitting)]


class Curve:
    """A value at each of the levels, uneven perhaps, measured where it is asked for.

    Args:
        value_at: measures it at a level.
        shape: what is known of it before, in much less time; None: nothing.
    """

    def __init__(
        self, value_at: Callable[[int], float], shape: sketches.Shape | None = None
    ) -> None:
        self._value_at, self._shape = value_at, shape
        self.values: dict[int, float] = {}

    def try_level(self, level: int) -> float:
        """Return the value at a level."""
        if level not in self.values:
            self.values[level] = self._value_at(level)
            if watch := watcher.get():
                watch()
        return self.values[level]

    def try_all(self, levels: range) -> None:
        """Measure at each of these levels that there is."""
        for level in levels:
            if 0 <= level <= TOP:
                self.try_level(level)

    def where(self, meets: Callable[[float], bool]) -> list[int]:
        """Return the levels tried whose values meet something."""
        return [level for level, value in self.values.items() if meets(value)]

    def approach(self, target: float, start: float, slope: float, above: bool) -> None:
        """Measure at up to TRIES levels, nearer and nearer to where the target is crossed.

        Args:
            target: a value.
            start: where the crossing is supposed to be.
            slope: by which the value is supposed to grow a level.
            above: values above the target are wanted, the least of them; else those below.
        """
        guess, low, high = start, -1, LEVELS  # the target is crossed after low, by high
        for _ in range(TRIES):
            if self._shape is not None:
                guess = sketches.crossing(self._shape, self.values, (low, high), target, above)
            level = min(max(round(guess), low + 1), high - 1)
            value = self.try_level(level)
            wanted = value >= target if above else value <= target
            if wanted and abs(target - value) < CLOSE * slope / SIZE_SLOPE:
                break
            low, high = (low, level) if value > target or (above and wanted) else (level, high)
            if high - low <= 1:
                break
            guess = self._crossing(target, level, slope, low, high)

    def _crossing(self, target: float, level: int, slope: float, low: int, high: int) -> float:
        """Return where the target is crossed if the curve is a line through what is known."""
        known = self.values
        if low in known and high in known:
            share = (target - known[low]) / ((known[high] - known[low]) or 1)
            step = share * (high - low)
            return low + min(max(step, 0.15 * (high - low)), 0.85 * (high - low))
        other = min(known.keys() - {level}, key=lambda k: abs(k - level), default=None)
        if other is not None and other != level:
            measured = (known[level] - known[other]) / (level - other)
            slope = min(max(measured, slope / 3), 3 * slope)
        step = (target - known[level]) / slope
        return level + step + math.copysign(1, step)  # beyond: two sides are better than one

    def out_of_reach(self, target: str, what: str, value: str) -> str:
        """Return what is said where no level meets a target: how far those tried went."""
        tried = "" if len(self.values) == LEVELS else f" of {len(self.values)} qualities tried"
        return f"{target} is out of reach: the {what}{tried} for this image is {value}"


def _positive(value: float, name: str) -> float:
    if not is_number(value) or not 0 < value < math.inf:
        raise InputError(f"{name} is {value!r}, expected a number above 0")
    return float(value)
