"""Any codec with an enhancement behind its decoder: `jpeg+deblock`, `webp/method=4+nlm=0.3`."""

from dataclasses import dataclass

from npeg import __version__
from npeg.arrays import Pixels
from npeg.bench.codecs.contract import Codec
from npeg.bench.codecs.npeg_file import threads
from npeg.enhance import Method, enhance, find_method
from npeg.enhance.versions import version_of
from npeg.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Enhanced(Codec):
    """The files of a codec, whose decoded images a method of `npeg.enhance` changes.

    The name, the scale and the qualities are those of the codec.
    """

    inner: Codec
    method: str
    strength: float | None = None  # None: the method's own

    def __post_init__(self) -> None:
        # what a class says of all its codecs depends on the inner one here
        for key in ("name", "qualities", "quality_range", "quality_step"):
            object.__setattr__(self, key, getattr(self.inner, key))

    def encode(self, image: Pixels, quality: float) -> bytes:
        """Return the codec's file."""
        return self.inner.encode(image, quality)

    def decode(self, data: bytes) -> Pixels:
        """Return the decoded image, enhanced."""
        return self.change(self.inner.decode(data))

    def change(self, decoded: Pixels) -> Pixels:
        """Return what the method makes of a decoded image."""
        with threads(self.threads):  # of npeg's networks and ncnn's; OpenCV has its own
            return enhance(decoded, self.method, self.strength)

    def version(self) -> str:  # type: ignore[override]  # of this one, not of its class
        """Return the codec's libraries, and all that the method's output depends on."""
        method = find_method(self.method)
        own = version_of(method, method.strength(self.strength))
        return f"{self.inner.version()}; npeg {__version__}, {own}"

    def missing(self) -> str | None:  # type: ignore[override]
        """Return the command that installs what the codec needs, or None."""
        return self.inner.missing()

    @property
    def spec(self) -> str:
        """The codec's, a plus and the method, with its strength if that is not its own."""
        strength = "" if self.strength is None else f"={self.strength:g}"
        return f"{self.inner.spec}+{self.method}{strength}"

    @property
    def label(self) -> str:
        """The codec's, and the method."""
        strength = "" if self.strength is None else f" {self.strength:g}"
        return f"{self.inner.label} + {self.method}{strength}"


def enhanced(codec: Codec, text: str) -> Enhanced:
    """Return a codec with the enhancement that `name` or `name=strength` says.

    Raises:
        InputError: there is no such method here, it makes larger images, or the strength is none.
    """
    name, _, value = text.partition("=")
    method: Method = find_method(name)
    if method.kind == "upscaling":
        raise InputError(f"found {name} behind a codec, expected a method that keeps the size")
    if codec.lossless:
        raise InputError(f"found {name} behind {codec.name}, expected a lossy codec")
    try:
        strength = float(value) if value else None
    except ValueError:
        raise InputError(f"{name} has strength {value!r}, expected a number") from None
    method.strength(strength)
    return Enhanced(threads=codec.threads, inner=codec, method=name, strength=strength)
