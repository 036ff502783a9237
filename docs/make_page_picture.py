"""Makes page.png: the page of `npeg view` with a photograph from scikit-image, in Chromium.

python docs/make_page_picture.py        needs selenium, scikit-image, chromium and chromedriver
"""

import argparse
import shutil
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium import webdriver
from skimage import data

import npeg
from npeg.web.server import Server

PICTURE = Path(__file__).parent / "page.png"
WIDTH, HEIGHT = 1280, 800
COLOURS = 256  # of the picture, which makes it a third as large
ROUNDS = 3  # of looking for them
QUALITY = 40
NO_DITHER = Image.Dither.NONE
SHOWN = "document.querySelectorAll('#numbers tbody tr').length === 4"
"""The photograph, npeg, JPEG and WebP."""
JPEG_AT_LEFT = "const left = document.querySelector('.choose-left'); left.value = 2; "
JPEG_AT_LEFT += "left.dispatchEvent(new Event('change'))"
WAIT_S = 120


def main() -> None:
    """Write the picture."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo, coded = Path(folder, "coffee.png"), Path(folder, "coffee.npeg")
        Image.fromarray(data.coffee()).save(photo)
        coded.write_bytes(npeg.encode(photo, QUALITY))
        with Server([coded, photo]) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            png = picture_of(server.url)
            server.shutdown()
    shown = Image.open(BytesIO(png)).convert("RGB")
    found = shown.quantize(COLOURS, kmeans=ROUNDS, dither=NO_DITHER)
    found.save(PICTURE, optimize=True)
    print(PICTURE, PICTURE.stat().st_size)


def picture_of(url: str) -> bytes:
    """Return a PNG file of the page, in light colours."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    service = webdriver.ChromeService(shutil.which("chromedriver") or "")
    browser = webdriver.Chrome(options=options, service=service)
    size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    light = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    try:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", light)
        browser.get(url)
        end = time.monotonic() + WAIT_S
        while not browser.execute_script(f"return {SHOWN}"):
            if time.monotonic() > end:
                raise SystemExit("the page does not show its picture")
            time.sleep(0.1)
        browser.execute_script(JPEG_AT_LEFT)
        time.sleep(1)  # until the last picture is drawn
        png: bytes = browser.get_screenshot_as_png()
        return png
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
