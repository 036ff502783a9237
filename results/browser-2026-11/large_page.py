"""A picture of 24 megapixels decoded in Chromium: time, and the most memory that its tab takes.

    python results/browser-2026-11/large_page.py

Needs `make runtime`, Chromium and its driver, and Linux. The photographs are scikit-image's,
repeated; the file is kept in build/ for the next time. Memory is the resident peak of the largest
process, which is that of the tab, its worker included.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from measure import open_page, photographs, processes

import npeg
from npeg.web.build import build

FILE = Path("build/large.npeg")
OUT = Path(__file__).with_name("large.tsv")
RUN = """
const done = arguments[0];
(async () => {
  const npeg = await import("/npeg.js");
  const bytes = new Uint8Array(await (await fetch("/photo.npeg")).arrayBuffer());
  const start = performance.now();
  const found = await npeg.WAY(bytes);
  const { width, height } = found.width ? found : await createImageBitmap(found);
  done([width, height, (performance.now() - start) / 1000]);
})().catch((error) => done(String(error)));
"""


def made() -> bytes:
    """Return the file of 6000x4000 pixels."""
    if not FILE.exists():
        pixels = np.tile(photographs(), (4, 6, 1))[:4000, :6000]
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_bytes(npeg.encode(np.ascontiguousarray(pixels), 75, effort=0))
    return FILE.read_bytes()


def peak_mib(pids: Iterable[int]) -> float:
    """Return the resident peak of the largest of some processes."""
    peaks = [0]
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        peaks += [int(kib) for kib in re.findall(r"VmHWM:\s+(\d+) kB", status)]
    return max(peaks) / 1024


def main() -> None:
    """Measure, print and write the rows."""
    rows = ["way\tthreads\tpixels\tseconds\tempty_mib\tpeak_mib"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photo.npeg").write_bytes(made())
        build(folder)
        (folder / "blank.html").write_text("<!doctype html><title>npeg</title>")
        for way in ("decode", "decodeToPng"):
            browser = open_page(folder, True)
            empty = peak_mib(processes(browser))
            found = browser.execute_async_script(RUN.replace("WAY", way))
            if not isinstance(found, list):
                raise RuntimeError(found)
            width, height, seconds = found
            threads = browser.execute_script("return navigator.hardwareConcurrency")
            peak = peak_mib(processes(browser))
            cells = [
                way,
                threads,
                f"{width}x{height}",
                f"{seconds:.1f}",
                f"{empty:.0f}",
                f"{peak:.0f}",
            ]
            rows.append("\t".join(map(str, cells)))
            print(rows[-1], flush=True)
            browser.quit()
    OUT.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
