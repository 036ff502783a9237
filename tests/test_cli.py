"""The command line: files in, whole files out, one line for everything that goes wrong."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import cpu_seconds, environment, tree
from PIL import Image

import npeg
from npeg import arguments, codec, files, networks

KEYS = ["input", "output", "size_bytes", "rate_bpp", "width", "height", "quality", "seconds"]


# --- what it does ---


def test_encode_and_decode_write_beside_their_inputs(run, png, photo_npeg):
    done = run("encode", "photo.png", "-q", 50)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("photo.png -> photo.npeg  ")
    assert "bpp  quality 50  " in done.out
    assert Path("photo.npeg").read_bytes() == photo_npeg
    assert run("decode", "photo.npeg", "-o", "back.png").status == 0
    with Image.open("back.png") as image:
        np.testing.assert_array_equal(np.asarray(image), npeg.decode(photo_npeg))


def test_less_effort_writes_another_file(run, png, photo, photo_npeg):
    assert run("encode", png, "-q", 50, "-e", 0, "-o", "fast.npeg").status == 0
    fast = Path("fast.npeg").read_bytes()
    assert fast == npeg.encode(photo, 50, effort=0) != photo_npeg
    assert run("encode", png, "--size", 1500, "--effort", 0, "-o", "small.npeg").status == 0
    assert Path("small.npeg").stat().st_size <= 1500
    done = run("encode", png, "--codec", "dither", "-e", 0, "-o", "d.npeg")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "found --effort for dither, which has one: leave it out" in done.err


def test_each_tune_writes_a_file_of_its_own(run, png, photo, photo_npeg):
    assert photo_npeg == npeg.encode(photo, 50, tune="visual")
    assert run("encode", png, "-q", 50, "--tune", "psnr", "-o", "exact.npeg").status == 0
    assert Path("exact.npeg").read_bytes() == npeg.encode(photo, 50, tune="psnr") != photo_npeg
    assert run("encode", png, "--size", 1500, "--tune", "psnr", "-o", "small.npeg").status == 0
    assert Path("small.npeg").stat().st_size <= 1500
    done = run("encode", png, "--codec", "dither", "--tune", "psnr", "-o", "d.npeg")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "found --tune for dither, which has one: leave it out" in done.err
    assert not Path("d.npeg").exists()


@pytest.mark.parametrize(
    ("name", "image_format"),
    [("x.png", "PNG"), ("x.jpg", "JPEG"), ("x.WEBP", "WEBP"), ("new/folder/x.bmp", "BMP")],
)
def test_decode_chooses_the_format_by_the_extension(run, photo_npeg, name, image_format):
    Path("x.npeg").write_bytes(photo_npeg)
    assert run("decode", "x.npeg", "-o", name).status == 0
    with Image.open(name) as image:
        assert image.format == image_format


def test_an_unknown_extension_is_refused_before_decoding(run, photo_npeg, monkeypatch):
    monkeypatch.setattr(codec, "decode_pixels", lambda data: pytest.fail("decoded"))
    Path("x.npeg").write_bytes(photo_npeg)
    done = run("decode", "x.npeg", "-o", "x.xyz")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "found the output x.xyz, expected .png" in done.err


def test_targets_are_met(run, png):
    for option, value in [("--bpp", "1.2"), ("--size", "1.5kB"), ("--psnr", "28")]:
        assert run("encode", png, option, value, "-o", "t.npeg", "-f").status == 0
        size = Path("t.npeg").stat().st_size
        assert size <= {"--bpp": 1.2 * 96 * 128 / 8, "--size": 1500}.get(option, size)


def test_folders_keep_their_structure_with_two_workers(run, folder):
    done = run("encode", "in", "-o", "out", "-j", 2, "--json")
    left_out = "npeg: warning: 1 file of other kinds left out: in/notes.txt\n"
    assert (done.status, done.err) == (0, left_out)
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [r["output"] for r in records] == [
        os.path.join("out", *p) for p in [("a.npeg",), ("deep", "b.npeg"), ("deep", "c.npeg")]
    ]
    assert tree(Path("out")) == ["a.npeg", "deep/b.npeg", "deep/c.npeg"]
    assert run("decode", "out", "--quiet").out == ""
    assert tree(Path("out/deep")) == ["b.npeg", "b.png", "c.npeg", "c.png"]


def test_globs_that_no_shell_expanded_are_expanded(run, folder):
    done = run("encode", "in/deep/*", "-o", "out")
    assert done.status == 0
    assert tree(Path("out")) == ["b.npeg", "c.npeg"]
    assert "found no file of this pattern" in run("encode", "in/*.bmp").err


def test_a_name_with_brackets_is_a_name_first(run, png):
    png.rename("photo[1].png")
    assert run("encode", "photo[1].png").status == 0
    assert Path("photo[1].npeg").exists()


def test_json_is_one_object_a_line(run, png, photo):
    record = json.loads(run("encode", png.name, "--json").out)
    assert list(record) == KEYS
    assert (record["height"], record["width"]) == photo.shape[:2]
    assert record["size_bytes"] == Path("photo.npeg").stat().st_size
    assert record["rate_bpp"] == pytest.approx(8 * record["size_bytes"] / (96 * 128), rel=1e-4)
    decoded = json.loads(run("decode", "photo.npeg", "-f", "--json", "-o", "b.png").out)
    assert list(decoded) == KEYS
    assert decoded["size_bytes"] == record["size_bytes"]
    told = json.loads(run("info", "photo.npeg", "--json").out)
    assert (told["quality"], told["channels"], told["model_id"]) == (75, 3, networks.DEFAULT_MODEL)
    assert told["sections"][0]["size_bytes"] < told["size_bytes"]


def test_info_is_one_line_a_file(run, photo_npeg):
    for name in ("a.npeg", "b.npeg"):
        Path(name).write_bytes(photo_npeg)
    lines = run("info", "a.npeg", "b.npeg").out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("a.npeg  128x96 RGB  ")
    assert "quality 50  1 tile" in lines[0]


def test_standard_streams_are_pipes_of_bytes(spawn, png, photo_npeg):
    encoded = spawn("encode", "-", "-q", 50, input=png.read_bytes())
    assert (encoded.returncode, encoded.stdout) == (0, photo_npeg)
    assert encoded.stderr.decode().startswith("- -> -  ")
    decoded = spawn("decode", "-", input=photo_npeg)
    pixels = np.asarray(Image.open(io.BytesIO(decoded.stdout)))
    np.testing.assert_array_equal(pixels, npeg.decode(photo_npeg))


def test_a_device_is_written_to_and_not_replaced(run, png):
    assert run("encode", png, "-o", os.devnull).status == 0
    assert not os.path.isfile(os.devnull)


def test_a_progress_bar_is_drawn_on_a_terminal_and_lines_stay_whole(folder):
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "npeg", "encode", "in", "-o", "out"]
    with subprocess.Popen(
        command, cwd=folder.parent, env=environment(), stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.read().decode().splitlines()
    assert b"/3 [" in os.read(ours, 100_000)
    os.close(theirs)
    os.close(ours)
    assert [line.split(" -> ")[1].split("  ")[0][4:] for line in lines] == [
        "a.npeg", "deep/b.npeg", "deep/c.npeg",
    ]  # fmt: skip


# --- what it never does ---


def test_an_existing_file_is_not_overwritten_without_force(run, png):
    Path("photo.npeg").write_bytes(b"precious")
    done = run("encode", png.name)
    assert (done.status, done.out) == (1, "")
    assert done.err == "npeg: photo.png: photo.npeg exists (-f overwrites it)\n"
    assert Path("photo.npeg").read_bytes() == b"precious"
    assert run("encode", png.name, "-f").status == 0
    assert Path("photo.npeg").read_bytes() != b"precious"


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    output = tmp_path / "x"
    output.write_bytes(b"precious")
    with pytest.raises(npeg.NpegError, match="-f overwrites it"):
        files.write(str(output), b"new", force=False)
    assert output.read_bytes() == b"precious"


def test_two_inputs_never_share_an_output(run, photo, png):
    Image.fromarray(photo).save("photo.jpg")
    done = run("encode", "photo.png", "photo.jpg")
    assert done.status == 1
    assert "npeg: photo.jpg: found the output photo.npeg taken by photo.png" in done.err
    assert Path("photo.npeg").exists()


def test_an_input_is_never_its_own_output(run, png):
    before = png.read_bytes()
    assert run("encode", "photo.png", "-o", "photo.png", "-f").status == 1
    assert png.read_bytes() == before
    png.rename("photo.npeg")
    done = run("encode", "photo.npeg", "-f")
    assert done.status == 1
    assert "found the input itself" in done.err
    assert Path("photo.npeg").read_bytes() == before


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(run, png, monkeypatch, failure):
    def fail(*_: object) -> None:
        raise failure

    Path("photo.npeg").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    done = run("encode", png.name, "-f")
    assert done.status == (130 if failure is KeyboardInterrupt else 1)
    assert (done.err.startswith("npeg: "), done.err.count("\n")) == (True, 1)
    assert tree(Path()) == ["photo.npeg", "photo.png"]
    assert Path("photo.npeg").read_bytes() == b"old"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_stops_all_workers_with_one_line_and_no_partial_file(photo, tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(300):
        Image.fromarray(photo).save(tmp_path / f"in/{i:03}.png", compress_level=1)
    command = [sys.executable, "-m", "npeg", "encode", "in", "-o", "out", "-j", "2", "--quiet"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not list(tmp_path.glob("out/*.npeg")) and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (130, b"npeg: interrupted\n")
    done = tree(tmp_path / "out")
    assert 0 < len(done) < 300
    assert all(name.endswith(".npeg") for name in done)
    for name in done[-3:]:
        npeg.info((tmp_path / "out" / name).read_bytes())


def test_bytes_are_not_written_to_a_terminal(run, png, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = run("encode", png, "-o", "-")
    assert (done.status, done.out) == (1, "")
    assert "found a terminal as standard output" in done.err


# --- arguments ---


@pytest.mark.parametrize(
    "args",
    [
        ["encode"], ["encode", "x.png", "-q", "101"], ["encode", "x.png", "-q", "nan"],
        ["encode", "x.png", "--size", "40 parsecs"], ["encode", "x.png", "--bpp", "0"],
        ["encode", "x.png", "--bpp", "1", "--psnr", "30"], ["encode", "x.png", "-j", "0"],
        ["encode", "x.png", "--threads", "0"], ["encode", "x.png", "-f", "--skip-existing"],
        ["transcode", "x.png"], [],
    ],
)  # fmt: skip
def test_wrong_usage_is_status_2(run, args):
    done = run(*args)
    assert done.status == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["encode", "a.png", "b.png", "-o", "-"], "found several inputs for the output -"),
        (["encode", "-", "b.png"], "found - among other inputs, expected it alone"),
    ],
)
def test_names_that_do_not_fit_are_one_line(run, args, text):
    done = run(*args)
    assert done.status == 1
    assert done.err.startswith(f"npeg: {text}")


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("40kB", 40_000),
        ("40k", 40_000),
        ("1.5MB", 1_500_000),
        ("2 KiB", 2048),
        ("777", 777),
        ("1e9", 10**9),
        ("2.5e3", 2500),
        ("3gb", 3 * 10**9),
    ],
)
def test_sizes_are_read_with_their_units(text, size_bytes):
    assert arguments.size(text) == size_bytes


# --- start-up ---


def test_help_and_version_import_nothing_heavy_and_are_quick():
    code = (
        "import sys, npeg.cli\n"
        "try: npeg.cli.main(['--help'])\n"
        "except SystemExit: assert not {'numpy', 'PIL', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"encode" in done.stdout
    command = "import runpy, sys; sys.argv[1:] = ['--help']; runpy.run_module('npeg')"
    assert min(cpu_seconds(f"{command}") for _ in range(3)) < 0.15


def test_version_is_that_of_the_package(run):
    assert run("--version").out == run("-V").out == f"npeg {npeg.__version__}\n"


def test_training_without_pytorch_is_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("npeg.training.")]:
        monkeypatch.delitem(sys.modules, name)
    done = run("train", "--images", ".", "--out", "out")
    assert done.status == 1
    assert done.err == 'npeg: training needs PyTorch: pip install "npeg[train]"\n'
