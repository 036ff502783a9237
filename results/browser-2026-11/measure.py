"""Times of one megapixel in Chromium, with threads and without, beside Python's in the same run.

    python results/browser-2026-11/measure.py

Needs `make runtime`, Chromium and its driver, and Linux. Rounds alternate between the contestants
after a first run that opens the networks. Beside the time on the clock there is that of the
processor, which other programs on the machine hardly change: divided by the threads, it is what
an idle machine would take at best. The last column is the shortest time as a multiple of Python's
with as many threads, in the same rounds.
"""

import os
import shutil
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from skimage import data

import npeg
from npeg.web.build import build
from npeg.web.server import HEADERS

ROUNDS = 3
OUT = Path(__file__).with_name("times.tsv")
TASKS = {
    "decode": "await npeg.decode(bytes)",
    "encode, effort 0": "await npeg.encode(image, { quality: 75, effort: 0 })",
    "encode, effort 1": "await npeg.encode(image, { quality: 75 })",
}
RUN = """
const [code, done] = arguments;
(async () => {
  const npeg = (window.npeg ??= await import("/npeg.js"));
  const bytes = new Uint8Array(await (await fetch("/photo.npeg")).arrayBuffer());
  const image = (window.image ??= await npeg.decode(bytes));
  const start = performance.now();
  await eval(`(async () => { ${code} })()`);
  done((performance.now() - start) / 1000);
})().catch((error) => done(String(error)));
"""


class Handler(SimpleHTTPRequestHandler):
    """Plain files; with `threads` also what lets a page have threads."""

    def __init__(self, *args: Any, threads: bool, **options: Any) -> None:
        self.threads = threads
        self.extensions_map = self.extensions_map | {".mjs": "text/javascript"}
        super().__init__(*args, **options)

    def end_headers(self) -> None:
        """Send what makes a page cross-origin isolated, too, if it is to have threads."""
        for name in HEADERS:
            if self.threads and name.startswith("Cross-Origin"):
                self.send_header(name, HEADERS[name])
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def open_page(folder: Path, threads: bool) -> webdriver.Chrome:
    """Return a browser at a page of the site in a folder."""
    handler = partial(Handler, threads=threads, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox"):
        options.add_argument(f"--{argument}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    browser.set_script_timeout(300)
    browser.get(f"http://127.0.0.1:{server.server_port}/blank.html")
    return browser


def processes(browser: webdriver.Chrome) -> dict[int, int]:
    """Return a browser's processes, each with its ticks of the processor so far."""
    parents, ticks = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(path.parent.name)] = int(fields[1])
        ticks[int(path.parent.name)] = int(fields[11]) + int(fields[12])
    mine = {browser.service.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return {pid: ticks[pid] for pid in mine if pid in ticks}


def cpu_seconds(browser: webdriver.Chrome) -> float:
    """Return the processor's time of a browser's processes so far."""
    return sum(processes(browser).values()) / os.sysconf("SC_CLK_TCK")


def seconds_in(browser: webdriver.Chrome, task: str) -> tuple[float, float]:
    """Return how long a task takes in a browser's page, and how much of the processor."""
    before = cpu_seconds(browser)
    found = browser.execute_async_script(RUN, TASKS[task])
    if not isinstance(found, float | int):
        raise RuntimeError(found)
    return found, cpu_seconds(browser) - before


def seconds_in_python(
    threads: str, task: str, pixels: np.ndarray, file: bytes
) -> tuple[float, float]:
    """Return how long a task takes in this process, and how much of the processor."""
    os.environ["NPEG_THREADS"] = threads
    start, before = time.perf_counter(), time.process_time()
    if task == "decode":
        npeg.decode(file)
    else:
        npeg.encode(pixels, 75, effort=int(task[-1]))
    return time.perf_counter() - start, time.process_time() - before


def photographs() -> np.ndarray:
    """Return four photographs beside each other, 1024x1024 pixels."""
    four = (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
    squares = [Image.fromarray(one).resize((512, 512), Image.Resampling.LANCZOS) for one in four]
    a, b, c, d = (np.asarray(one) for one in squares)
    return np.ascontiguousarray(np.block([[[a], [b]], [[c], [d]]]))


def main() -> None:
    """Measure, print and write the rows."""
    pixels = photographs()
    file = npeg.encode(pixels, 75)
    cores = str(len(os.sched_getaffinity(0)))
    with TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        (folder / "photo.npeg").write_bytes(file)
        (folder / "blank.html").write_text("<!doctype html><title>npeg</title>")
        one, all_ = open_page(folder, False), open_page(folder, True)
        contestants = {
            "Chromium, 1 thread": partial(seconds_in, one),
            f"Chromium, {cores} threads": partial(seconds_in, all_),
            "Python, 1 thread": partial(seconds_in_python, "1", pixels=pixels, file=file),
            f"Python, {cores} threads": partial(seconds_in_python, cores, pixels=pixels, file=file),
        }
        rows = ["task\twho\tfirst_s\tshortest_s\tcpu_s\trounds\tto_python"]
        for task in TASKS:
            times: dict[str, list[tuple[float, float]]] = {who: [] for who in contestants}
            for _ in range(ROUNDS + 1):
                for who, measure in contestants.items():
                    times[who].append(measure(task=task))
            shortest = {who: min(one for one, _ in found[1:]) for who, found in times.items()}
            for who, ((first, _), *others) in times.items():
                found = (first, *map(min, zip(*others, strict=True)))
                ratio = shortest[who] / shortest[f"Python,{who.partition(',')[2]}"]
                cells = [task, who, *(f"{value:.2f}" for value in found), str(ROUNDS)]
                cells.append(f"{ratio:.1f}")
                rows.append("\t".join(cells))
                print(rows[-1], flush=True)
        OUT.write_text("\n".join(rows) + "\n")
        one.quit()
        all_.quit()


if __name__ == "__main__":
    main()
