"""Photographs through Chromium and Python, both ways: how far pixels are apart, and bytes.

    python results/browser-2026-11/both_ways.py FOLDER > results/browser-2026-11/both-ways.tsv

Each photograph is encoded by Python at a quality, decoded by the page's codec and by Python, and
what the page decoded is encoded by the page in one pass and decoded by Python. Needs what
measure.py needs.
"""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import open_page
from PIL import Image
from selenium.webdriver import Chrome

import npeg
from npeg.arrays import Pixels
from npeg.targets import psnr_db
from npeg.web.build import build

QUALITIES = (30, 60, 90)
RUN = """
const [quality, done] = arguments;
(async () => {
  const npeg = (window.npeg ??= await import("/npeg.js"));
  const text = (bytes) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.readAsDataURL(new Blob([bytes]));
  });
  const file = await fetch("/photo.npeg", { cache: "no-store" });
  const image = await npeg.decode(new Uint8Array(await file.arrayBuffer()));
  const again = await npeg.encode(image, { quality, effort: 0 });
  done([await text(image.data), await text(again)]);
})().catch((error) => done(String(error)));
"""


def main(folder: Path) -> None:
    """Print a row for each photograph and quality."""
    print("image", "quality", "largest_difference", "differ_in_a_million", end="\t", sep="\t")
    print("by_2_or_more_in_a_million", end="\t")
    print("bytes_python", "bytes_page", "psnr_of_page_db", sep="\t")
    with TemporaryDirectory() as name:
        site = Path(name)
        build(site)
        (site / "blank.html").write_text("<!doctype html><title>npeg</title>")
        browser = open_page(site, threads=True)
        for path in sorted(folder.iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"))
            for quality in QUALITIES:
                print(path.name, quality, *compared(browser, site, pixels, quality), sep="\t")
        browser.quit()


def compared(browser: Chrome, site: Path, pixels: Pixels, quality: int) -> Iterator[object]:
    """Yield what a row says of a photograph at a quality."""
    data = npeg.encode(pixels, quality, effort=0)
    (site / "photo.npeg").write_bytes(data)
    page, file = (base64.b64decode(part) for part in browser.execute_async_script(RUN, quality))
    ours = npeg.decode(data)
    rgb = np.ascontiguousarray(np.frombuffer(page, np.uint8).reshape(*ours.shape[:2], 4)[..., :3])
    away = np.abs(rgb.astype(int) - ours)
    yield away.max()
    for least in (1, 2):
        yield f"{1e6 * np.count_nonzero(away >= least) / away.size:.1f}"
    yield len(npeg.encode(rgb, quality, effort=0))
    yield len(file)
    yield f"{psnr_db(ours, npeg.decode(file)):.2f}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
