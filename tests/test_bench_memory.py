"""Peak memory of codecs, each in processes of its own, and the check before any timing."""

import numpy as np
import pytest
from PIL import Image
from test_bench_run import bench, encoded, rows  # noqa: F401  # a fixture

from npeg.bench.codecs import find_codec
from npeg.bench.run import memory
from npeg.bench.run.measure import time_point
from npeg.bench.run.photos import find_photos
from npeg.bench.run.store import Point
from npeg.errors import NpegError

linux = pytest.mark.skipif(memory.missing() is not None, reason=str(memory.missing()))
MIB = 1 << 20


@pytest.fixture()
def photo(tmp_path):
    """A photograph of 3 MiB, in a folder of its own."""
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((1024, 1024, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    return find_photos([tmp_path / "images"])[0]


def point(photo, name):
    codec = find_codec(name)
    return Point(photo, codec.spec, codec.version(), 1, 100.0)


@linux
def test_memory_is_what_the_codec_adds(photo, encoded, monkeypatch):  # noqa: F811
    plain = memory.memory_of_point(point(photo, "raw"), "here")
    monkeypatch.setenv("RAW_MIB", "64")
    held = np.ones(200 * MIB, np.uint8)  # this process's own memory is not counted
    large = memory.memory_of_point(point(photo, "raw"), "here")
    del held
    # encoding: 3 MiB of samples, and the file of them; decoding: no copy at all
    assert 5 <= plain.encode_memory_mib < 30
    assert 0 <= plain.decode_memory_mib < 20
    assert large.encode_memory_mib == pytest.approx(64, abs=6)  # freed before the file is made
    assert large.decode_memory_mib == pytest.approx(plain.decode_memory_mib, abs=4)


@linux
def test_memory_is_measured_once_and_kept(photo, tmp_path, monkeypatch):
    command = ["--images", photo.path, "--out", tmp_path / "out", "--codecs", "png"]
    assert bench(*command, "--metrics", "psnr,memory") == 0
    monkeypatch.setattr("npeg.bench.run.runner.memory_of_point", None)
    assert bench(*command, "--metrics", "psnr,memory") == 0
    for row in rows(tmp_path / "out" / "results.tsv"):
        assert float(row["encode_memory_mib"]) > 1
        assert float(row["decode_memory_mib"]) > 1
    text = (tmp_path / "out" / "results.tsv").read_text()
    assert "# memory: peak resident MiB of a new process" in text
    assert "# machine: " in text


@linux
def test_a_process_that_dies_is_reported(photo, encoded):  # noqa: F811
    with pytest.raises(NpegError, match="the process died"):
        memory.memory_of_point(point(photo, "dies"), "here")


def test_memory_is_refused_where_it_cannot_be_known(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "PROCESS", tmp_path / "nothing")
    assert bench("--images", photo.path, "--metrics", "psnr,memory") == 1
    assert capsys.readouterr().err == (
        "npeg: peak memory is not available here: "
        "it is read from /proc/self/status, which Linux has\n"
    )


@pytest.mark.parametrize("measured", [time_point, memory.memory_of_point])
def test_what_does_not_come_back_right_is_neither_timed_nor_weighed(
    measured,
    photo,
    encoded,  # noqa: F811
):
    if measured is memory.memory_of_point and memory.missing():
        pytest.skip("Linux only")
    options = [3] if measured is time_point else []
    with pytest.raises(NpegError, match="pixels differ after decoding"):
        measured(point(photo, "lies"), "here", *options)
    assert len(encoded.read_text().split()) == 1  # not once for the clock
