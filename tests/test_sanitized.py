"""The compiled loops touch nothing beyond their buffers: built with sanitizers, on bad payloads."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import ROOT, environment

CODE = """
import importlib.machinery, importlib.util, random, sys
import numpy as np
import npeg
from npeg.errors import FormatError

loader = importlib.machinery.ExtensionFileLoader("npeg._rans", sys.argv[1])
spec = importlib.util.spec_from_loader("npeg._rans", loader)
npeg._rans = sys.modules["npeg._rans"] = importlib.util.module_from_spec(spec)
from npeg import entropy, rans

assert rans.kernel.__file__ == sys.argv[1]
rng, some = random.Random(1), np.random.default_rng(1)
tables = entropy.Tables([entropy.quantize_probabilities(some.dirichlet([.2] * 60)) for _ in "abc"])
groups = [(some.integers(-40, 41, n), some.integers(0, 3, n)) for n in (50, 0, 300)]
good = entropy.encode(groups, tables, lanes=4)
outcomes = {"read": 0, "refused": 0}
for _ in range(400):
    bad = bytearray(good)
    for _ in range(rng.choice((0, 1, 3))):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    bad = bytes(bad[: rng.choice((len(bad), rng.randrange(len(bad)))) ])
    try:
        decoder = entropy.Decoder(bad, tables)
        for number, (_, indexes) in enumerate(groups):
            decoder.decode(indexes, last=number == 2)
        outcomes["read"] += 1
    except FormatError:
        outcomes["refused"] += 1
for wrong in ([], [1 << 62], [-1], [3]):  # rows, widths and indexes that no caller should give
    array, states = np.array(wrong, np.int64), np.full(1, 1 << 16, np.int64)
    for call in (
        lambda: tables.lookup.pop(array, states, np.zeros(1, np.uint16)),
        lambda: tables.lookup.push(array * 61, states, np.zeros(1, np.uint16)),
        lambda: rans.split(np.zeros(2, np.uint8), array),
        lambda: rans.kernel.join(array, array, np.zeros(2, np.uint8)),
    ):
        try:
            call()
        except ValueError:
            pass
print(outcomes)
"""


def sanitizer() -> str | None:
    """Return the path of the address sanitizer's library, or None."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        return None
    command = ["gcc", "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return found if os.path.isabs(found) else None


@pytest.mark.skipif(sanitizer() is None, reason="gcc and its address sanitizer are not installed")
def test_bad_payloads_are_read_or_refused_under_the_sanitizers(tmp_path: Path) -> None:
    built = tmp_path / "_rans.abi3.so"
    include = sysconfig.get_paths()["include"]
    command = ["gcc", "-shared", "-fPIC", "-O1", "-g", "-fsanitize=address,undefined"]
    command += ["-fno-sanitize-recover=all", f"-I{include}", "-o", str(built)]
    subprocess.run([*command, str(ROOT / "npeg" / "_rans.c")], check=True)
    options = {"LD_PRELOAD": str(sanitizer()), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(built)],
        env=environment() | options,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = [int(word.strip("},")) for word in done.stdout.split() if word.strip("},").isdigit()]
    assert sum(counts) == 400
    assert all(count > 20 for count in counts)
