"""The reference decoder and npeg beside the conformance folder; the command that runs others."""

import ast
import csv
import io
import shlex
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import npeg
from npeg import conformance

ROOT = Path(__file__).parents[1]
GOLDEN, REFERENCE = ROOT / "tests" / "golden", ROOT / "reference"
ROWS = conformance.read_table(GOLDEN)
SOUND, BAD = [row for row in ROWS if row.sound], [row for row in ROWS if not row.sound]
QUICK = 2600  # pixels of files that the reference decoder decodes here
CONTENTS = [field.name for field in fields(conformance.Row)]


@pytest.fixture(scope="module")
def decode():
    """The reference decoder's main module; its own modules leave again."""
    before = set(sys.modules)
    sys.path.insert(0, str(REFERENCE))
    yield import_module("decode")
    sys.path.remove(str(REFERENCE))
    for name in set(sys.modules) - before:
        if (REFERENCE / f"{name}.py").exists():
            del sys.modules[name]


def named(row: conformance.Row) -> str:
    return Path(row.file).stem


def expected(row: conformance.Row) -> np.ndarray:
    return conformance.read_pixels(GOLDEN / row.pixels)


# --- the folder ---


def test_the_table_names_every_file_and_the_folder_is_small():
    files = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.npeg")}
    assert {row.file for row in ROWS} == files
    pictures = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.png")}
    assert {row.pixels for row in ROWS} - {"-"} == pictures
    assert len(SOUND) > 25 and len(BAD) > 50
    assert sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()) < 300_000


@pytest.mark.parametrize("row", SOUND, ids=named)
def test_npeg_decodes_what_is_sound(row):
    pixels = npeg.decode(GOLDEN / row.file, dtype=f"uint{row.depth}")
    assert conformance.shape_of(pixels) == f"{row.width}x{row.height}x{row.channels}"
    if row.pixels != "-":
        assert conformance.difference(pixels, expected(row)) <= float(row.tolerance)


@pytest.mark.parametrize("row", BAD, ids=named)
def test_npeg_refuses_what_is_bad(row):
    with pytest.raises(npeg.NpegError, match=r"^[^\n]+$"):
        npeg.decode(GOLDEN / row.file)


# --- the reference decoder ---


def test_the_reference_decoder_needs_numpy_and_the_standard_library_alone():
    own = {path.stem for path in REFERENCE.glob("*.py")}
    for path in REFERENCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert roots <= {"numpy", *own, *sys.stdlib_module_names}, path
    assert not own & {path.stem for path in (ROOT / "tests").glob("*.py")}
    assert not own & sys.stdlib_module_names


@pytest.mark.parametrize(
    "row", [row for row in SOUND if int(row.width) * int(row.height) <= QUICK], ids=named
)
def test_the_reference_decoder_decodes_what_is_sound(row, decode):
    picture = decode.read((GOLDEN / row.file).read_bytes(), decode.MODELS, 10**6)
    assert decode.digest(picture) == row.symbols
    with Image.open(io.BytesIO(decode.png(picture.pixels()))) as image:
        assert image.size == (int(row.width), int(row.height))
    pixels = picture.pixels().squeeze(axis=2) if row.channels == "1" else picture.pixels()
    assert conformance.difference(pixels, expected(row)) <= float(row.tolerance) / 2


@pytest.mark.parametrize("row", BAD, ids=named)
def test_the_reference_decoder_refuses_what_is_bad(row, decode):
    with pytest.raises(import_module("refused").Refused, match=r"^[^\n]+$"):
        decode.read((GOLDEN / row.file).read_bytes(), decode.MODELS, 2**32)


def test_tiles_with_what_is_near_them_give_the_whole_picture(decode):
    data = (GOLDEN / "sound" / "mixed.npeg").read_bytes()
    picture = decode.read(data, decode.MODELS, 10**6)
    whole, parts = (picture.pixels(by_tiles).astype(int) for by_tiles in (False, True))
    assert abs(whole - parts).max() <= 1


def test_the_reference_decoder_as_a_program(tmp_path):
    def run(file, *others):
        command = [sys.executable, REFERENCE / "decode.py", file, tmp_path / "out.png", *others]
        return subprocess.run(command, capture_output=True, text=True)

    bad = run(GOLDEN / "bad" / "cut-section.npeg")
    assert bad.returncode == 1 and bad.stderr.count("\n") == 1 and not bad.stdout
    assert not list(tmp_path.iterdir())
    (row,) = (row for row in ROWS if row.file == "pixel-1x1-q100-model8.npeg")
    done = run(GOLDEN / row.file, "--symbols")
    assert (done.returncode, done.stdout.strip()) == (0, row.symbols)
    large = run(GOLDEN / row.file, "--max-pixels", "0")
    assert large.returncode == 1 and "too many" in large.stderr


# --- the command, with decoders that copy ---


@pytest.fixture
def folder(tmp_path):
    """A folder of files that are PNG files already."""
    made = tmp_path / "files"
    made.mkdir()
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    off = pixels.copy()
    off[2, 3, 1] += 3
    for name, picture in (("right", pixels), ("off", off), ("wide", pixels[:4])):
        Image.fromarray(picture).save(made / f"{name}.png")
    return made


def table(folder: Path, *rows: tuple[object, ...]) -> None:
    with open(folder / "conformance.tsv", "w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows([CONTENTS, *rows])


def sound(file: str, pixels: str = "right.png", tolerance: int = 2) -> tuple[object, ...]:
    return (file, 7, 5, 3, 8, tolerance, "a" * 64, pixels, "a picture")


def bad(file: str) -> tuple[object, ...]:
    return (file, *"-------", "it is bad")


def test_a_decoder_that_is_right_passes(run, folder):
    table(folder, sound("right.png"), sound("off.png", tolerance=3), bad("missing.png"))
    done = run("conformance", "cp {file} {output}", "--folder", folder)
    assert done.status == 0
    assert done.out.splitlines()[-1] == "3 files: 3 passed, 0 failed"
    assert "within 3 of 3 levels" in done.out and "refused: it is bad" in done.out


@pytest.mark.parametrize(
    ("row", "command", "message"),
    [
        (sound("off.png"), "cp {file} {output}", "off by 3 levels, at most 2"),
        (sound("wide.png"), "cp {file} {output}", "7x4x3 pixels, expected 7x5x3"),
        (sound("missing.png"), "cp {file} {output}", "not decoded, exit status 1"),
        (sound("right.png"), "echo {file} {output}", "not decoded, exit status 0"),
        (sound("right.png"), "sh -c 'echo no > {output}; test -f {file}'", "not read"),
        (bad("right.png"), "cp {file} {output}", "not refused: it is bad"),
        (bad("right.png"), "sh -c 'cp {file} {output}; exit 1'", "an output file is there"),
        (bad("right.png"), "sh -c 'test -f {file}; kill -9 $$; : {output}'", "by signal 9"),
    ],
)
def test_a_decoder_that_is_wrong_fails(run, folder, row, command, message):
    table(folder, row)
    done = run("conformance", command, "--folder", folder)
    assert done.status == 1
    assert message in done.out and "0 passed, 1 failed" in done.out


def test_symbols_are_compared_if_that_is_asked_for(run, folder):
    table(folder, sound("right.png"))
    for letter, status in (("a", 0), ("b", 1)):
        command = f"sh -c 'cp {{file}} {{output}}; echo {letter * 64}'"
        assert run("conformance", command, "--folder", folder, "--symbols").status == status
        assert run("conformance", command, "--folder", folder).status == 0


def test_deep_pixels_may_be_given_with_eight_bits():
    deep = np.array([[0, 128, 129, 65535]], np.uint16)
    assert conformance.difference(deep, deep) == 0
    assert conformance.difference(np.array([[0, 0, 1, 255]], np.uint8), deep) == 0
    assert conformance.difference(deep[:, :1] + np.uint16(257), deep[:, :1]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cp {file}",), "found no {output}"),
        (("cp '{file} {output}",), "no command"),
        (("no-such-program {file} {output}",), "cannot run"),
        (("cp {file} {output}", "--folder", "nowhere"), "found no conformance.tsv in nowhere"),
        (("cp {file} {output}", "--only", "nothing*"), "matches nothing*"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line(run, folder, arguments, message):
    table(folder, sound("right.png"))
    others = () if "--folder" in arguments else ("--folder", folder)
    done = run("conformance", *arguments, *others)
    assert done.status == 1 and done.err.count("\n") == 1
    assert message in done.err


def test_npeg_conforms(run):
    command = f"{shlex.quote(sys.executable)} -m npeg decode {{file}} {{output}}"
    done = run("conformance", command, "--folder", GOLDEN, "--only", "*-exact.npeg")
    assert done.status == 0, done.out
