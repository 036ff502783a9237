"""Makes the pictures and numbers of how-it-works.md and binary-codes.md, from scikit-image.

python docs/make_pictures.py        needs npeg[train,bench]; half a minute

Writes PNG files and `numbers.tsv` beside itself.  The pages quote the numbers as they are
there; `tests/test_docs.py` compares the two.
"""

import argparse
import heapq
import io
import itertools
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file
from scipy.fft import dctn
from skimage import data

import npeg
from npeg import container, latents, networks, tiles
from npeg.arrays import Pixels
from npeg.bench.report.plots import STYLE
from npeg.dither import codec as dither_codec
from npeg.dither import coder, context
from npeg.dither import networks as dither_networks
from npeg.teaching.network import Autoencoder, binarize, soften

HERE = Path(__file__).parent
RESULTS, RECIPES = HERE.parent / "results", HERE.parent / "recipes"
NOISES = ("weak", "strong")  # teaching-weak.safetensors: an epoch; teaching-strong: five
GOAL = 0.0008  # the loss that its authors named
SHOWN = (slice(40, 136), slice(230, 358))  # rows and columns of the coffee, for the planes
PAPER, INK = (255, 255, 255), (30, 30, 30)

Numbers = dict[str, str]


def main() -> None:
    """Write all pictures and the numbers."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    photo = np.asarray(data.coffee())
    numbers: Numbers = {}
    numbers |= describe_coins()
    numbers |= draw_jpeg(photo)
    numbers |= draw_noise(photo)
    numbers |= draw_curves()
    numbers |= measure_contexts(photo)
    numbers |= draw_latents(photo)
    lines = [f"{name}\t{value}" for name, value in numbers.items()]
    (HERE / "numbers.tsv").write_text("\n".join(lines) + "\n")
    print(*lines, sep="\n")


# --- skewed bits ---


def entropy(p: float) -> float:
    """Return the bits that a yes of probability p tells on average."""
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


def huffman_bits(p: float, length: int) -> float:
    """Return the bits a bit that Huffman's code for blocks of `length` such bits takes."""
    weights = [
        math.prod(p if b else 1 - p for b in w) for w in itertools.product((0, 1), repeat=length)
    ]
    heap = [(w, i) for i, w in enumerate(weights)]
    heapq.heapify(heap)
    total, names = 0.0, itertools.count(len(heap))
    while len(heap) > 1:  # the expected length is the sum of all inner nodes
        joined = heapq.heappop(heap)[0] + heapq.heappop(heap)[0]
        total += joined
        heapq.heappush(heap, (joined, next(names)))
    return total / length


def rans_bits(p: float, count: int = 100_000) -> float:
    """Return the bits a bit that the coder of the dither files takes for so many bits."""
    bits = (np.random.default_rng(0).random(count) < p).astype(np.uint8)
    ones = np.full(count, round(p * coder.TOTAL), np.uint16)
    return 8 * len(coder.encode([(bits, ones)])) / count


def describe_coins() -> Numbers:
    """Return what a coin that shows heads one time in ten costs."""
    p = 0.1
    return {
        "coin entropy": f"{entropy(p):.3f}",
        **{f"coin huffman {n}": f"{huffman_bits(p, n):.3f}" for n in (1, 2, 3, 4)},
        "coin rans": f"{rans_bits(p):.3f}",
    }


# --- JPEG ---


def draw_jpeg(photo: Pixels) -> Numbers:
    """Draw a part of the photograph, its DCT, and what a coarse JPEG makes of it."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=8)
    coarse = np.asarray(Image.open(file))
    grey = np.asarray(Image.fromarray(photo).convert("L"), np.float64) - 128
    h, w = (side // 8 * 8 for side in grey.shape)
    blocks = grey[:h, :w].reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2)
    energy = np.square(dctn(blocks, axes=(2, 3), norm="ortho")).mean((0, 1))
    image = Image.open(io.BytesIO(file.getvalue()))
    table = np.array(image.quantization[0]).reshape(8, 8)  # type: ignore[attr-defined]
    symbols = np.rint(dctn(blocks, axes=(2, 3), norm="ortho") / table)
    part = (slice(60, 124), slice(200, 296))
    levels = np.log10(energy)
    shades = (255 * (levels - levels.min()) / (levels.max() - levels.min())).astype(np.uint8)
    save(
        "jpeg.png",
        row(
            ("a part of the photograph", enlarge(photo[part], 3)),
            ("JPEG, quality 8", enlarge(coarse[part], 3)),
            ("energy of the 64 coefficients", enlarge(np.repeat(shades[..., None], 3, 2), 24)),
        ),
    )
    low = energy[np.add.outer(np.arange(8), np.arange(8)) < 4].sum() / energy.sum()
    return {
        "jpeg low energy": f"{low:.1%}",
        "jpeg zeros": f"{(symbols == 0).mean():.1%}",
        "jpeg bpp": f"{8 * len(file.getvalue()) / photo[..., 0].size:.2f}",
    }


# --- noise ---


def draw_noise(photo: Pixels) -> Numbers:
    """Draw the codes of the networks trained with weak and with strong noise."""
    numbers: Numbers = {}
    shown = [("the image", enlarge(photo[SHOWN], 2))]
    for name in NOISES:
        network = Autoencoder().eval()
        network.load_state_dict(load_file(RECIPES / f"teaching-{name}.safetensors"))
        numbers |= {f"{name} {key}": value for key, value in judge(network, photo).items()}
        planes = code_of(network, photo[SHOWN])
        busiest = np.argsort(-planes.var((1, 2)))[:48:4]
        shown.append((f"12 of the 128 planes, {name} noise", sheet(planes[np.sort(busiest)], 4)))
    save("noise.png", row(*shown))
    return numbers


def draw_curves() -> Numbers:
    """Draw the loss over the steps of both orders of noise."""
    import matplotlib.pyplot as plt

    numbers: Numbers = {}
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
        for name in NOISES:
            rows = np.loadtxt(RESULTS / f"teaching-{name}.tsv", skiprows=1)
            loss = rows[:, 3]
            (line,) = axes.plot(rows[:, 2], loss)
            label = {"weak": "0.1, 0.3, 1, 5, then 15", "strong": "15 from the start"}[name]
            axes.annotate(
                label,
                (rows[0, 2], loss[0]),
                (6, 0),
                textcoords="offset points",
                color=line.get_color(),
            )
            numbers[f"{name} last epoch"] = f"{loss[rows[:, 0] == rows[-1, 0]].mean():.5f}"
            numbers[f"{name} last loss"] = f"{loss[-1]:.5f}"
        axes.axhline(GOAL, color="#8a8a84", linewidth=0.8, linestyle=":")
        axes.set(yscale="log", xlabel="batches of 20 images", ylabel="loss, mean of 250 batches")
        figure.savefig(HERE / "curves.png", dpi=110)
    plt.close(figure)
    return numbers


@torch.no_grad()
def code_of(network: Autoencoder, pixels: Pixels) -> NDArray[np.float32]:
    """Return the unquantised code (128, h, w)."""
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    code: NDArray[np.float32] = soften(network.features(x))[0].numpy()
    return code


@torch.no_grad()
def judge(network: Autoencoder, photo: Pixels) -> Numbers:
    """Return how grey the code is, and what the threshold costs."""
    pixels = photo[100:228, 200:328]
    code = torch.from_numpy(code_of(network, pixels))[None]
    x = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
    soft, hard = (
        -10 * math.log10(float((network.decode(c) - x).square().mean()))
        for c in (code, binarize(code))
    )
    grey = float(((code > 0.1) & (code < 0.9)).float().mean())
    return {
        "grey": f"{grey:.0%}",
        "psnr unquantised": f"{soft:.1f}",
        "psnr bits": f"{hard:.1f}",
        "ones": f"{float(binarize(code).mean()):.0%}",
    }


# --- contexts ---


def measure_contexts(photo: Pixels) -> Numbers:
    """Return what the contexts of the dither8 file save on the photograph."""
    file = npeg.encode(photo, 100, codec="dither8")
    header, packed = dither_codec.read_planes(file)
    bits = np.unpackbits(packed, axis=0)[: header.planes]
    shares = bits.mean((1, 2)).clip(1e-6, 1 - 1e-6)
    own = np.mean([entropy(float(p)) for p in shares])
    coded = 8 * len(context.encode_planes(bits, dither_networks.load(2).context)) / bits.size
    error = np.square(npeg.decode(file).astype(float) - photo).mean()
    return {
        "dither8 own bits": f"{own:.3f}",
        "dither8 coded bits": f"{coded:.3f}",
        "dither8 saved": f"{1 - coded / own:.0%}",
        "dither8 bpp": f"{8 * len(file) / photo[..., 0].size:.2f}",
        "dither8 psnr": f"{10 * math.log10(255**2 / error):.1f}",
    }


# --- npeg ---


def draw_latents(photo: Pixels) -> Numbers:
    """Draw where npeg spends its symbols, and where its hyper-latents say that it will."""
    level = 80
    file = npeg.encode(photo, level / 2)
    header, (parts,) = container.read_tiles(file)
    model = networks.load(header.model_id)
    shape = next(tiles.tiles_of(header)).latent_shape()
    z_hat, symbols, indexes = latents.read(model, parts, shape, level)
    coded = indexes >= model.first_coded
    used = (symbols != 0).sum(0)
    told = indexes.astype(float).sum(0)
    save(
        "latents.png",
        row(
            ("the photograph", enlarge(photo[::4, ::4], 1)),
            ("expected spread", heat(told, 4)),
            ("latents not 0", heat(used, 4)),
        ),
    )
    error = np.square(npeg.decode(file).astype(float) - photo).mean()
    return {
        "npeg hyper-latents": f"{z_hat.size:,}",
        "npeg latents": f"{symbols.size:,}",
        "npeg coded": f"{coded.mean():.0%}",
        "npeg nonzero": f"{(symbols != 0).mean():.1%}",
        "npeg correlation": f"{np.corrcoef(told.ravel(), used.ravel())[0, 1]:.2f}",
        "npeg bpp": f"{8 * len(file) / photo[..., 0].size:.2f}",
        "npeg psnr": f"{10 * math.log10(255**2 / error):.1f}",
    }


# --- pictures ---


def enlarge(pixels: Pixels, scale: int) -> Image.Image:
    """Return pixels (H, W, 3) as squares of `scale` screen pixels."""
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    return Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.NEAREST)


def heat(values: NDArray[np.float64], scale: int) -> Image.Image:
    """Return a map (h, w) as shades of grey, the largest value white."""
    shades = (255 * (values - values.min()) / np.ptp(values)).astype(np.uint8)
    return enlarge(np.repeat(shades[..., None], 3, axis=2), scale)


def sheet(planes: NDArray[np.float32], columns: int) -> Image.Image:
    """Lay planes (n, h, w) in [0, 1] out in rows, a gap between them."""
    n, h, w = planes.shape
    canvas = Image.new("RGB", (columns * (w + 2) - 2, n // columns * (h + 2) - 2), PAPER)
    for k, plane in enumerate(planes):
        shades = np.repeat((255 * plane).astype(np.uint8)[..., None], 3, axis=2)
        canvas.paste(Image.fromarray(shades), (k % columns * (w + 2), k // columns * (h + 2)))
    return canvas


def row(*panels: tuple[str, Image.Image]) -> Image.Image:
    """Put captioned panels beside each other."""
    font, gap, top = ImageFont.load_default(13), 12, 20
    width = sum(panel.width + gap for _, panel in panels) - gap
    canvas = Image.new("RGB", (width, top + max(panel.height for _, panel in panels)), PAPER)
    pen, left = ImageDraw.Draw(canvas), 0
    for title, panel in panels:
        pen.text((left, 2), title, INK, font)
        canvas.paste(panel, (left, top))
        left += panel.width + gap
    return canvas


def save(name: str, picture: Image.Image) -> None:
    """Write a PNG of at most 256 colours, which is small."""
    picture.quantize(256).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
