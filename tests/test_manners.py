"""The command line among other programs: streams, links, batches that go on, names and flags."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import environment, tree
from PIL import Image

import npeg
from npeg import cli, files, jobs, more_formats, threads
from npeg.errors import InputError

posix = pytest.mark.skipif(os.name != "posix", reason="streams, modes and signals of POSIX")


@pytest.fixture
def shell(tmp_path: Path, png: Path):
    """Run a line of the shell in the folder of photo.png, `npeg` being this npeg."""

    def run_line(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        line = f'npeg() {{ "{sys.executable}" -m npeg "$@"; }}\n{line}'
        return subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment() | variables,
        )

    return run_line


# --- the environment ---


@pytest.mark.parametrize("text", ["abc", "-1", "0", "2.5", "1e3", "99999", "²"])
def test_a_wrong_number_of_threads_is_one_line_that_names_the_variable(run, monkeypatch, text):
    monkeypatch.setenv("NPEG_THREADS", text)
    done = run("info", "x.npeg")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(f"npeg: NPEG_THREADS is {text!r}, expected 1 to ")


def test_an_empty_number_of_threads_is_none(monkeypatch):
    monkeypatch.delenv("NPEG_THREADS", raising=False)
    cores = threads.thread_count()
    for text in ("", " "):
        monkeypatch.setenv("NPEG_THREADS", text)
        assert threads.thread_count() == cores
    monkeypatch.setenv("NPEG_THREADS", " 3 ")
    assert threads.thread_count() == 3


def test_the_flag_goes_before_the_variable_and_leaves_it_alone(run, png, monkeypatch):
    seen = []
    monkeypatch.setattr(files, "write", lambda *_: seen.append(threads.thread_count()))
    for before in (None, "abc", "2"):
        if before:
            monkeypatch.setenv("NPEG_THREADS", before)
        assert run("encode", png, "--threads", 5).status == 0
        assert os.environ.get("NPEG_THREADS") == (before or None)
    assert seen == [5, 5, 5]


# --- streams ---


@posix
def test_closed_streams_hurt_only_where_they_are_needed(shell, photo_npeg):
    done = shell("npeg encode photo.png -q 50 >&- && cat photo.npeg | npeg info -")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("npeg encode photo.png -o - >&-")
    assert done.stderr == "npeg: found standard output closed, expected a pipe or -o OUT\n"
    done = shell("npeg encode - -o x.npeg <&-")
    line = "npeg: -: found standard input closed, expected a pipe or a file's name\n"
    assert (done.returncode, done.stderr) == (1, line)
    done = shell("npeg encode photo.png -o - -q 50 2>&- | npeg info - --json")
    assert json.loads(done.stdout)["size_bytes"] == len(photo_npeg)
    assert shell("npeg encode photo.png -f <&- >&- 2>&-; npeg info photo.npeg").returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device_is_one_line_that_names_it(shell):
    full = "cannot be written: No space left on device\n"
    for line, text in [
        ("npeg encode photo.png -o - > /dev/full", f"npeg: photo.png: standard output {full}"),
        ("npeg encode photo.png -o /dev/full", f"npeg: photo.png: /dev/full {full}"),
        ("npeg encode photo.png > /dev/full", f"npeg: standard output {full}"),
        ("npeg --help > /dev/full", f"npeg: standard output {full}"),
    ]:
        done = shell(line)
        assert (done.returncode, done.stderr) == (1, text)
    assert shell("npeg encode missing.png 2> /dev/full").returncode == 1


@posix
def test_a_link_to_standard_output_is_standard_output(shell, photo_npeg, tmp_path):
    (tmp_path / "out").symlink_to("/dev/fd/1")
    done = shell("(echo head; npeg encode photo.png -q 50 -o out --quiet; echo tail) > both")
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "both").read_bytes() == b"head\n" + photo_npeg + b"tail\n"
    assert (tmp_path / "out").is_symlink()
    done = shell("npeg encode /dev/stdin -q 50 --quiet < photo.png > copy")
    assert (tmp_path / "copy").read_bytes() == photo_npeg


# --- links, modes and times ---


@posix
def test_links_and_modes_of_an_overwritten_file_stay(run, png):
    Path("real").mkdir()
    Path("real/t.npeg").write_text("old")
    Path("real/t.npeg").chmod(0o600)
    Path("link.npeg").symlink_to("real/t.npeg")
    os.link("real/t.npeg", "hard.npeg")
    assert run("encode", png, "-o", "link.npeg", "-f").status == 0
    assert Path("link.npeg").is_symlink()
    data = Path("real/t.npeg").read_bytes()
    assert npeg.info(data)
    assert Path("hard.npeg").read_bytes() == data
    assert stat.S_IMODE(os.stat("hard.npeg").st_mode) == 0o600
    Path("dangling.npeg").symlink_to("real/new.npeg")
    assert run("encode", png, "-o", "dangling.npeg").status == 0
    assert Path("real/new.npeg").read_bytes() == data
    Path("loop.npeg").symlink_to("loop.npeg")
    assert "loop.npeg cannot be written: " in run("encode", png, "-o", "loop.npeg").err
    assert tree(Path("real")) == ["new.npeg", "t.npeg"]


@posix
def test_a_file_of_two_names_gets_its_old_bytes_back_when_the_disk_is_full(tmp_path, monkeypatch):
    output = tmp_path / "x"
    output.write_bytes(b"precious")
    os.link(output, tmp_path / "y")
    fill, calls = files._fill, []

    def fail_once(number: int, data: bytes) -> None:
        calls.append(data)
        fill(number, data[:3])
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        fill(number, data)

    monkeypatch.setattr(files, "_fill", fail_once)
    with pytest.raises(InputError, match="x cannot be written: No space left"):
        files.write(str(output), b"new", force=True)
    assert output.read_bytes() == b"precious"
    assert tree(tmp_path) == ["x", "y"]


@posix
def test_times_and_mode_of_the_input_are_kept_on_demand(run, png):
    png.chmod(0o640)
    os.utime(png, (1e9, 1e9))
    assert run("encode", png, "-o", "a.npeg").status == 0
    assert os.stat("a.npeg").st_mtime > 1.5e9
    assert run("encode", png, "-o", "a.npeg", "-f", "-p").status == 0
    assert os.stat("a.npeg").st_mtime == 1e9
    assert stat.S_IMODE(os.stat("a.npeg").st_mode) == 0o640


# --- batches ---


def test_a_batch_goes_on_where_it_stopped(run, folder):
    names = [str(folder / name) for name in ("a.png", "deep/b.jpg")]
    assert run("encode", names[0], "-o", "out/").status == 0
    before = Path("out/a.npeg").stat().st_mtime_ns
    assert run("encode", *names, "-o", "out").status == 1  # named, so it may be a mistake
    done = run("encode", *names, "-o", "out", "--skip-existing", "--json")
    assert done.status == 0
    assert done.err == (
        "npeg: 2 files: 0 written, 2 skipped as they exist (-f overwrites them), 0 failed\n"
    )
    assert [json.loads(line)["skipped"] for line in done.out.splitlines()] == [True, True]
    done = run("encode", folder, "-o", "out", "-j", 2)  # a folder: whatever is in it
    assert (done.status, done.out.count("\n")) == (0, 2)
    assert "3 files: 2 written, 1 skipped" in done.err
    assert Path("out/a.npeg").stat().st_mtime_ns == before
    assert run("encode", folder, "-o", "out", "-f").out.count("\n") == 3


def test_what_a_folder_has_beside_pictures_is_named(run, png, monkeypatch):
    monkeypatch.setattr(more_formats, "extensions", lambda: ())  # as where pillow-heif is missing
    Path("in").mkdir()
    for i in range(10):
        Path(f"in/{i}.heic").touch()
    done = run("encode", "in")
    assert done.status == 1
    assert "found no .jpg or like file below" in done.err
    assert "10 files of other kinds left out: in/0.heic, in/1.heic" in done.err
    assert "in/7.heic, ..." in done.err
    png.rename("in/a.png")
    assert run("encode", "in").status == 0
    assert "9" not in run("encode", "in", "--quiet").err
    for name in Path("in").glob("*.heic"):
        name.unlink()
    assert run("info", "in").err == ""  # a.png is no wonder beside a.npeg
    assert "left out" not in run("encode", "in").err


@posix
def test_links_to_folders_are_followed_once(run, folder):
    (folder / "deep/up").symlink_to(folder)
    other = folder.parent / "other"
    other.mkdir()
    (folder / "a.png").rename(other / "z.png")
    (folder / "linked").symlink_to(other)
    assert run("encode", folder, "-o", "out").status == 0
    assert tree(Path("out")) == ["deep/b.npeg", "deep/c.npeg", "linked/z.npeg"]


def test_pictures_of_one_name_in_a_folder_do_not_collide_silently(run, folder):
    (folder / "a.png").with_suffix(".tif").write_bytes(b"other")
    for _ in range(2):  # nor when the batch is repeated
        done = run("encode", folder, "-o", "out", "--json")
        assert done.status == 1
        assert "a.tif: found the output out/a.npeg taken by " in done.err
        errors = [r for r in map(json.loads, done.out.splitlines()) if "error" in r]
        assert [Path(r["input"]).name for r in errors] == ["a.tif"]


def test_a_file_larger_than_its_source_is_said(run):
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save("b.webp", quality=0)
    done = run("encode", "b.webp", "-q", 100, "--json")
    assert done.status == 0
    assert done.err.startswith("npeg: warning: b.webp: the output is larger, ")
    (text,) = json.loads(done.out)["warnings"]
    assert text.startswith("the output is larger, ")


# --- targets ---


def test_a_score_is_a_target_too(run, png, photo):
    score = pytest.importorskip("npeg.bench.metrics.ssimulacra2").score
    pytest.importorskip("ssimulacra2")
    assert run("encode", png, "--ssimulacra2", 70).status == 0
    data = Path("photo.npeg").read_bytes()
    assert score(photo, npeg.decode(data)) >= 70
    fewer = npeg.encode(photo, npeg.info(data).header.quality - 2)
    assert score(photo, npeg.decode(fewer)) < 70
    Image.fromarray(photo[..., 0]).save("grey.png")
    assert run("encode", "grey.png", "--ssimulacra2", 0).status == 0
    assert npeg.encode(photo, ssimulacra2=70) == data
    assert (
        score(photo, npeg.decode(npeg.encode(photo.astype(np.uint16) * 257, ssimulacra2=60))) > 58
    )
    with pytest.raises(npeg.NpegError, match="ssimulacra2 is 'a', expected a number"):
        npeg.encode(photo, ssimulacra2="a")  # type: ignore[arg-type]
    with pytest.raises(npeg.NpegError, match="several of bpp, size, psnr and ssimulacra2"):
        npeg.encode(photo, ssimulacra2=60, size=500)


def test_a_score_without_its_packages_is_one_line(run, png, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = run("encode", png.name, "--ssimulacra2", 70)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith("npeg: photo.png: a score needs scipy and ssimulacra2: pip ")


# --- ends ---


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_workers_in_the_middle_of_a_large_picture(tmp_path, number):
    pixels = np.random.default_rng(1).integers(0, 256, (2500, 2500, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "0.bmp")
    for i in range(1, 12):
        os.link(tmp_path / "0.bmp", tmp_path / f"{i}.bmp")
    command = [sys.executable, "-m", "npeg", "encode", ".", "-o", "out", "-j", "2"]
    options = {"cwd": tmp_path, "env": environment(), "start_new_session": True}
    with subprocess.Popen(command, stderr=subprocess.PIPE, **options) as process:
        time.sleep(4)
        assert process.poll() is None
        start = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        seconds = time.monotonic() - start
    assert (process.returncode, err) == (128 + number, b"npeg: interrupted\n")
    assert seconds < 2
    with pytest.raises(ProcessLookupError):  # nobody of the group is left, soon
        for _ in range(40):
            os.killpg(process.pid, 0)
            time.sleep(0.1)
    made = [name for name in tree(tmp_path) if not name.endswith(".bmp")]
    assert len(made) < 12
    for name in made:  # whole, or not there
        assert name.endswith(".npeg")
        assert npeg.info((tmp_path / name).read_bytes()).header.width == 2500


@posix
def test_an_end_that_takes_long_is_forced_and_leaves_no_half_file(tmp_path):
    code = (
        "import os, pathlib, time\n"
        "from npeg import files, interrupts\n"
        "with interrupts.prompt():\n"
        "    pathlib.Path('half').touch()\n"
        "    files._temporaries.add('half')\n"
        "    while True:\n"
        "        try: print('ready', flush=True); time.sleep(60)\n"
        "        except KeyboardInterrupt: pass\n"
    )
    options = {"cwd": tmp_path, "env": environment(), "stdout": -1, "stderr": -1}
    with subprocess.Popen([sys.executable, "-c", code], **options) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"npeg: interrupted\n")
    assert tree(tmp_path) == []


# --- names and flags ---


def test_two_names_are_an_input_and_an_output(run, png, photo_npeg):
    assert run("encode", png.name, "x.npeg", "-q", 50).status == 0
    assert Path("x.npeg").read_bytes() == photo_npeg
    assert run("decode", "x.npeg", "new/y.JPG").status == 0
    with Image.open("new/y.JPG") as image:
        assert image.format == "JPEG"
    assert "x.npeg exists (-f overwrites it)" in run("encode", png.name, "x.npeg").err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["encode", "a.png", "b.png", "c.npeg"], "found several inputs before the output c.npeg"),
        (["encode", ".", "c.npeg"], "found several inputs before the output c.npeg"),
        (["encode", "a.png", "b.npeg", "-o", "c"], "found two outputs, b.npeg and -o c"),
        (["decode", "a.npeg", "b.npeg", "c.png"], "found several inputs before the output c.png"),
        (["encode", "a.png", "-o", "b.png"], "found the output b.png, whose name ends in .png"),
        (["encode", "a.png", "-o", "b.HEIC"], "found the output b.HEIC, whose name ends in .HEIC"),
        (["decode", "a.npeg", "-o", "b.npeg"], "found the output b.npeg, whose name ends in .npeg"),
    ],
)
def test_names_that_mean_nothing_together_are_one_line(run, args, text):
    done = run(*args)
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(f"npeg: {text}")
    assert tree(Path()) == []


@pytest.mark.parametrize("flag", ["--qality", "-q", "-j"])
def test_a_wrong_flag_is_answered_with_the_usage_of_its_command(run, flag):
    done = run("decode", "x.npeg", flag, "x")
    assert done.status == 2
    assert done.err.startswith("usage: npeg decode ")


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_has_examples_that_the_parser_takes(run, command):
    done = run(*([command] if command else []), "--help")
    assert done.status == 0
    lines = done.out.split("examples:\n")[1].split("\n\n")[0].splitlines()
    assert lines
    for line in lines:
        words = line.split("npeg ", 1)[1].split("   ")[0].split(" < ")[0].split(" > ")[0].split()
        assert cli._parser(words).parse_args(words).command in cli.COMMANDS
    assert ("NPEG_THREADS" in done.out) == (command != "info")


def test_names_become_jobs_whatever_case_their_extensions_have(tmp_path):
    (tmp_path / "A.JPG").touch()
    kind = jobs.Kind((".jpg",), ".npeg", str)
    (job,) = jobs.plan([str(tmp_path)], None, kind, force=False, skip=False).jobs
    assert job.output == str(tmp_path / "A.npeg")
