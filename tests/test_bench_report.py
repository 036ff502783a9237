"""The report of a run: its numbers, its plots, and its page in a real browser."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_bench_page import browser as browser  # a fixture
from test_bench_page import data_of, find

from npeg.bench.codecs import find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.report import results_page, series
from npeg.bench.report.pictures import LARGEST_SIDE, pictures
from npeg.bench.report.plots import spread
from npeg.bench.report.published import MAIN, is_kodak, published_rows
from npeg.bench.report.tables import bd_rates, curve, mean_rows
from npeg.bench.run.matching import largest_within
from npeg.bench.run.photos import Photo, find_photos
from npeg.bench.run.runner import Plan, run_plan
from npeg.bench.run.store import Store
from npeg.cli import main

PICTURES_BPP = 1.0
FILES = ("psnr", "ms-ssim")


def write_image(path, height, width, seed=0):
    """Waves in three colours with some noise."""
    i, j = np.mgrid[:height, :width]
    waves = np.stack([np.sin(i / 9), np.sin(i * j / 700), np.cos((i + j) / 11)], axis=-1)
    noise = np.random.default_rng(seed).normal(0, 6, (height, width, 3))
    Image.fromarray((128 + 100 * waves + noise).clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Two photographs in two lossy codecs and a lossless one, timed; store and images beside."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "images").mkdir()
    for seed, name in enumerate(["a <b>.png", "c.png"]):
        write_image(folder / "images" / name, 170, 180, seed)
    codecs = [find_codec(spec) for spec in ("webp", "jpeg", "png")]
    metrics = [METRICS["psnr"], METRICS["ms-ssim"]]
    plan = Plan(find_photos([folder / "images"]), codecs, metrics, (10, 30, 60), True, 1)
    with Store(folder / "bench.sqlite") as store:
        return run_plan(plan, store)


@pytest.fixture(scope="module")
def folder(outcome, tmp_path_factory):
    """The report, as if these were the Kodak photographs."""
    folder = tmp_path_factory.mktemp("report") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(series, "is_kodak", lambda photos: True)
        results_page.write_report(outcome, folder, 1, PICTURES_BPP)
    return folder


@pytest.fixture()
def shown(browser, folder):  # noqa: F811
    """The page in the browser; nothing may be written to its console."""
    browser.get((folder / "report.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


# --- numbers ---


def test_the_page_holds_the_bd_rates_of_the_tables(outcome, folder):
    rates = data_of(folder / "report.html")["rates"]
    lossy = outcome.plan.codecs[:2]
    for metric in outcome.plan.metrics:
        expected = bd_rates({c.label: curve(mean_rows(outcome, c), metric) for c in lossy})
        for anchor, tested in expected.items():
            for name, rate in tested.items():
                assert rates[metric.name][anchor][name] == rate
    assert rates["psnr"]["WebP"]["JPEG 4:2:0"] > 10
    assert rates["psnr"]["WebP"]["ELIC (published)"] is not None
    assert "ELIC (published)" not in rates["ms-ssim"]  # none was published
    assert "PNG" not in rates["psnr"]


def test_the_page_holds_every_point_and_mean(outcome, folder):
    data = data_of(folder / "report.html")
    at = 2 + data["columns"].index("psnr_rgb_db")
    measured = [row for row in data["rows"] if not data["series"][row[1]]["published"]]
    assert len(measured) == (2 + 1) * (3 + 3 + 1)
    (mean,) = [row for row in measured if row[:3] == [-1, 1, 30]]
    points = [row for row in measured if row[0] >= 0 and row[1:3] == [1, 30]]
    assert mean[at] == pytest.approx(np.mean([row[at] for row in points]), rel=1e-5)
    assert {row[at] for row in measured if row[1] == 2} == {None}  # infinite: lossless


def test_the_table_of_bd_rates_agrees_with_the_page(folder):
    rates = data_of(folder / "report.html")["rates"]
    with (folder / "bd-rates.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            rate = rates[row["metric"]][row["anchor"]][row["codec"]]
            assert row["bd_rate_percent"] == ("" if rate is None else f"{rate:.2f}")


def test_conditions_are_stated(outcome, folder):
    text = "\n".join(data_of(folder / "report.html")["conditions"])
    assert re.search(r"^date: \d{4}-\d\d-\d\d$", text, re.M)
    for line in ("images: 2, 180x170", "WebP: Pillow", "machine: ", "threads of a codec: 1"):
        assert line in text


def test_published_curves_are_drawn_on_kodak_only(outcome):
    assert all(one.codec for one in series.series_of(outcome))
    assert not is_kodak(outcome.plan.photos)
    namesakes = [Photo(Path("nowhere"), f"kodim{i:02}.png", 768, 512, "0" * 64) for i in range(24)]
    assert not is_kodak(namesakes)


def test_published_points_are_what_was_published():
    rows = published_rows()
    assert set(MAIN) < set(rows)
    vtm = rows["VTM (VVC intra 4:4:4)"][0]
    assert (vtm["rate_bpp"], vtm["psnr_rgb_db"], vtm["ms_ssim"]) == (0.04824, 26.1448, 0.860608)
    assert rows["ELIC"][0]["ms_ssim"] is None
    assert all(row["source"] for points in rows.values() for row in points)


def test_published_curves_are_dashed_and_measured_ones_are_not(folder):
    for one in data_of(folder / "report.html")["series"]:
        assert bool(one["dash"]) == one["published"]


# --- files ---


def test_the_page_needs_no_other_file(folder):
    text = (folder / "report.html").read_text()
    assert not re.findall(r"@import|(?:src|href)=\"http", text)
    assert set(re.findall(r"https?://[^\"'`\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert set(re.findall(r"url\(([^)]*)", text)) == {"#${this.root.id}-clip"}
    assert "a <b>" not in text


@pytest.mark.parametrize("metric", FILES)
def test_plots_are_opaque_and_legible_at_800_pixels(metric, folder):
    with Image.open(folder / f"rd-{metric}.png") as image:
        assert image.size == (1600, 1000)
        assert image.convert("RGBA").getpixel((2, 2)) == (255, 255, 255, 255)
    svg = (folder / f"rd-{metric}.svg").read_text()
    assert "<svg" in svg and "<dc:date>" not in svg


def test_the_command_writes_a_report_without_measuring_again(
    outcome, tmp_path, capsys, monkeypatch
):
    images = outcome.plan.photos[0].path.parent
    options = ["--codecs", "jpeg", "--qualities", "10,30,60", "--metrics", "psnr", "-j", "1"]
    command = ["bench", "--images", str(images), *options]
    assert main([*command, "--report", str(tmp_path / "r"), "--pictures", "0"]) == 0
    assert f"wrote {tmp_path / 'r' / 'report.html'}\n" in capsys.readouterr().out
    monkeypatch.setattr(
        "npeg.bench.run.runner.measure_all", lambda tasks, jobs: pytest.fail("measured")
    )
    out = ["--out", str(tmp_path / "r")]
    assert main([*command, *out, "--report", "--pictures", "0"]) == 0
    names = {path.name for path in (tmp_path / "r").iterdir()}
    plots = {"rd-psnr.svg", "rd-psnr.png"}
    assert names == {"bench.sqlite", "results.tsv", "report.html", "bd-rates.tsv", *plots}
    assert data_of(tmp_path / "r" / "report.html")["pictures"] == []


@pytest.mark.parametrize("option", [["--pictures", "-1"], ["--rate", "0"]])
def test_bad_options_get_one_clear_line(option, capsys):
    assert main(["bench", "--images", "x", "--report", *option]) == 1
    assert capsys.readouterr().err == "npeg: --pictures must be 0 or more, and --rate above 0\n"


# --- pictures ---


def test_pictures_are_the_largest_files_at_their_rate(outcome):
    (picture,) = pictures(outcome, 1, PICTURES_BPP)
    image = outcome.plan.photos[0].pixels()
    assert [view["label"] for view in picture["views"]] == ["Original", "WebP", "JPEG 4:2:0"]
    for view, spec in zip(picture["views"][1:], ("webp", "jpeg"), strict=True):
        alone = largest_within(find_codec(spec), image, int(PICTURES_BPP * 170 * 180 / 8))
        assert view["size_bytes"] == pytest.approx(alone.size_bytes, rel=0.01)  # steps may fall
        assert 0.9 * PICTURES_BPP < view["rate_bpp"] <= PICTURES_BPP


def test_of_a_large_photograph_the_middle_is_shown(tmp_path):
    write_image(tmp_path / "large.png", 200, 1000)
    plan = Plan(find_photos([tmp_path]), [find_codec("jpeg")], [METRICS["psnr"]], (50,))
    with Store(tmp_path / "s.sqlite") as store:
        (picture,) = pictures(run_plan(plan, store), 4, 2)
    assert (picture["width"], picture["height"], picture["cut"]) == (LARGEST_SIDE, 200, True)


def test_pictures_stop_before_the_page_is_too_large(outcome, monkeypatch):
    assert len(pictures(outcome, 2, PICTURES_BPP)) == 2
    monkeypatch.setattr("npeg.bench.report.pictures.LARGEST_BYTES", 1000)
    assert len(pictures(outcome, 2, PICTURES_BPP)) == 1


def test_names_at_the_edge_are_moved_apart():
    assert spread([1, 5, 9], 2, 20) == [1, 5, 9]
    assert spread([4, 4, 4], 2, 20) == [2, 4, 6]
    assert spread([9, 10], 2, 10) == [8, 10]


# --- the page in a browser ---


def test_the_legend_switches_curves(shown):
    def drawn():
        return [text.text for text in shown.find_elements("css selector", "#curves .name")]

    button = find(shown, "#legend button")
    assert (button.text, button.get_attribute("aria-pressed")) == ("WebP", "true")
    assert {"WebP", "JPEG 4:2:0", "ELIC"} <= set(drawn())
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert "WebP" not in drawn()
    button.send_keys(" ")
    assert "WebP" in drawn()


def test_published_curves_are_named_as_such(shown):
    heads = [head.text for head in shown.find_elements("css selector", "#legend h3")]
    assert heads == ["Measured", "Published, not measured"]
    dashed = shown.find_elements("css selector", "#curves .published .curve")
    assert len(dashed) == len(MAIN)
    assert all(path.get_attribute("stroke-dasharray") for path in dashed)


def test_pointing_at_a_curve_shows_its_numbers(shown):
    from selenium.webdriver import ActionChains

    tip = find(shown, "#curves .tip")
    assert not tip.is_displayed()
    mark = shown.find_elements("css selector", "#curves .mark")[-1]
    ActionChains(shown).move_to_element(mark).perform()
    assert tip.is_displayed()
    assert re.search(r"^WebP\nQuality\n\d+\nBytes\n[\d,]+\nBits per pixel\n\d\.\d{3}\n", tip.text)
    ActionChains(shown).move_to_element(find(shown, "h1")).perform()
    assert not tip.is_displayed()


def test_the_arrow_keys_walk_along_the_curves(shown):
    from selenium.webdriver import Keys

    svg, tip = find(shown, "#curves svg"), find(shown, "#curves .tip")
    svg.send_keys(Keys.ARROW_RIGHT)
    first = tip.text
    svg.send_keys(Keys.ARROW_RIGHT)
    assert first.split("\n")[0] == tip.text.split("\n")[0]
    assert first != tip.text
    svg.send_keys(Keys.ARROW_DOWN)
    assert first.split("\n")[0] != tip.text.split("\n")[0]
    svg.send_keys(Keys.ESCAPE)
    assert not tip.is_displayed()


def test_measure_axis_and_photograph_can_be_chosen(shown):
    from selenium.webdriver.support.select import Select

    def curve_of_webp():
        return find(
            shown, "#curves svg > .series:last-child, #curves svg > .series:nth-last-child(2)"
        )

    def path():
        return curve_of_webp().find_element("css selector", ".curve").get_attribute("d")

    seen = {path()}
    for choice in ("metric][value='ms-ssim'", "scale][value='Log'"):
        find(shown, f"[name={choice}]").click()
        assert path() not in seen
        seen.add(path())
    assert "MS-SSIM (RGB), dB" in find(shown, "#curves").text
    Select(find(shown, "#photo")).select_by_visible_text("c.png")
    assert path() not in seen
    assert not shown.find_elements("css selector", "#curves .published")


def test_sizes_are_compared_with_any_anchor(shown, folder):
    from selenium.webdriver.support.select import Select

    rates = data_of(folder / "report.html")["rates"]["psnr"]
    for anchor in ("JPEG 4:2:0", "ELIC (published)"):
        Select(find(shown, "#anchor")).select_by_visible_text(anchor)
        rows = [row.text for row in shown.find_elements("css selector", "#rates tbody tr")]
        (webp,) = [row for row in rows if row.startswith("WebP")]
        assert f"{abs(rates[anchor]['WebP']):.1f} %" in webp
        assert any(row.startswith(f"{anchor} 0") for row in rows)


def test_speed_is_drawn_when_it_was_measured(shown):
    find(shown, "[name=direction][value=decode]").click()
    assert "seconds to decode a megapixel" in find(shown, "#speed").text
    assert len(shown.find_elements("css selector", "#speed .mark")) == 2


def test_the_divider_of_the_pictures_moves(shown):
    from selenium.webdriver import ActionChains

    divider = find(shown, ".divider")
    shown.execute_script("arguments[0].scrollIntoView({block: 'center'})", divider)
    width = find(shown, ".stage").rect["width"]
    ActionChains(shown).drag_and_drop_by_offset(divider, int(width / 4), 0).perform()
    assert divider.get_attribute("aria-valuenow") == "75"
    assert "1 of 2 photographs" in find(shown, "#pictures-note").text


def test_results_are_sorted_and_chosen(shown):
    from selenium.webdriver.support.select import Select

    def sizes():
        cells = shown.find_elements("css selector", "#results tbody td:nth-child(4)")
        return [int(cell.text.replace(",", "")) for cell in cells]

    assert len(sizes()) == 7
    Select(find(shown, "#only-photo")).select_by_visible_text("each photograph")
    Select(find(shown, "#only-codec")).select_by_visible_text("WebP")
    head = shown.find_elements("css selector", "#results th button")[3]
    head.click()
    assert sizes() == sorted(sizes()) and len(sizes()) == 6
    head.send_keys(" ")
    assert sizes() == sorted(sizes(), reverse=True)


@pytest.mark.parametrize(
    ("codecs", "metrics", "hidden"),
    [
        (["png"], ["psnr"], ["curves", "rates", "speed", "gains", "pictures"]),
        (["jpeg"], ["psnr"], ["rates", "speed", "gains"]),
        (["jpeg", "webp"], [], ["curves", "rates", "speed", "gains"]),
    ],
)
def test_what_was_not_measured_is_not_shown(codecs, metrics, hidden, browser, tmp_path):  # noqa: F811
    write_image(tmp_path / "small.png", 24, 36)
    chosen = [find_codec(spec) for spec in codecs], [METRICS[name] for name in metrics]
    with Store(tmp_path / "s.sqlite") as store:
        outcome = run_plan(Plan(find_photos([tmp_path / "small.png"]), *chosen, (20, 80)), store)
    results_page.write_report(outcome, tmp_path)
    browser.get((tmp_path / "report.html").as_uri())
    sections = browser.find_elements("css selector", "section")
    names = [s.get_attribute("id").removesuffix("-section") for s in sections]
    assert hidden == [n for n, s in zip(names, sections, strict=True) if not s.is_displayed()]
    assert browser.get_log("browser") == []


def test_gains_of_enhancement_and_crops_are_shown(browser, tmp_path):  # noqa: F811
    write_image(tmp_path / "small.png", 64, 48)
    codecs = [find_codec(spec) for spec in ("jpeg", "jpeg+deblock", "jpeg+gamma")]
    metrics = [METRICS["psnr"], METRICS["mse"]]
    with Store(tmp_path / "s.sqlite") as store:
        outcome = run_plan(
            Plan(find_photos([tmp_path / "small.png"]), codecs, metrics, (10, 40), timing=True),
            store,
        )
    results_page.write_report(outcome, tmp_path)
    browser.get((tmp_path / "report.html").as_uri())
    table = browser.find_element("id", "gains")
    rows = [line.text for line in table.find_elements("css selector", "tr")]
    assert rows[0].endswith("jpeg 10 jpeg 40")
    assert [row.split()[0] for row in rows[1:]] == ["deblock", "gamma"]
    first = table.text
    browser.find_element("css selector", "#gain-metric option[value=time_s]").click()
    assert table.text != first and " ms" in table.text
    labels = [one.text for one in browser.find_elements("css selector", "#crops figcaption")]
    assert [label.split()[0].rstrip(",") for label in labels] == [
        *("Original", "JPEG", "deblock", "gamma")
    ]
    images = browser.find_elements("css selector", "#crops img")
    assert all(int(image.get_attribute("naturalWidth")) == 48 for image in images)
    assert browser.get_log("browser") == []
