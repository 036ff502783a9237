"""Files that arrive slowly are painted as they do: by the script of a site, and by the page."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from slow_server import SlowServer
from test_web_page import started, text, wait

import npeg
from npeg import codec
from npeg.encoder_rule import EncoderOptions
from npeg.web import has_runtime
from npeg.web.build import build

LAYERED = Path(__file__).with_name("golden") / "coffee-layers-256x384-q75-model8.npeg"
SHARES = (0.11, 0.5, 0.75)  # of that file, one, two and four of its five sections
PIXELS = """
const [selector, done] = arguments;
const image = document.querySelector(selector);
const context = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
context.drawImage(image, 0, 0);
done([...context.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data]);
"""
IMG = '<img src="{0}" alt="A cup" width="192" style="border: 1px solid">'
PICTURE = (
    '<picture><source srcset="{0}" type="image/npeg"><img src="plain.png" alt="A cup"></picture>'
)
SHOWN = "(document.images[0].currentSrc.match(/^blob:.*/)?.[0] ?? '')"  # what was painted last


@pytest.fixture(scope="module")
def browser():
    with started("eager") as browser:  # does not wait for pictures
        yield browser


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    if not has_runtime():
        pytest.skip("make runtime")
    from skimage import data

    folder = tmp_path_factory.mktemp("slow")
    build(folder)
    (folder / "layers.npeg").write_bytes(LAYERED.read_bytes())
    tiled = codec.encode_pixels(data.coffee()[:256, :512], 180, EncoderOptions(tile_size=256))
    (folder / "tiles.npeg").write_bytes(tiled)
    damaged = bytearray(LAYERED.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / "damaged.npeg").write_bytes(damaged)
    script = '<!doctype html><script type="module" src="npeg-img.js"></script>'
    for name, body in {
        "img": IMG.format("slow/layers.npeg"),
        "tiles": IMG.format("slow/tiles.npeg"),
        "picture": PICTURE.format("slow/layers.npeg"),
        "endless": IMG.format("slow/endless/layers.npeg"),
        "damaged": IMG.format("slow/damaged.npeg"),
    }.items():
        (folder / f"{name}.html").write_text(script + body)
    with SlowServer(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _from_the_start(slow, browser):
    slow.start_over()
    browser.get_log("browser")


def pixels_of(browser, shape, selector="img"):
    """Return the pixels of an image element, (H, W, 3)."""
    found = np.array(browser.execute_async_script(PIXELS, selector), np.uint8)
    return found.reshape(*shape[:2], 4)[..., :3].astype(int)


def part_of(data, share):
    """Return what Python sees of a share of a file."""
    with pytest.warns(UserWarning):
        return npeg.decode(data[: round(share * len(data))], partial=True).astype(int)


def wait_for_another(browser, before, shown=SHOWN):
    """Return the address of the next picture that is shown, once it is there."""
    found = wait(browser, f"{shown} !== '{before}' && {shown}")
    wait(browser, "[...document.images].every((image) => image.complete)")
    return found


def warnings(browser):
    return [line["message"] for line in browser.get_log("browser") if "npeg:" in line["message"]]


@pytest.mark.parametrize("page", ["img", "picture"])
def test_each_layer_is_painted_once_it_is_there_and_the_last_is_the_whole(browser, slow, page):
    data, shown = LAYERED.read_bytes(), ""
    browser.get(f"{slow.url}{page}.html")
    slow.let_through(0.05)
    time.sleep(0.5)
    assert browser.execute_script(f"return {SHOWN}") == ""  # not a tenth is there
    errors = []
    for share in (*SHARES, 1):
        slow.let_through(share)
        shown = wait_for_another(browser, shown)
        assert slow.sent == round(share * len(data))
        found = pixels_of(browser, (256, 384))
        expected = npeg.decode(data).astype(int) if share == 1 else part_of(data, share)
        assert np.abs(found - expected).max() <= 1
        errors.append(np.abs(found - npeg.decode(data)).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-2] > 0.5
    image = "(({alt, width, style}) => [alt, width, style.border])(document.images[0])"
    expected = ["A cup", 384, ""] if page == "picture" else ["A cup", 192, "1px solid"]
    assert browser.execute_script(f"return {image}") == expected
    assert warnings(browser) == []


def test_tiles_are_painted_as_they_come(browser, slow):
    data, shown = (slow.folder / "tiles.npeg").read_bytes(), ""
    browser.get(f"{slow.url}tiles.html")
    for share in (0.12, 0.8, 1):
        slow.let_through(share)
        shown = wait_for_another(browser, shown)
        found = pixels_of(browser, (256, 512))
        expected = npeg.decode(data).astype(int) if share == 1 else part_of(data, share)
        assert np.abs(found - expected).max() <= 1


def test_a_file_of_unknown_length_is_painted_too(browser, slow):
    data = LAYERED.read_bytes()
    browser.get(f"{slow.url}endless.html")
    slow.let_through(1)
    wait_for_another(browser, "")
    wait(browser, "document.images[0].naturalWidth === 384")
    assert np.abs(pixels_of(browser, (256, 384)) - npeg.decode(data)).max() <= 1
    assert warnings(browser) == []


@pytest.mark.parametrize("page", ["img", "endless"])
def test_of_a_file_that_is_cut_all_that_arrived_stays_and_one_line_says_so(browser, slow, page):
    data, shown = LAYERED.read_bytes(), ""
    browser.get(f"{slow.url}{page}.html")
    slow.let_through(0.3)
    if page == "img":
        shown = wait_for_another(browser, shown)
        slow.let_through(0.34)  # too little for another look
    time.sleep(0.2)
    slow.cut()
    end = time.monotonic() + 60
    while not (said := warnings(browser)) and time.monotonic() < end:
        time.sleep(0.05)
    (line,) = said
    sent = round((0.34 if page == "img" else 0.3) * len(data))
    all_of_it = f" of {len(data)}" if page == "img" else ""
    assert f"truncated: {sent}{all_of_it} bytes arrived" in line
    assert "the picture shows these" in line
    wait(browser, "document.images[0].naturalWidth === 384")
    assert np.abs(pixels_of(browser, (256, 384)) - part_of(data, 0.3)).max() <= 1


def test_of_a_file_that_is_damaged_what_was_painted_stays(browser, slow):
    browser.get(f"{slow.url}damaged.html")
    slow.let_through(0.3)
    shown = wait_for_another(browser, "")
    slow.let_through(1)
    end = time.monotonic() + 60
    while not (said := warnings(browser)) and time.monotonic() < end:
        time.sleep(0.05)
    (line,) = said
    assert "is damaged: CRC-32" in line
    assert browser.execute_script(f"return {SHOWN}") == shown
    assert np.abs(pixels_of(browser, (256, 384)) - part_of(LAYERED.read_bytes(), 0.3)).max() <= 1


VIEW = "#viewer .layer.right img"
SOURCE = f"document.querySelector('{VIEW}')?.src"


def test_the_page_paints_a_file_at_an_address_as_it_arrives(browser, slow):
    data, shown = LAYERED.read_bytes(), ""
    browser.get(f"{slow.url}?open=slow/layers.npeg")
    for share in SHARES:
        slow.let_through(share)
        shown = wait_for_another(browser, shown, SOURCE)
        found = pixels_of(browser, (256, 384), VIEW)
        assert np.abs(found - part_of(data, share)).max() <= 1
        assert text(browser, "summary") == f"384 × 256 · {slow.sent:,} bytes have arrived"
    slow.let_through(1)
    wait(browser, "document.getElementById('save-png').href")
    wait_for_another(browser, shown, SOURCE)
    assert np.abs(pixels_of(browser, (256, 384), VIEW) - npeg.decode(data)).max() <= 1
    assert f"{len(data):,} bytes" in text(browser, "summary")
    assert text(browser, "error") == ""


@pytest.mark.parametrize("ends", ["cut", "cancelled"])
def test_the_page_keeps_what_it_painted_and_says_why_it_ends(browser, slow, ends):
    data = LAYERED.read_bytes()
    browser.get(f"{slow.url}?open=slow/layers.npeg")
    slow.let_through(0.3)
    wait_for_another(browser, "", SOURCE)
    if ends == "cut":
        slow.cut()
    else:
        browser.find_element("id", "cancel").click()
    said = wait(browser, "document.getElementById('error').textContent")
    sent = round(0.3 * len(data))
    if ends == "cut":
        assert said.startswith(f"truncated: {sent} of {len(data)} bytes arrived (")
        assert said.endswith("; the picture shows these")
    else:
        assert said == f"Cancelled: the picture shows the first {sent:,} bytes"
    assert np.abs(pixels_of(browser, (256, 384), VIEW) - part_of(data, 0.3)).max() <= 1
    assert browser.execute_script("return document.getElementById('save-png').href") == ""


def test_the_page_says_what_is_wrong_with_an_address(browser, slow):
    browser.get(f"{slow.url}?open=none.npeg")
    wait(browser, "document.getElementById('error').textContent")
    assert text(browser, "error") == "none.npeg: 404 File not found"
    browser.get(f"{slow.url}?open=http://[")
    wait(browser, "document.getElementById('error').textContent")
    assert text(browser, "error") == "http://[: no address of a picture"
    browser.get_log("browser")
