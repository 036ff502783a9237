"""The blind comparison: equal sizes, hidden names, a page that asks, answers that are counted."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data
from test_bench_page import browser, find  # noqa: F401

from npeg import cli
from npeg.bench.codecs import find_codec
from npeg.bench.report.blind import COLUMNS, KEY, make_comparison
from npeg.bench.report.preference import Answer, count_lines, counts, read_answers, read_key
from npeg.bench.run.ladder import TOLERANCE, Ladder, equal_pair
from npeg.bench.run.photos import find_photos
from npeg.cli import main
from npeg.errors import InputError

DOCS = Path(__file__).parents[1] / "docs" / "blind.md"
CODECS = ("npeg", "avif", "webp")
RATES = (0.5, 1.2)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three parts of photographs in a folder."""
    folder = tmp_path_factory.mktemp("photos")
    for name, image in {
        "astronaut": data.astronaut()[64:192, 128:288],
        "cat": data.chelsea()[60:188, 120:248],
        "coffee": data.coffee()[100:228, 200:360],
    }.items():
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    codecs = [find_codec(spec) for spec in CODECS]
    folder = tmp_path_factory.mktemp("blind")
    return make_comparison(folder, find_photos([photos]), codecs, RATES, seed=5)


@pytest.fixture(scope="module")
def key(made):
    return read_key(made.key.parent)


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def data_of(path):
    return json.loads(re.findall(r"window\.DATA = (.*);</script>", path.read_text())[0])


def test_every_pair_is_made_or_named(made, key):
    assert made.pairs == len(key.pairs) >= 8
    assert made.pairs + len(made.left_out) == 3 * len(RATES) * 2
    for line in made.left_out:
        assert re.match(r"\w+\.png at [\d.]+ bpp against (AVIF|WebP).*: no two files", line)
        assert f"# left out: {line}\n" in made.key.read_text()


def test_npeg_is_never_larger_and_at_most_two_per_cent_smaller(key):
    for row in key.pairs.values():
        size = {row[side]: int(row[f"{side}_size_bytes"]) for side in ("left", "right")}
        assert set(size) == {"npeg", row["rival"]}
        assert 0.98 * size[row["rival"]] <= size["npeg"] <= size[row["rival"]]


def test_pictures_and_sizes_are_those_of_the_files(made, key, photos):
    row = key.pairs[min(key.pairs, key=int)]
    image = pixels(photos / row["image"])
    for side in ("left", "right"):
        codec = find_codec(row[side])
        file = codec.encode(image, float(row[f"{side}_quality"]))
        assert len(file) == int(row[f"{side}_size_bytes"])
        shown = pixels(made.page.parent / f"pairs/{int(row['pair']):03}-{side}.png")
        np.testing.assert_array_equal(shown, codec.decode(file))


def test_neither_the_page_nor_its_files_tell_which_is_which(made):
    folder = made.page.parent
    assert made.key.parent == folder.parent  # what is handed out is without the key
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    allowed = r"index\.html|originals/[0-9a-f]{12}\.png|pairs/\d{3}-(left|right)\.png"
    assert all(re.fullmatch(allowed, name) for name in names)
    shown = json.dumps(data_of(made.page))
    for word in (*CODECS, "size_bytes", "quality", "astronaut", "rate", "seed", KEY):
        assert word not in shown
    assert set(data_of(made.page)["pairs"][0]) == {
        "number", "width", "height", "original", "left", "right",
    }  # fmt: skip
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            assert not image.info


def test_the_page_loads_nothing_but_its_pictures(made):
    text = made.page.read_text()
    assert not re.findall(r"https?://|@import|url\(", text)
    for pair in data_of(made.page)["pairs"]:
        assert all((made.page.parent / pair[k]).exists() for k in ("original", "left", "right"))


def test_sides_and_order_follow_the_seed_alone(made, photos, tmp_path):
    def sides(folder, seed):
        codecs = [find_codec(spec) for spec in ("jpeg", "webp")]
        again = make_comparison(folder, find_photos([photos]), codecs, (1.0, 1.5, 2.0), seed)
        return re.sub(r"# .*\n", "", again.key.read_text())

    first = sides(tmp_path / "a", 5)
    assert first == sides(tmp_path / "b", 5) != sides(tmp_path / "c", 6)
    left = [line.split("\t")[4] for line in first.splitlines()[1:]]
    assert {"jpeg", "webp"} == set(left)


class Steps:
    """A codec whose file at a quality has a given size."""

    name, label, lossless = "steps", "Steps", False

    def __init__(self, *sizes):
        self.sizes = sizes
        self.quality_range, self.quality_step = (0, len(sizes) - 1), 1

    def encode(self, image, quality):
        return bytes(self.sizes[int(quality)])

    def decode(self, data):
        return np.zeros((40, 40, 3), np.uint8)


IMAGE = np.zeros((40, 40, 3), np.uint8)  # 1 bpp: 200 bytes


def ladder(sizes):
    steps: Any = Steps(*sizes)
    return Ladder(steps, IMAGE)


@pytest.mark.parametrize(
    ("first", "rival", "expected"),
    [
        ((150, 197, 199, 203), (100, 200, 300), (199, 200)),  # the largest that is not above
        ((150, 190, 204), (200, 205, 230), (204, 205)),  # the next setting of the rival
        ((150, 190, 240), (100, 200, 210), None),
        ((300, 400), (200, 210), None),  # the first codec cannot be so small
        ((100, 150), (200, 210), None),  # or so large
        ((100, 500), (100, 500), None),  # the rival has nothing near the rate
    ],
)
def test_what_is_taken_for_equal(first, rival, expected):
    pair = equal_pair(ladder(first), ladder(rival), 1.0)
    assert (pair and (pair.first.size_bytes, pair.rival.size_bytes)) == expected
    assert TOLERANCE == 0.02


def written(path, comparison, answers):
    rows = [f"{pair}\t{answer}\t2.5" for pair, answer in answers.items()]
    path.write_text("\n".join([f"# comparison: {comparison}", "pair\tanswer\ttime_s", *rows, ""]))
    return path


def a_key(folder, rivals):
    """A key of three photographs; npeg is on the left in odd pairs."""
    lines = ["# comparison: abc", "# first: npeg", "\t".join(COLUMNS)]
    for number in range(1, 7):
        sides = ("npeg", rivals[number % 2]) if number % 2 else (rivals[number % 2], "npeg")
        row = [number, f"{(number + 1) // 2}.png", 0.3, rivals[number % 2], *sides, 1, 2, 10, 10]
        lines.append("\t".join(map(str, row)))
    (folder / KEY).write_text("\n".join(lines) + "\n")


def test_answers_are_counted_by_rival_and_rate(tmp_path, capsys):
    a_key(tmp_path, ("avif", "jxl"))  # jxl in odd pairs, avif in even ones
    one = written(
        tmp_path / "one.tsv",
        "abc",
        {1: "left", 3: "right", 5: "same", 2: "right", 4: "right", 6: "right"},
    )
    two = written(tmp_path / "two.tsv", "abc", {1: "left", 2: "left"})
    assert main(["bench", "--blind", str(tmp_path), "--answers", str(one), str(two)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^avif +0\.3 +4 +3 +1 +0 +75\.0 %", out, re.M)
    assert re.search(r"^jxl +all +4 +2 +1 +1 +62\.5 %", out, re.M)
    text = (tmp_path / "preferences.tsv").read_text()
    assert "# people: 2\n" in text
    assert re.search(r"^jxl\t0\.3\t4\t2\t1\t1\t62\.50\t0\.00\t100\.00$", text, re.M)


def test_the_interval_is_over_photographs_and_always_the_same():
    won = [Answer(f"{i}.png", 0.3, "avif", 1) for i in range(30)]
    lost = [Answer(f"{i}.png", 0.3, "avif", 0) for i in range(30, 40)]
    (row, _) = counts(won + lost)
    assert row.share == 0.75
    assert row.interval
    low, high = row.interval
    # 0.75 and twice the binomial's deviation, 0.068
    assert low == pytest.approx(0.61, abs=0.03)
    assert high == pytest.approx(0.88, abs=0.03)
    # the same answers once more, by others: photographs are not more for that
    assert counts(2 * (won + lost))[0].interval == row.interval
    (alone, _) = counts([Answer("a.png", 0.3, "avif", 1)])
    assert alone.interval is None
    assert count_lines("npeg", [alone])[-1].endswith("100.0 %  -")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# comparison: other\npair\tanswer\n1\tleft\n", "answers comparison other, expected abc"),
        ("pair\tanswer\n1\tleft\n", "answers comparison none, expected abc"),
        ("# comparison: abc\npair\tanswer\n9\tleft\n", "pair '9' is not in the key"),
        ("# comparison: abc\npair\tanswer\n1\tleft\n1\tsame\n", "pair 1 is answered twice"),
        ("# comparison: abc\npair\tanswer\n1\tyes\n", "found 'yes' for pair 1, expected left"),
        ("# comparison: abc\npair\tanswer\n1\n", "found 1 cells in a row, expected 2"),
        ("# comparison: abc\npair\n1\n", "found no column 'answer'"),
        ("", "found no column 'pair'"),
    ],
)
def test_answers_that_cannot_be_counted_give_one_line(tmp_path, text, message):
    a_key(tmp_path, ("avif", "jxl"))
    (tmp_path / "answers.tsv").write_text(text)
    with pytest.raises(InputError, match=re.escape(message)):
        read_answers(read_key(tmp_path), tmp_path / "answers.tsv")


def test_the_commands_of_the_page_of_docs_are_ones_that_the_parser_takes():
    commands = re.findall(r"^    npeg (bench .*)$", DOCS.read_text(), re.M)
    assert len(commands) == 2
    for command in commands:
        assert cli._parser(command.split()).parse_args(command.split()).blind


def test_bad_arguments_give_one_line(photos, tmp_path, capsys):
    def error_of(*arguments):
        assert main(["bench", *map(str, arguments)]) == 1
        return capsys.readouterr().err

    blind = ("--blind", tmp_path / "out", "--images", photos)
    assert "needs a codec and a rival, found npeg" in error_of(*blind, "--codecs", "npeg")
    assert "png is lossless" in error_of(*blind, "--codecs", "npeg,png")
    assert "--rates has 'x', expected a number" in error_of(*blind, "--rates", "0.2,x")
    assert "rates must be above 0" in error_of(*blind, "--rates", "0", "--codecs", "npeg,webp")
    assert "no pair could be made: astronaut.png at 90 bpp against" in error_of(
        *blind, "--rates", "90", "--codecs", "jpeg,webp"
    )
    assert "--blind needs --images" in error_of("--blind", tmp_path, "--list")
    assert "--answers needs --blind" in error_of("--answers", "a.tsv")
    assert "key.tsv: no such file" in error_of("--blind", tmp_path, "--answers", "a.tsv")
    (tmp_path / "out" / KEY).write_text("")
    assert "is there already" in error_of(*blind, "--codecs", "npeg,webp")


@pytest.fixture()
def asked(browser, made):  # noqa: F811
    """The page in the browser, with no answers; nothing may be written to its console."""
    browser.get(made.page.as_uri())
    if browser.execute_script(
        "const kept = localStorage.length; localStorage.clear(); return kept"
    ):
        time.sleep(0.5)  # a busy Chromium stores what a page keeps a moment later
        browser.refresh()
    yield browser
    assert browser.get_log("browser") == []


def test_keys_answer_and_answers_come_back(asked, made, key, tmp_path):
    from selenium.webdriver import Keys

    body = find(asked, "body")
    body.send_keys("1", "2", "3", Keys.BACKSPACE)
    assert find(asked, "#progress").text == f"Pair 3 of {made.pairs} · 3 answered"
    assert find(asked, '[data-answer="right"]').get_attribute("aria-pressed") == "true"
    time.sleep(0.5)  # a busy Chromium stores what a page keeps a moment later
    asked.refresh()
    assert find(asked, "#progress").text == f"Pair 4 of {made.pairs} · 3 answered"
    path = tmp_path / "answers.tsv"
    path.write_text(asked.execute_script("return table()"))
    shown = [pair["number"] for pair in data_of(made.page)["pairs"][:3]]
    rivals = [key.pairs[str(number)] for number in shown]
    expected = [float(rivals[0]["left"] == "npeg"), 0.5, float(rivals[2]["right"] == "npeg")]
    assert [answer.score for answer in read_answers(key, path)] == expected


def test_all_pictures_are_at_the_same_place_and_flip(asked):
    from selenium.webdriver import Keys

    def seen():
        return [p.text for p in asked.find_elements("css selector", ".panel") if p.is_displayed()]

    body = find(asked, "body")
    assert seen() == ["Original"]
    boxes = []
    for press, name in ((Keys.ARROW_LEFT, "Left"), (" ", "Right"), (Keys.ARROW_UP, "Original")):
        body.send_keys(press)
        assert seen() == [name]
        boxes.append(find(asked, f'.panel[data-side="{name.lower()}"] img').rect)
    assert boxes[0] == boxes[1] == boxes[2]
    body.send_keys("s")
    assert seen() == ["Left", "Original", "Right"]
    body.send_keys("s", "+", "+")
    assert find(asked, "output").text in ("4×", "8×", "16×", "32×")
    scales = {
        image.value_of_css_property("transform").split("(")[1].split(",")[0]
        for image in asked.find_elements("css selector", ".panel img")
    }
    assert len(scales) == 1
