"""A built site, without Python behind it: its page, its library, its element."""

import threading
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from test_web_page import ROWS, browser, choose, fade, save, text, wait  # noqa: F401  # a fixture

import npeg
from npeg import container
from npeg.errors import InputError
from npeg.web import RUNTIME_FILES, has_runtime
from npeg.web.build import build


@pytest.fixture(scope="module")
def built(tmp_path_factory, photo, photo_npeg):
    """A site on a plain server, which says nothing of threads; its address."""
    if not has_runtime():
        pytest.skip("make runtime")
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

        def log_message(self, *_):
            pass

    folder = tmp_path_factory.mktemp("built")
    assert build(folder) > 20_000_000
    (folder / "photo.npeg").write_bytes(photo_npeg)
    Image.fromarray(photo[:8, :8]).save(folder / "fallback.png")
    (folder / "images.html").write_text(
        '<!doctype html><script type="module" src="npeg-img.js"></script>'
        '<img id="a" src="photo.npeg" alt="A" width="64" style="border: 1px solid">'
        '<picture><source srcset="photo.npeg" type="image/npeg"><img id="b" src="fallback.png">'
        '</picture><img id="bad" src="none.npeg" alt="gone">'
        '<div style="height: 5000px"></div><img id="c" src="photo.npeg" loading="lazy">'
    )
    (folder / "broken.npeg").write_bytes(photo_npeg[:90])
    (folder / "plain.html").write_text(
        '<!doctype html><script type="module" src="register.js"></script>'
        '<img id="a" src="photo.npeg" alt="A"><img id="bad" src="broken.npeg" alt="gone">'
        '<div id="b" style="width: 99px; height: 99px; background: url(photo.npeg)"></div>'
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_images_of_a_page_are_decoded_in_their_places(browser, built, photo):  # noqa: F811
    browser.get(f"{built}images.html")
    size = "(id => document.getElementById(id).naturalWidth)"
    height, width = photo.shape[:2]
    assert wait(browser, f"{size}('a')") == width
    wait(browser, f"{size}('b') === {width}")
    shown = "(({alt, width, height, style}) => [alt, width, height, style.border])"
    found = browser.execute_script(f"return {shown}(document.getElementById('a'))")
    assert found == ["A", 64, 64 * height // width, "1px solid"]
    assert browser.execute_script(f"return {size}('c')") == 0  # far below
    browser.execute_script("document.getElementById('c').scrollIntoView()")
    wait(browser, f"{size}('c') === {width}")
    browser.execute_script("document.body.append(Object.assign(new Image(), {id: 'd'}))")
    browser.execute_script("document.getElementById('d').src = 'photo.npeg'")
    wait(browser, f"{size}('d') === {width}")
    assert any("none.npeg: 404" in line["message"] for line in browser.get_log("browser"))


KEPT = "caches.open('npeg-decoded').then((cache) => cache.keys()).then((keys) => done(keys.length))"


def test_a_service_worker_decodes_plain_images_and_backgrounds(browser, built, photo, photo_npeg):  # noqa: F811
    browser.get(f"{built}plain.html")
    wait(browser, "navigator.serviceWorker.controller")
    height, width = photo.shape[:2]
    wait(browser, f"document.getElementById('a')?.naturalWidth === {width}")
    wait(browser, "document.getElementById('bad').complete")
    assert browser.execute_script("return document.getElementById('bad').naturalWidth") == 0
    assert any("422" in line["message"] for line in browser.get_log("browser"))
    kept = browser.execute_async_script(f"const done = arguments[0]; {KEPT}")
    assert kept == 1  # the picture once, whoever asks for it
    shot = np.asarray(Image.open(BytesIO(browser.get_screenshot_as_png())).convert("RGB"))
    box = browser.execute_script(
        "const {x, y} = document.getElementById('b').getBoundingClientRect(); return [x, y]"
    )
    x, y = (round(value) for value in box)
    shown = shot[y : y + 64, x : x + 64].astype(int)
    decoded = npeg.decode(photo_npeg)
    assert np.abs(shown - decoded[:64, :64]).mean() < 2
    registered = "(await navigator.serviceWorker.getRegistrations())"
    browser.execute_script(f"for (const one of {registered}) await one.unregister()")


def test_a_built_site_works_without_threads_and_without_python(browser, built, png):  # noqa: F811
    browser.get(built)
    wait(browser, "document.getElementById('where').textContent.includes('this browser')")
    assert browser.execute_script("return crossOriginIsolated") is False
    browser.find_element("id", "choose").send_keys(str(png))
    wait(browser, f"{ROWS}.length === 5")
    browser.get_log("browser")  # it has asked for server.json


def test_the_library_decodes_encodes_and_is_cancelled(browser, built, photo, photo_npeg):  # noqa: F811
    browser.get(f"{built}fallback.png")
    browser.get(f"{built}images.html")
    found = browser.execute_async_script(
        """
        const done = arguments[0];
        (async () => {
          const npeg = await import("./npeg.js");
          const bytes = new Uint8Array(await (await fetch("photo.npeg")).arrayBuffer());
          const image = await npeg.decode(bytes);
          const again = await npeg.encode(image, { quality: 30, effort: 0 });
          const stop = new AbortController();
          const shares = [];
          const work = npeg.encode(image, {
            signal: stop.signal,
            onProgress: (share) => { shares.push(share); stop.abort(); },
          });
          const cancelled = await work.then(() => "", (error) => error.name);
          const refused = await npeg.decode(bytes.slice(0, 99)).then(() => "", (error) =>
            [error instanceof npeg.FormatError, error.message]);
          npeg.close();
          done([image.width, image.height, npeg.info(again).quality, cancelled, refused]);
        })().catch((error) => done(String(error)));
        """
    )
    height, width = photo.shape[:2]
    refused = [True, f"truncated: section 'T' has 72 of {len(photo_npeg) - 27} bytes"]
    assert found == [width, height, 30, "AbortError", refused]
    browser.get_log("browser")


def test_alpha_goes_through_the_library(browser, built):  # noqa: F811
    browser.get(f"{built}fallback.png")
    found = browser.execute_async_script(
        """
        const done = arguments[0];
        (async () => {
          const npeg = await import("./npeg.js");
          const data = Uint8ClampedArray.from({ length: 4 * 20 * 30 }, (_, i) => (i * 7) % 256);
          const bytes = await npeg.encode(new ImageData(data, 20, 30), { effort: 0 });
          const again = await npeg.decode(bytes);
          const isSame = again.data.every((value, i) => i % 4 < 3 || value === data[i]);
          npeg.close();
          done([npeg.info(bytes).alpha, npeg.isLossless(bytes), isSame]);
        })().catch((error) => done(String(error)));
        """
    )
    pixels = (np.arange(4 * 20 * 30) * 7 % 256).astype(np.uint8).reshape(30, 20, 4)
    lossless = container.info(npeg.encode(pixels, effort=0)).lossless
    assert found == [True, lossless, True]
    browser.get_log("browser")


def test_a_site_without_the_runtime_is_not_built(tmp_path, monkeypatch):
    monkeypatch.setattr("npeg.web.RUNTIME", tmp_path)
    with pytest.raises(InputError, match="onnxruntime-web is not there"):
        build(tmp_path)
    assert len(RUNTIME_FILES) == 4
