# mypy: ignore-errors
"""Compare rules of the encoder's correction: BD-rates against one pass, whole files.

Ran at commit 67534cc, where it is `runs/correction.py`: the encoder's rule has another home since.

    export PYTHONPATH=../../results  # side_by_side.py
    python correction.py CHECKPOINT MODEL_FOLDER VALIDATION_IMAGES [MOST] > correction.tsv

MODEL_FOLDER is the exported CHECKPOINT. Writes one row a rule: shares of the projected error that
luma and chroma are corrected by, times that chroma's error counts, how slopes around a pixel mask
its error; and the means over the images, as they are and at half size, of the BD-rates in percent
by RGB PSNR, by SSIMULACRA2, and by the errors in flat places beside edges and of small colours,
both in dB (what they are: results/side_by_side.py).
"""

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from side_by_side import error_of, ringing, small_colours
from tqdm import tqdm

from npeg import codec, networks
from npeg.bench.metrics import psnr_db
from npeg.bench.metrics.bdrate import bd_rate
from npeg.bench.metrics.ssimulacra2 import score
from npeg.encoder_rule import EncoderOptions
from npeg.training import correction
from npeg.training.checkpoint import load_checkpoint
from npeg.training.export.model_folder import write_latent_error
from npeg.training.networks.layers import fold
from npeg.training.networks.model import Codec
from npeg.training.networks.transforms import Architecture

LEVELS = (20, 40, 70, 110, 150)
RULES = (  # luma step, chroma step, chroma, masking
    (1.05, 1.05, 1.0, 0.0),
    (1.1, 1.1, 1.0, 0.0),
    (1.05, 1.2, 1.0, 0.0),
    (1.05, 1.2, 1.3, 0.0),  # tune psnr
    (1.05, 1.2, 2.0, 0.0),
    (1.05, 1.2, 2.0, 0.25),
    (1.05, 1.2, 2.0, 0.5),  # tune clean
)
MEASURES = ("psnr_rgb_db", "ssimulacra2", "flat_beside_edges_db", "small_colours_db")


def curve(pixels: codec.Pixels, effort: int = 1) -> list[list[float]]:
    """Return bits per pixel and MEASURES at LEVELS."""
    points = []
    for level in LEVELS:
        data, decoded = codec.encode_with_reconstruction(pixels, level, EncoderOptions(effort))
        error = error_of(pixels, decoded)
        levels = np.array([ringing(pixels, error), small_colours(error)])
        decibels = (20 * np.log10(255 / levels)).tolist()
        bpp = 8 * len(data) / pixels[..., 0].size
        points.append([bpp, psnr_db(pixels, decoded), score(pixels, decoded), *decibels])
    return points


def use(network: Codec, folder: Path, rule: tuple[float, ...]) -> None:
    """Let the encoder correct by a rule from now on."""
    correction.LUMA_STEP, correction.CHROMA_STEP = rule[:2]
    codec.TUNES[codec.TUNE] = rule[2], rule[3]
    write_latent_error(network, folder)
    networks.load().__dict__.pop("_latent_error", None)  # opened anew


def halved(image: Image.Image) -> Image.Image:
    """Return an image at half its size."""
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def main(checkpoint: Path, folder: Path, images: Path, most: int = 1000) -> None:
    """Write the table to standard output."""
    state = load_checkpoint(checkpoint)
    network = Codec(Architecture(**state["arch"]))
    network.load_state_dict(state["average"])
    network = fold(network.eval()).requires_grad_(False)
    paths = sorted(path for path in images.iterdir() if path.suffix in (".png", ".avif", ".webp"))
    whole = [Image.open(path).convert("RGB") for path in paths[:most]]
    photos = [np.array(image) for image in (*whole, *map(halved, whole))]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(shutil.copytree(folder, Path(temporary) / "model"))
        model = networks.Model(copy, networks.thread_count())
        networks.load = lambda *_: model  # type: ignore[assignment]
        plain = [curve(pixels, effort=0) for pixels in tqdm(photos, desc="one pass")]
        print("luma_step", "chroma_step", "chroma", "masking", *MEASURES, sep="\t")
        for rule in RULES:
            use(network, copy, rule)
            found = [curve(pixels) for pixels in tqdm(photos, desc=str(rule))]
            means = []
            for column in range(1, 1 + len(MEASURES)):
                pairs = [
                    [[(point[0], point[column]) for point in points] for points in both]
                    for both in zip(plain, found, strict=True)
                ]
                rates = [bd_rate(a, b) for a, b in pairs]
                means.append(np.mean([rate for rate in rates if rate is not None]))
            print(*rule, *(f"{mean:.2f}" for mean in means), sep="\t", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *map(int, sys.argv[4:]))
