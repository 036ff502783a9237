"""A run of the bench: what it keeps, what it survives, what it refuses."""

import csv
import dataclasses
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from npeg.bench.codecs import codec_names, find_codec
from npeg.bench.metrics import METRICS
from npeg.bench.metrics.bdrate import rising
from npeg.bench.report.series import axis_label
from npeg.bench.report.tables import curve, mean_rows, point_rows
from npeg.bench.run.measure import Task, measure, measure_all
from npeg.bench.run.photos import find_photos
from npeg.bench.run.runner import Plan, run_plan
from npeg.bench.run.store import Store
from npeg.cli import main
from npeg.errors import FormatError, InputError

MODULE = '''
import os
import numpy as np
from npeg.bench.codecs.contract import Codec

class Raw(Codec):
    """The samples as they are; it counts in a file how often it encodes."""
    name, title, lossless = "raw", "Raw", True
    def encode(self, image, quality):
        with open(os.environ["ENCODED"], "a") as file:
            print(self.name, file=file)
        np.ones(int(os.environ.get("RAW_MIB", 0)) << 20, np.uint8)
        return np.array(image.shape, "<u4").tobytes() + image.tobytes()
    def decode(self, data):
        shape = np.frombuffer(data[:12], "<u4")
        return np.frombuffer(data, np.uint8, offset=12).reshape(shape)
    @classmethod
    def version(cls):
        return os.environ.get("RAW_VERSION", "raw 1")

class Absent(Raw):
    name, title = "absent", "Absent"
    @classmethod
    def missing(cls):
        return "pip install absent"

class Raises(Raw):
    name, title = "raises", "Raises"
    def encode(self, image, quality):
        raise RuntimeError("no\\nluck")

class Dies(Raw):
    name, title = "dies", "Dies"
    def encode(self, image, quality):
        os._exit(9)

class Lies(Raw):
    name, title = "lies", "Lies"
    def decode(self, data):
        return super().decode(data) ^ 1
'''


@pytest.fixture()
def encoded(tmp_path, monkeypatch):
    """Install a package with codecs of its own; return the file that logs its encodings."""
    folder = tmp_path / "site"
    info = folder / "others-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "others.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
    classes = [
        f"{name} = others:{name.title()}" for name in ("raw", "absent", "raises", "dies", "lies")
    ]
    (info / "entry_points.txt").write_text("\n".join(["[npeg.codecs]", *classes]))
    monkeypatch.syspath_prepend(folder)
    log = tmp_path / "encoded"
    log.touch()
    monkeypatch.setenv("ENCODED", str(log))
    return log


@pytest.fixture()
def images(tmp_path):
    """A folder of two small images and a text file."""
    folder = tmp_path / "images"
    folder.mkdir()
    for seed, size in enumerate([(24, 36), (30, 20)]):
        pixels = np.random.default_rng(seed).integers(0, 200, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def bench(*arguments):
    return main(["bench", "-j", "1", *map(str, arguments)])


def rows(path):
    """Return the rows of a TSV file, without its lines of conditions."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def test_a_run_writes_means_and_points_with_versions(images, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--codecs", "jpeg,png", "--qualities", "20,80", "--metrics", "psnr,time"]
    assert bench("--images", images, "--out", out, *options, "--repeats", "1") == 0
    table = rows(out / "results.tsv")
    assert [row["image"] for row in table].count("mean") == 3
    assert len(table) == 3 + 2 * 3
    point = next(
        r for r in table if (r["image"], r["codec"], r["quality"]) == ("0.png", "jpeg", "20")
    )
    assert float(point["rate_bpp"]) == pytest.approx(
        8 * int(point["size_bytes"]) / (24 * 36), rel=1e-5
    )
    assert "Pillow" in point["version"]
    assert float(point["encode_time_s"]) > 0 < float(point["decode_time_s"])
    assert {row["psnr_rgb_db"] for row in table if row["codec"] == "png"} == {"inf"}
    conditions = (out / "results.tsv").read_text()
    assert "# images: 2, 20x30, 36x24\n" in conditions
    assert "# JPEG 4:2:0: Pillow" in conditions
    assert "BD-rate" not in capsys.readouterr().out  # one lossy codec has nothing to be compared to


def test_means_are_means_over_the_photographs(images, tmp_path):
    photos = find_photos([images])
    plan = Plan(photos, [find_codec("jpeg")], [METRICS["psnr"]], [50])
    with Store(tmp_path / "s.sqlite") as store:
        outcome = run_plan(plan, store)
    (mean,), points = mean_rows(outcome, plan.codecs[0]), point_rows(outcome, plan.codecs[0])
    for column in ("rate_bpp", "psnr_rgb_db", "size_bytes"):
        assert mean[column] == pytest.approx(np.mean([row[column] for row in points]))


def test_a_second_run_measures_only_what_is_new(images, tmp_path, encoded):
    command = ["--images", images, "--out", tmp_path / "out", "--codecs", "raw"]
    assert bench(*command, "--metrics", "psnr") == 0
    assert len(encoded.read_text().split()) == 2
    assert bench(*command, "--metrics", "psnr") == 0
    assert len(encoded.read_text().split()) == 2
    (images / "1.png").rename(images / "renamed.png")  # photographs are known by their pixels
    Image.new("RGB", (9, 9)).save(images / "2.png")
    assert bench(*command, "--metrics", "psnr") == 0
    assert len(encoded.read_text().split()) == 3
    assert bench(*command, "--metrics", "psnr,psnr-y") == 0
    assert len(encoded.read_text().split()) == 6
    assert bench(*command, "--metrics", "psnr", "--fresh") == 0
    assert len(encoded.read_text().split()) == 9


def test_another_version_of_a_codec_is_measured_again(images, tmp_path, encoded, monkeypatch):
    command = ["--images", images, "--out", tmp_path / "out", "--codecs", "raw"]
    assert bench(*command) == 0
    monkeypatch.setenv("RAW_VERSION", "raw 2")
    assert bench(*command) == 0
    assert len(encoded.read_text().split()) == 4
    assert {row["version"] for row in rows(tmp_path / "out" / "results.tsv")} == {"raw 2"}


def test_an_interrupted_run_keeps_what_it_has(images, tmp_path, encoded, monkeypatch, capsys):
    from npeg.bench.run import runner

    whole = measure_all

    def interrupted(tasks, jobs):
        yield next(whole(tasks, jobs))
        raise KeyboardInterrupt

    command = [
        "--images",
        images,
        "--out",
        tmp_path / "out",
        "--codecs",
        "png",
        "--metrics",
        "psnr",
    ]
    monkeypatch.setattr(runner, "measure_all", interrupted)
    assert bench(*command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    asked = []

    def counted(tasks, jobs):
        asked.extend(tasks)
        return whole(tasks, jobs)

    monkeypatch.setattr(runner, "measure_all", counted)
    assert bench(*command) == 0
    assert len(asked) == 1
    assert len(rows(tmp_path / "out" / "results.tsv")) == 3


@pytest.mark.parametrize(
    ("codec", "reason"),
    [
        ("raises", "no luck"),
        ("dies", "the process died"),
        ("lies", "864 pixels differ after decoding, expected none: it is lossless"),
    ],
)
def test_a_codec_that_fails_is_reported_and_the_run_goes_on(
    codec, reason, images, tmp_path, encoded, capsys
):
    options = ["--codecs", f"{codec},png,raw", "--metrics", "psnr,time", "--repeats", "1"]
    assert bench("--images", images, "--out", tmp_path / "out", *options) == 1
    assert f"failed: {codec} at quality 100 on 0.png: {reason}\n" in capsys.readouterr().err
    done = [(row["image"], row["codec"]) for row in rows(tmp_path / "out" / "results.tsv")]
    assert done == [(i, c) for i in ("mean",) for c in ("png", "raw")] + [
        (i, c) for c in ("png", "raw") for i in ("0.png", "1.png")
    ]


@pytest.mark.parametrize("measured", ["time_point", "memory_of_point"])
def test_a_codec_that_fails_when_timed_is_reported_too(
    measured, images, tmp_path, monkeypatch, capsys
):
    def fails(point, *_):
        raise RuntimeError("too\nlate")

    monkeypatch.setattr(f"npeg.bench.run.runner.{measured}", fails)
    monkeypatch.setattr("npeg.bench.run.memory.missing", lambda: None)
    resource = "time" if measured == "time_point" else "memory"
    options = ["--codecs", "png", "--metrics", f"psnr,{resource}"]
    assert bench("--images", images, "--out", tmp_path / "out", *options) == 1
    err = capsys.readouterr().err
    assert [line for line in err.splitlines() if "too late" in line] == [
        f"failed: png at quality 100 on {name}.png: too late" for name in (0, 1)
    ]
    assert len(rows(tmp_path / "out" / "results.tsv")) == 3  # qualities are kept


def test_a_metric_that_fails_is_named(images, tmp_path, monkeypatch, capsys):
    def fails(original, decoded):
        raise RuntimeError("no luck")

    broken = dataclasses.replace(METRICS["mse"], measure=fails)
    monkeypatch.setitem(METRICS, "mse", broken)
    plan = Plan(find_photos([images]), [find_codec("png")], [broken])
    tasks = [Task(point, ("mse",)) for point in plan.points()]
    assert [str(measure(task)) for task in tasks] == [
        f"png at quality 100 on {name}.png: metric mse: no luck" for name in (0, 1)
    ]


def test_ratio_and_mse_have_their_columns(images, tmp_path):
    options = ["--codecs", "jpeg,png", "--qualities", "50", "--metrics", "mse,ssim"]
    assert bench("--images", images, "--out", tmp_path / "out", *options) == 0
    for row in rows(tmp_path / "out" / "results.tsv"):
        if row["image"] == "0.png":
            raw = 3 * 24 * 36
            assert float(row["compression_ratio"]) == pytest.approx(
                raw / int(row["size_bytes"]), rel=1e-5
            )
        lossless = row["codec"] == "png"
        assert (row["mse_rgb"] == "0", row["ssim_y"] == "1") == (lossless, lossless)


def test_of_an_error_less_is_better(images, tmp_path):
    plan = Plan(find_photos([images]), [find_codec("jpeg")], [METRICS["mse"]], [10, 50, 90])
    with Store(tmp_path / "s.sqlite") as store:
        points = curve(mean_rows(run_plan(plan, store), plan.codecs[0]), plan.metrics[0])
    assert points == rising(points)
    assert all(score < 0 for _, score in points)
    assert axis_label(plan.metrics[0]) == "MSE (RGB), less is better"


def test_a_store_of_before_memory_was_measured_is_used(images, tmp_path):
    command = ["--images", images, "--out", tmp_path, "--codecs", "png", "--metrics", "psnr"]
    assert bench(*command) == 0
    _write(tmp_path / "bench.sqlite", "DROP TABLE memory")
    assert bench(*command) == 0
    assert len(rows(tmp_path / "results.tsv")) == 3


def test_metrics_are_listed_with_what_they_need(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.platform", "linux")
    assert bench("--list-metrics") == 0
    listed = capsys.readouterr().out
    assert "psnr           larger is better; npeg: mean over R, G and B\n" in listed
    assert "butteraugli    missing: apt install libjxl-devtools\n" in listed
    assert bench("--images", "x", "--metrics", "butteraugli") == 1
    assert capsys.readouterr().err == (
        "npeg: metric butteraugli is not installed: apt install libjxl-devtools\n"
    )


def test_a_missing_codec_is_left_out_with_its_command(images, tmp_path, encoded, capsys):
    options = ["--codecs", "absent,png", "--metrics", "psnr"]
    assert bench("--images", images, "--out", tmp_path / "out", *options) == 0
    assert "left out absent: it needs pip install absent" in capsys.readouterr().err
    assert bench("--images", images, "--codecs", "absent") == 1
    assert "npeg: none of the codecs 'absent' is installed" in capsys.readouterr().err
    assert bench("--list") == 0
    assert "absent         missing: pip install absent" in capsys.readouterr().out


def test_a_package_can_add_its_own_codec(encoded, images):
    assert "raw" in codec_names()
    image = find_photos([images])[0].pixels()
    raw = find_codec("raw")
    assert (raw.decode(raw.encode(image, 100)) == image).all()


def test_a_metric_that_is_not_defined_leaves_its_cell_empty(images, tmp_path):
    options = ["--codecs", "png", "--metrics", "psnr,ms-ssim"]
    assert bench("--images", images, "--out", tmp_path / "out", *options) == 0
    assert {row["ms_ssim"] for row in rows(tmp_path / "out" / "results.tsv")} == {""}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--images empty", "no images in empty"),
        ("--images nowhere", "nowhere: found no such file"),
        ("--images broken", "broken/a.png: found no image: starts with"),
        ("--images cut.png", "cut.png: found a damaged PNG image: "),
        ("--images images --codecs jpegg", "unknown codec 'jpegg': known are npeg, "),
        ("--images images --metrics fid", "unknown metric 'fid': known are psnr, "),
        ("--images images --qualities 5,x", "--qualities has 'x', expected a number"),
        ("--images images --qualities 101", "quality 101 is not on the scale of jpeg, 1..100"),
        ("--images images --out other", "bench.sqlite: found a store of version 999, expected 1"),
        ("--images images --out text", "bench.sqlite: not a store of npeg bench: file is not a"),
        ("--images images --out alien", "bench.sqlite: found another program's SQLite file"),
        ("--images images --scheduler tcp://localhost:1", "--scheduler needs --engine dask"),
        ("--images images --jobs 0", "--jobs is 0, expected 1 or more"),
    ],
)
def test_bad_input_gets_one_clear_line(arguments, message, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("empty", "broken", "other", "text", "alien"):
        Path(folder).mkdir()
    Path("broken/a.png").write_text("no image")
    data = (images / "0.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    Store(Path("other/bench.sqlite")).__exit__(None, None, None)
    _write("other/bench.sqlite", "PRAGMA user_version = 999")
    Path("text/bench.sqlite").write_text("this is no database, and it is long enough " * 9)
    _write("alien/bench.sqlite", "CREATE TABLE songs (title TEXT)")
    status = main(["bench", "--codecs", "jpeg", *arguments.split()])
    captured = capsys.readouterr()
    assert status == 1
    assert re.fullmatch(r"npeg: .*\n", captured.err)
    assert message in captured.err


def test_a_store_is_checked_before_it_is_used(tmp_path):
    path = tmp_path / "s.sqlite"
    Store(path).__exit__(None, None, None)
    _write(path, "PRAGMA user_version = 2")
    with pytest.raises(FormatError, match="found a store of version 2, expected 1"):
        Store(path)


def test_the_same_picture_in_two_files_is_measured_once(images):
    Image.open(images / "0.png").save(images / "copy.bmp")
    assert [photo.name for photo in find_photos([images, images / "0.png"])] == ["0.png", "1.png"]


def test_transparent_images_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (4, 4)).save(path)
    with pytest.raises(InputError, match=re.escape("a.png: found transparent pixels")):
        find_photos([path])


def test_grey_images_are_measured_as_rgb(tmp_path):
    path = tmp_path / "a.png"
    Image.new("L", (4, 5), 7).save(path)
    (photo,) = find_photos([path])
    assert photo.pixels().shape == (5, 4, 3)


def _write(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
