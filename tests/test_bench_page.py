"""The page that compares codecs: what is in it, and how it behaves in a real browser."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from npeg.bench.codecs import find_codec
from npeg.bench.pages import page
from npeg.bench.report.compare import compare
from npeg.bench.run.matching import largest_within
from npeg.cli import main
from npeg.errors import InputError

CODECS = ("avif", "webp", "jpeg")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A file with waves in three colours, 180 x 170."""
    i, j = np.mgrid[:170, :180]
    waves = [np.sin(i / 9), np.sin(i * j / 700), np.cos((i + j) / 11)]
    pixels = (128 + 110 * np.stack(waves, axis=-1)).astype(np.uint8)
    path = tmp_path_factory.mktemp("photo") / "waves & <b>.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def compared(photo):
    return compare(photo, photo.parent / "pages" / "compared.html", 40, CODECS)


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless=new", "no-sandbox", "window-size=1000,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture()
def shown(browser, compared):
    """The page in the browser; nothing may be written to its console."""
    browser.get(compared.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def data_of(path):
    return json.loads(re.findall(r"window\.DATA = (.*);</script>", path.read_text())[0])


def test_each_rival_gets_the_largest_file_that_is_not_above(photo, compared):
    _, reference, *rivals = data_of(compared)["views"]
    image = np.asarray(Image.open(photo))
    for spec, view in zip(CODECS[1:], rivals, strict=True):
        assert view["size_bytes"] <= reference["size_bytes"]
        larger = find_codec(spec).encode(image, view["quality"] + 1)
        assert len(larger) > reference["size_bytes"]


def test_a_codec_that_cannot_be_so_small_gives_its_smallest(photo):
    image = np.asarray(Image.open(photo))
    smallest = largest_within(find_codec("jpeg"), image, 100)
    assert (smallest.quality, smallest.size_bytes > 100) == (1, True)


def test_the_page_needs_no_other_file(compared):
    text = compared.read_text()
    assert not re.findall(r"https?://|@import|url\(", text)
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {"data:,"}


def test_names_cannot_break_out_of_the_page():
    name = "</script><script>alert(1)</script>"
    text = page(name, "compare.html", [], {"image": name})
    assert "<script>alert" not in text


def test_the_command_writes_the_page(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--compare", str(photo), "--codecs", "webp,jpeg", "-q", "30"]) == 0
    assert capsys.readouterr().out == "wrote waves & <b>.compare.html\n"
    out = tmp_path / "waves & <b>.compare.html"
    assert [view["label"] for view in data_of(out)["views"]] == ["Original", "WebP", "JPEG 4:2:0"]


def test_bad_arguments_leave_no_page(photo, tmp_path):
    out = tmp_path / "a.html"
    with pytest.raises(InputError, match="quality is 101, expected 0 to 100 of webp"):
        compare(photo, out, 101, ["webp"])
    with pytest.raises(InputError, match="no such file"):
        compare(tmp_path / "none.png", out, 50, ["webp"])
    assert not out.exists()


def test_the_divider_moves_with_the_pointer(shown):
    from selenium.webdriver import ActionChains

    divider, left = find(shown, ".divider"), find(shown, ".layer.left")
    before = left.value_of_css_property("clip-path")
    assert divider.get_attribute("aria-valuenow") == "50"
    width = find(shown, ".stage").rect["width"]
    ActionChains(shown).drag_and_drop_by_offset(divider, int(width / 4), 0).perform()
    assert divider.get_attribute("aria-valuenow") == "75"
    assert left.value_of_css_property("clip-path") != before


def test_the_divider_moves_with_the_keyboard(shown):
    from selenium.webdriver import Keys

    divider = find(shown, ".divider")
    divider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.SHIFT + Keys.ARROW_LEFT)
    assert divider.get_attribute("aria-valuenow") == "38"
    divider.send_keys(Keys.HOME)
    assert divider.get_attribute("aria-valuenow") == "0"


def test_zoom_reaches_single_pixels_and_comes_back(shown):
    from selenium.webdriver import ActionChains

    output, stage = find(shown, "output"), find(shown, ".stage")
    fit = output.text
    find(shown, ".pixels").click()
    image = find(shown, ".layer.left img")
    assert output.text == "8×"
    assert image.value_of_css_property("image-rendering") == "pixelated"
    before = image.value_of_css_property("transform")
    drag = ActionChains(shown).move_to_element_with_offset(stage, -200, -100).click_and_hold()
    drag.move_by_offset(40, 20).release().perform()
    assert image.value_of_css_property("transform") != before
    stage.send_keys("+++++++")
    assert output.text == "32×"
    stage.send_keys("0")
    assert output.text == fit


def test_any_two_pictures_can_be_chosen(shown):
    from selenium.webdriver.support.select import Select

    tags = {side: find(shown, f".layer.{side} .tag") for side in ("left", "right")}
    assert tags["left"].text.startswith("AVIF 4:4:4")
    assert tags["right"].text.startswith("JPEG 4:2:0")
    Select(find(shown, ".choose-left")).select_by_visible_text("Original")
    find(shown, ".stage").send_keys("3")
    assert tags["left"].text.startswith("Original")
    assert tags["right"].text.startswith("WebP")
    shown.execute_script(
        "document.querySelector('.stage').dispatchEvent("
        "new KeyboardEvent('keydown', {code: 'Space', key: ' ', bubbles: true}))"
    )
    assert tags["left"].text.startswith("WebP")


def test_the_table_says_what_the_tags_say(shown, compared):
    rows = shown.find_elements("css selector", "#numbers tbody tr")
    views = data_of(compared)["views"][1:]
    for row, view in zip(rows, views, strict=True):
        assert row.text.startswith(view["label"])
        assert f"{view['psnr_rgb_db']:.2f}" in row.text


def find(browser, selector):
    return browser.find_element("css selector", selector)
