"""Bad input on the command line: one line, exit status 1, no output file, little memory."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import environment, tree
from PIL import Image

from npeg import codec, container


def bad_npeg_files(good: bytes) -> list[tuple[str, bytes]]:
    """Return files that must be refused, each after a part of what must be said."""
    header = container.read_header(good)
    large = replace(header, width=8000, height=8000)

    def forged(**fields: Any) -> bytes:
        return container.pack_header(replace(header, **fields)) + good[container.HEADER_SIZE :]

    flipped = [("damaged", flip(good, at)) for at in (8, 12, 19, len(good) // 2, len(good) - 1)]
    cut = [("truncated", good[: len(good) * part // 8]) for part in range(1, 8)]
    return flipped + cut + [
        ("starts with nothing", b""),
        ("starts with 89504e47", b"\x89PNG\r\n\x1a\n" + bytes(99)),
        ("starts with 4e504558", b"NPEX" + good[4:]),
        ("version 2", good[:4] + b"\2" + good[5:]),
        ("million", forged(width=60_000, height=60_000)),
        ("1 of 64 tiles", container.write(large, container.read_tiles(good)[1])),
        ("longer", good + bytes(10_000_000)),
        (MODEL, forged(model_id=250)),
        (PAYLOAD, forged(width=2048, height=2048, tile_size=2048)),
        (PAYLOAD, forged(width=1, height=1)),
    ]  # fmt: skip


MODEL = "model 250"
PAYLOAD = "bad.npeg: "  # the payload is another image's: what is said depends on the weights
DECODING_SHOWS = (MODEL, PAYLOAD)  # what info does not look for


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("command", ["decode", "info"])
def test_every_bad_npeg_file_gives_one_line_and_no_output(run, photo_npeg, command):
    for text, data in bad_npeg_files(photo_npeg):
        if command == "info" and text in DECODING_SHOWS:
            continue
        Path("bad.npeg").write_bytes(data)
        done = run(command, "bad.npeg")
        assert (done.status, done.out) == (1, ""), text
        assert done.err.startswith("npeg: bad.npeg: "), text
        assert done.err.count("\n") == 1, text
        assert text in done.err
        assert tree(Path()) == ["bad.npeg"], text


def test_every_bad_image_gives_one_line_and_no_output(run, png, photo, photo_npeg):
    whole = png.read_bytes()
    png.unlink()
    Path("cut.png").write_bytes(whole[: len(whole) // 2])
    Path("start.png").write_bytes(whole[:20])
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("no picture")
    Path("already.png").write_bytes(photo_npeg)
    Path("a.pictures").mkdir()
    for name in [*tree(Path()), "missing.png", "a.pictures"]:
        done = run("encode", name, "-o", "out")
        assert (done.status, done.out) == (1, ""), name
        assert done.err.startswith(f"npeg: {name}: found "), name
        assert "expected" in done.err or "damaged" in done.err, done.err
        assert done.err.count("\n") == 1, name
        assert not Path("out").exists()


def test_bad_files_take_no_more_than_200_mib(photo_npeg, tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory of a process is read from Linux's /proc")
    for i, (_, data) in enumerate(bad_npeg_files(photo_npeg)):
        (tmp_path / f"{i}.npeg").write_bytes(data)
    code = (  # VmHWM, because ru_maxrss begins with that of the process that started this one
        "import re, npeg.cli; status = npeg.cli.main(['decode', '.']); "
        "print(status, re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True
    )
    status, kib = done.stdout.split()
    assert status == b"1"
    assert int(kib) < 200 * 1024
    assert not list(tmp_path.glob("*.png"))
    assert b"Traceback" not in done.stderr


def test_one_bad_file_does_not_stop_the_others(run, folder):
    (folder / "b.png").write_text("no picture")
    (folder / "notes.txt").unlink()
    done = run("encode", folder, "-o", "out")
    assert done.status == 1
    assert done.err.count("\n") == 1
    assert len(tree(Path("out"))) == 3


def test_a_file_from_nowhere_is_one_line_too(spawn):
    done = spawn("decode", "-", input=b"no such format")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"npeg: -: not an NPEG file: starts with 6e6f2073\n"


def test_lost_metadata_is_one_warning_line(run, photo):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.fromarray(photo).save("x.jpg", exif=exif, xmp=b"<x/>")
    assert run("encode", "x.jpg").err == ""  # all is carried
    done = run("decode", "x.npeg", "-o", "x.bmp")
    assert done.status == 0
    assert done.err == "npeg: warning: x.npeg: BMP does not hold EXIF and XMP, which the file has\n"
    assert run("decode", "x.npeg", "-o", "x.bmp", "-f", "--quiet").err == ""
    assert run("info", "x.npeg").out.endswith("  EXIF  XMP\n")
    run("decode", "x.npeg", "-o", "x.webp")
    with Image.open("x.webp") as image:
        assert image.getexif()[0x010F] == "a camera"
    assert run("encode", "x.jpg", "-f", "--strip").err == ""
    assert json.loads(run("info", "x.npeg", "--json").out)["metadata"] == []


def test_a_bug_in_one_file_is_one_line_too(run, photo_npeg, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr(codec, "decode_pixels", fail)
    Path("x.npeg").write_bytes(photo_npeg)
    done = run("decode", "x.npeg")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "a bug in npeg" in done.err
    assert "RuntimeError: surprise" in done.err
