"""Photographs across the joint of networks and residual, beside JPEG XL.

    python studies/2026-11-residual/photographs.py FOLDER [TUNE] [SKIP] > rows.tsv

Every SKIP-th picture of a folder of validation images, its upper left 512x512: bytes of the
networks and of the residual, PSNR, SSIMULACRA2, and what JPEG XL at effort 7 takes at equal PSNR.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from npeg import codec, container
from npeg.bench.codecs import find_codec
from npeg.bench.metrics.ssimulacra2 import score
from npeg.encoder_rule import EncoderOptions
from npeg.targets import psnr_db

LEVELS = (150, 160, 168, 176, 184, 192, 200)
JXL_QUALITIES = (60, 75, 85, 90, 94, 96, 97.5, 98.5)


def main(folder: Path, tune: str = "psnr", skip: str = "6") -> None:
    """Print a row for each picture and level."""
    jxl = find_codec("jxl")
    print("image", "tune", "quality", "networks_bytes", "residual_bytes", end="\t", sep="\t")
    print("rate_bpp", "psnr_db", "ssimulacra2", "jxl_share_at_psnr", sep="\t")
    for path in sorted(folder.iterdir())[:: int(skip)]:
        x = np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[:512, :512])
        files = [jxl.encode(x, quality) for quality in JXL_QUALITIES]
        known = [psnr_db(x, jxl.decode(file)) for file in files]
        for level in LEVELS:
            data, found = codec.encode_with_reconstruction(x, level, EncoderOptions(tune=tune))
            _, (parts,) = container.read_parts(data)
            psnr, sizes = psnr_db(x, found), [len(parts.get(kind, b"")) for kind in (b"T", b"R")]
            rival = np.exp(np.interp(psnr, known, np.log([len(file) for file in files])))
            share = f"{len(data) / rival:.3f}" if known[0] <= psnr <= known[-1] else "-"
            rate = 8 * len(data) / x[..., 0].size
            print(
                path.stem, tune, level / 2, *sizes, f"{rate:.3f}", f"{psnr:.2f}", sep="\t", end="\t"
            )
            print(f"{score(x, found):.2f}", share, sep="\t", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
