"""The page and its server: what they answer, and how the page behaves in a real browser."""

import http.client
import json
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from conftest import info_of
from PIL import Image

import npeg
from npeg import container, exact, sections
from npeg.errors import InputError
from npeg.web import HERE, has_runtime, options, site
from npeg.web.server import Server

WAIT_S = 120


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, photo, photo_npeg):
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(photo).save(folder / "street.png")
    (folder / "street.npeg").write_bytes(photo_npeg)
    (folder / "alone.npeg").write_bytes(npeg.encode(photo[:40, :50, 0], 60))
    (folder / "broken.npeg").write_bytes(photo_npeg[:50])
    return [folder / name for name in ("alone.npeg", "street.png", "street.npeg", "broken.npeg")]


@pytest.fixture(scope="module")
def server(pictures):
    report = pictures[0].with_name("compare.html")
    report.write_text("<title>A comparison</title>")
    with Server(pictures, reports=[report]) as server:
        threading.Thread(target=server.serve_forever, daemon=True, args=(0.01,)).start()
        yield server
        server.shutdown()


def ask(server, method, path, body=None, **headers):
    """Return the status, headers and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


# --- the server ---


def test_it_sends_the_page_with_what_threads_need(server):
    status, headers, data = ask(server, "GET", "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert data == (HERE / "index.html").read_bytes()
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert ask(server, "GET", "/codec/rans.js")[1]["Content-Type"].startswith("text/javascript")
    assert ask(server, "HEAD", "/page.js")[2] == b""


def test_it_sends_nothing_that_is_not_listed(server):
    for path in (
        "/../pyproject.toml",
        "/__init__.py",
        "/pictures/4",
        "/pictures/-1",
        "/pictures/x",
    ):
        assert ask(server, "GET", path)[0] == 404, path
    assert ask(server, "POST", "/index.html", b"")[0] == 404


def test_other_sites_are_refused(server):
    own = f"127.0.0.1:{server.server_port}"
    refused = [
        {"Host": "evil.example"},
        {"Host": f"evil.example:{server.server_port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ]
    for headers in refused:
        assert ask(server, "GET", "/pictures/0", **headers)[0] == 403, headers
        assert ask(server, "POST", "/decode", b"x", **headers)[0] == 403, headers
    allowed = {"Host": own, "Origin": f"http://{own}", "Sec_Fetch_Site": "same-origin"}
    assert ask(server, "GET", "/pictures/0", **allowed)[0] == 200
    followed = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(server, "GET", "/", **followed)[0] == 200
    assert ask(server, "POST", "/decode", b"x", **followed)[0] == 403


def test_it_decodes_and_encodes(server, photo, photo_npeg):
    status, _, png = ask(server, "POST", "/decode", photo_npeg)
    assert status == 200
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png))), npeg.decode(photo_npeg))
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    path = "/encode?quality=50&tune=psnr&effort=0"
    status, _, data = ask(server, "POST", path, buffer.getvalue())
    assert (status, data) == (200, npeg.encode(photo, 50, tune="psnr", effort=0))


def test_it_makes_avif_files_of_at_most_a_size_and_counts_bits(server, photo, photo_npeg):
    buffer = BytesIO()
    Image.fromarray(photo).save(buffer, "PNG")
    status, headers, data = ask(server, "POST", "/avif?size=3000", buffer.getvalue())
    assert (status, headers["Content-Type"]) == (200, "image/avif")
    assert 2000 < len(data) <= 3000
    assert 0 < int(headers["Npeg-Quality"]) < 100
    assert Image.open(BytesIO(data)).size == photo.shape[1::-1]
    assert ask(server, "POST", "/avif?size=3000", b"none")[0] == 422
    bits = np.frombuffer(ask(server, "POST", "/bits", photo_npeg)[2], "<f4")
    assert bits.size == -(-photo.shape[0] // 16) * -(-photo.shape[1] // 16)


def test_reports_may_run_their_own_scripts_and_load_nothing(server):
    status, headers, data = ask(server, "GET", "/reports/0")
    assert (status, data) == (200, b"<title>A comparison</title>")
    assert headers["Content-Type"].startswith("text/html")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'unsafe-inline'" in policy
    assert ask(server, "GET", "/reports/1")[0] == 404
    assert json.loads(ask(server, "GET", "/server.json")[2])["reports"] == ["compare"]


def test_errors_are_said(server, photo_npeg):
    for path, body, text in (
        ("/decode", b"GIF89a", "not an NPEG file"),
        ("/decode", photo_npeg[:-1], "truncated"),
        ("/encode?quality=x", b"", "expected numbers"),
        ("/encode?tune=loud", b"", "tune is 'loud'"),
    ):
        status, _, data = ask(server, "POST", path, body)
        assert status == 422
        assert text in json.loads(data)["error"]
    status, _, _ = ask(server, "POST", "/decode", b"", Content_Length="999999999")
    assert status == 413


def test_a_port_in_use_is_one_line(server, pictures):
    with pytest.raises(InputError, match=f"cannot listen on port {server.server_port}"):
        Server(pictures, server.server_port)


def test_the_commands_refuse_what_is_not_there(run, tmp_path):
    assert run("view", "none.npeg").err == "npeg: none.npeg: no such file\n"
    assert run("serve", "none").err == "npeg: none: no such folder\n"
    assert "found '0', expected 1 to 65535" in run("serve", "--port", "0").err


def test_a_folder_is_listed_without_hidden_files(folder, photo_npeg):
    (folder / "deep/e.NPEG").write_bytes(photo_npeg)
    names = [path.relative_to(folder).as_posix() for path in options._below(str(folder))]
    assert names == ["a.png", "deep/b.jpg", "deep/c.png", "deep/e.NPEG"]


def test_ctrl_c_ends_the_server(tmp_path, photo_npeg):
    import signal
    import sys

    from conftest import environment

    (tmp_path / "a.npeg").write_bytes(photo_npeg)
    command = [sys.executable, "-m", "npeg", "view", "a.npeg", "--no-browser"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert process.stderr.readline().startswith("npeg: http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


def test_the_demo_opens_the_page_with_its_pictures_and_its_comparison(tmp_path, monkeypatch):
    from npeg import demo

    shown = []
    monkeypatch.setattr("npeg.web.server.run", lambda *args: shown.append(args))
    pictures, page = [tmp_path / "a.png", tmp_path / "a.npeg"], tmp_path / "compare.html"
    assert demo.show(pictures, page, 0) == 0
    ((found, port, ready, reports),) = shown
    assert (found, port, reports) == (pictures, 0, [page])
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    ready("http://127.0.0.1:1/")
    assert opened == ["http://127.0.0.1:1/"]


def test_every_file_of_the_site_is_there():
    found = site()
    assert {"index.html", "page.js", "viewer.js", "page.css", "worker.js"} <= set(found)
    assert "models/eighth/entropy.npz" in found
    assert all(path.is_file() for path in found.values())


def test_the_package_for_npm_has_the_version_of_the_one_for_python():
    assert json.loads((HERE / "package.json").read_text())["version"] == npeg.__version__


def test_the_page_names_no_other_site():
    for name, path in site().items():
        if not name.startswith(("ort/", "avif/", "models/")):
            assert "https://" not in path.read_text(), name


# --- the page in a browser ---


@contextmanager
def started(strategy="normal"):
    """A headless Chromium, whose `get` returns as the strategy says; it has ended afterwards."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.page_load_strategy = strategy
    for argument in ("headless=new", "no-sandbox", "window-size=1000,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def browser():
    with started() as browser:
        yield browser


def wait(browser, script):
    """Return what a script says once that is true."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if found := browser.execute_script(f"return {script}"):
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {script}; {browser.get_log('browser')}")


ROWS = "[...document.querySelectorAll('#numbers tbody tr')].map((row) => row.cells[0].textContent)"


def text(browser, name):
    return browser.execute_script(f"return document.getElementById('{name}').textContent")


def choose(browser, i):
    browser.execute_script(f"document.querySelectorAll('#pictures button')[{i}].click()")


def save(browser, folder, *names):
    """Download the .npeg and the PNG file of the picture that is shown."""
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    for name in names:
        browser.find_element("id", f"save-{name.split('.')[1]}").click()
        end = time.monotonic() + 30
        while not (folder / name).exists() and time.monotonic() < end:
            time.sleep(0.05)


def fade(photo):
    """Alpha for a photo, 0 at the left and 255 at the right."""
    height, width = photo.shape[:2]
    return np.tile(np.linspace(-60, 300, width).clip(0, 255).astype(np.uint8), (height, 1))


@pytest.fixture(params=["python", "browser"])
def shown(request, browser, server):
    """The page, with each of the two engines; nothing may be written to its console."""
    if request.param == "browser" and not has_runtime():
        pytest.skip("make runtime")
    browser.get(server.url + ("?browser" if request.param == "browser" else ""))
    wait(browser, f"{ROWS}.length === 1 && document.querySelector('#viewer img')")
    yield browser
    assert [line for line in browser.get_log("browser") if "422" not in line["message"]] == []


def test_it_shows_npeg_files_alone_and_beside_their_photographs(shown, photo_npeg):
    assert "50 × 40" in text(shown, "summary")
    assert shown.execute_script("return document.getElementById('settings').hidden")
    names = "[...document.querySelectorAll('#pictures button')].map((one) => one.textContent)"
    assert shown.execute_script(f"return {names}") == ["alone.npeg", "street.png", "broken.npeg"]
    choose(shown, 1)
    wait(shown, f"{ROWS}.join() === 'Original,npeg,JPEG,WebP,AVIF'")
    assert f"{len(photo_npeg):,} bytes" in text(shown, "summary")
    choose(shown, 2)
    wait(shown, "document.getElementById('error').textContent")
    assert "truncated" in text(shown, "error")


def test_what_is_chosen_is_encoded_again_as_the_slider_moves(shown, png, tmp_path):
    shown.find_element("id", "choose").send_keys(str(png))
    wait(shown, f"{ROWS}.length === 5")
    first = text(shown, "summary")
    shown.execute_script("const q = document.getElementById('quality'); q.value = 20; q.oninput()")
    wait(shown, f"document.getElementById('summary').textContent !== {json.dumps(first)}")
    wait(shown, "!document.querySelector('#work.busy')")
    sizes = "[...document.querySelectorAll('#numbers tbody tr')].map((r) => r.cells[1].textContent)"
    assert shown.execute_script(f"return {sizes}")[1] == "20"
    saved = tmp_path / "saved"
    save(shown, saved, "photo.npeg", "photo.png")
    assert npeg.info(saved / "photo.npeg").header.quality == 20
    decoded = npeg.decode(saved / "photo.npeg").astype(int)
    assert np.abs(np.asarray(Image.open(saved / "photo.png")) - decoded).max() <= 1


def test_alpha_is_shown_compared_and_saved(shown, photo, tmp_path):
    file, saved = tmp_path / "faded.png", tmp_path / "saved"
    Image.fromarray(np.dstack([photo, fade(photo)])).save(file)
    shown.find_element("id", "choose").send_keys(str(file))
    wait(shown, f"{ROWS}.join() === 'Original,npeg,JPEG,WebP,AVIF'")
    assert "JPEG holds no transparency" in text(shown, "notes")
    behind = "getComputedStyle(document.querySelector('#viewer img')).backgroundImage"
    assert "conic-gradient" in shown.execute_script(f"return {behind}")
    save(shown, saved, "faded.npeg", "faded.png")
    assert info_of(saved / "faded.npeg").header.alpha
    found = np.asarray(Image.open(saved / "faded.png"))
    np.testing.assert_array_equal(found[..., 3], fade(photo))
    assert np.abs(npeg.decode(saved / "faded.npeg").astype(int) - found).max() <= 1


def test_where_the_bits_go_is_laid_over_the_picture(shown, photo):
    choose(shown, 1)
    wait(shown, "document.querySelector('#numbers tbody tr:nth-child(2)')")
    button = shown.find_element("id", "bits")
    overlays = "[...document.querySelectorAll('#viewer img.overlay')].map((one) => one.hidden)"
    assert shown.execute_script(f"return {overlays}") == [True, True]
    button.click()
    wait(shown, "document.getElementById('legend').textContent.includes('Half of all bits')")
    assert shown.execute_script(f"return {overlays}") == [False, True]
    first = "document.querySelector('#viewer img.overlay')"
    blocks = [-(-side // 16) for side in photo.shape[1::-1]]
    wait(shown, f"{first}.naturalWidth")
    size = shown.execute_script(f"return [{first}.naturalWidth, {first}.naturalHeight]")
    assert size == blocks
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    wait(shown, f"{overlays}.every(Boolean)")
    assert text(shown, "legend") == ""


def test_a_picture_that_no_canvas_holds_is_one_message(shown, tmp_path):
    header = container.Header(model_id=8, level=100, width=70_000, height=8, tile_size=2048)
    one = {sections.EXACT: bytes([exact.PALETTE, 0, 3, 0, 1, 2, 3])}
    (tmp_path / "wide.npeg").write_bytes(container.write(header, [one] * 35))
    shown.find_element("id", "choose").send_keys(str(tmp_path / "wide.npeg"))
    wait(shown, "document.getElementById('error').textContent")
    assert "70000 × 8 pixels are more than this browser's canvas holds" in text(shown, "error")


def test_the_page_links_reports(shown):
    link = shown.find_element("css selector", "#reports a")
    assert (link.text, link.get_attribute("href")[-10:]) == ("compare", "/reports/0")


def test_lossless_files_are_called_so(shown, photo, tmp_path):
    for pixels, name in ((photo, "whole"), (np.dstack([photo, fade(photo)]), "clear")):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.npeg").write_bytes(npeg.encode(pixels, lossless=True))
        both = f"{tmp_path}/{name}.png\n{tmp_path}/{name}.npeg"
        shown.find_element("id", "choose").send_keys(both)
        wait(shown, "document.getElementById('summary').textContent.includes('lossless')")
        cells = "[...document.querySelectorAll('#numbers tbody tr')[1].cells]"
        found = shown.execute_script(f"return {cells}.map((cell) => cell.textContent)")
        assert (found[0], found[1]) == ("npeg", "lossless")
        wait(shown, f"{cells}.map((cell) => cell.textContent).slice(4).join() === '100.0,∞'")


def test_it_fits_a_telephone(shown):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert shown.execute_script("return document.documentElement.scrollWidth") == 360
    shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_every_control_has_a_name(shown):
    nameless = (
        "[...document.querySelectorAll('input, select, button, progress, a')].filter((one) =>"
        " !(one.labels?.length || one.ariaLabel || one.textContent.trim())).map((one) => one.id)"
    )
    assert shown.execute_script(f"return {nameless}") == []
