"""What VVC's change to 10-bit 4:2:0 and back costs alone: RGB PSNR, mean over a folder's images.

python results/vvc_colours.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from npeg.bench.codecs.video import Vvc
from npeg.bench.metrics import psnr_db
from npeg.bench.run.photos import find_photos

if __name__ == "__main__":
    codec = Vvc()
    images = [photo.pixels() for photo in find_photos([Path(sys.argv[1])])]
    scores = [psnr_db(image, codec.convert(image)) for image in images]
    print(f"mean {np.mean(scores):.2f} dB, from {min(scores):.2f} to {max(scores):.2f}")
