"""Large pictures: time and memory of encoding and decoding, and what a region costs.

    python results/large.py > results/large.tsv

Pictures are tiled from photographs of scikit-image, at quality 75. Each row is a new process on all
cores that it may use; memory is by how much its peak grows, the picture that it begins or ends with
included; a region is 512x512 from the middle of the file.
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

import npeg
from npeg import threads

SIDES = {1: (1250, 800), 12: (4000, 3000), 100: (10000, 10000)}  # megapixels -> width, height
REGION = 512


class Counted(io.FileIO):
    """A file that counts the bytes that are read of it."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file does."""
        found = super().read(size) or b""
        self.count += len(found)
        return found


def picture(megapixels: int) -> Any:
    """Return photographs, twice as large, side by side, mirrored in turns: no border is an edge."""
    photo = np.asarray(Image.fromarray(data.astronaut()).resize((1024, 1024)))
    photo = np.concatenate([photo, photo[:, ::-1]], axis=1)
    photo = np.concatenate([photo, photo[::-1]])
    width, height = SIDES[megapixels]
    found = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, len(photo)):
        for left in range(0, width, len(photo)):
            part = found[top : top + len(photo), left : left + len(photo)]
            part[:] = photo[: part.shape[0], : part.shape[1]]
    return found


def measure(work: str, megapixels: int, path: Path) -> None:
    """Do one work and print seconds, MiB and bytes read."""
    tiny = npeg.encode(np.zeros((64, 64, 3), np.uint8))
    npeg.decode(tiny)  # the networks are loaded
    before, read = peak_mib(), 0
    pixels = picture(megapixels) if work == "encode" else None
    width, height = SIDES[megapixels]
    start = time.perf_counter()
    if pixels is not None:
        path.write_bytes(npeg.encode(pixels))
    elif work == "decode":
        npeg.decode(path)
    else:
        with Counted(path) as file:
            corner = (width - REGION) // 2, (height - REGION) // 2
            npeg.decode(file, region=(*corner, REGION, REGION))
            read = file.count
    seconds = time.perf_counter() - start
    print(f"{seconds:.2f}\t{peak_mib() - before:.0f}\t{read or ''}")


def peak_mib() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a row for each size and work."""
    print(f"# npeg {npeg.__version__}, {threads.thread_count()} threads")
    print("megapixels\twork\tfile_bytes\ttime_s\tpeak_mib\tread_bytes")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.npeg"
        for megapixels in SIDES:
            for work in ("encode", "decode", "region"):
                command = [sys.executable, __file__, work, str(megapixels), str(path)]
                found = subprocess.run(command, capture_output=True, text=True, check=True)
                row = [str(megapixels), work, str(os.path.getsize(path)), found.stdout.strip("\n")]
                print("\t".join(row), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        measure(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
