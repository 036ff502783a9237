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

for path in sys.argv[1:]:
    name = "npeg." + path.rpartition("/")[2].partition(".")[0]
    loader = importlib.machinery.ExtensionFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    setattr(npeg, name[5:], sys.modules[name])
from npeg import entropy, planes, rans, residual, residual_order

kernels = rans.kernel, planes.kernel, residual_order.kernel
assert [kernel.__file__ for kernel in kernels] == sys.argv[1:]
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
shapes, bounds = [(1, 9, 12), (3, 5, 40)], (np.zeros(3, np.int64), np.full(3, 255))
stacks = [some.integers(0, 4, shape).astype(np.int32) * 80 for shape in shapes]
weights = some.integers(-2000, 2000, (3, 8))
for stack in stacks:
    ends = tuple(bound[: len(stack)] for bound in bounds)
    for method in (planes.Method(), planes.Method(False, False, weights=weights[: len(stack)])):
        good = planes.encode(stack, method, ends)
        for _ in range(100):
            bad = bytearray(good)
            for _ in range(rng.choice((0, 1, 3))):
                bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
            try:
                planes.decode(bytes(bad), stack.shape, ends)
                outcomes["read"] += 1
            except FormatError:
                outcomes["refused"] += 1
for shape in ((1, 8, 8, 3, 5), (3, 8, 8, 1, 1), (3, 8, 8, 9, 4)):
    symbols = np.rint(some.laplace(0, 2, shape)).astype(np.int32)
    wanted = residual.Residual(symbols, (20,) * shape[0])
    size = 8 * shape[3], 8 * shape[4], shape[0]
    assert (residual.unpack(residual.pack(wanted), *size).symbols == symbols).all()
print(outcomes)
"""


NAMES = ("_rans", "_planes", "_residual")


def sanitizer() -> str | None:
    """Return the path of the address sanitizer's library, or None."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        return None
    command = ["gcc", "-print-file-name=libasan.so"]
    found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return found if os.path.isabs(found) else None


@pytest.mark.skipif(sanitizer() is None, reason="gcc and its address sanitizer are not installed")
def test_bad_payloads_are_read_or_refused_under_the_sanitizers(tmp_path: Path) -> None:
    built = [str(tmp_path / f"{name}.abi3.so") for name in NAMES]
    include = sysconfig.get_paths()["include"]
    command = ["gcc", "-shared", "-fPIC", "-O1", "-g", "-fsanitize=address,undefined"]
    command += ["-fno-sanitize-recover=all", f"-I{include}"]
    for path in built:
        source = ROOT / "npeg" / Path(path).name.replace(".abi3.so", ".c")
        subprocess.run([*command, "-o", path, str(source)], check=True)
    options = {"LD_PRELOAD": str(sanitizer()), "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *built],
        env=environment() | options,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    counts = [int(word.strip("},")) for word in done.stdout.split() if word.strip("},").isdigit()]
    assert sum(counts) == 800
    assert all(count > 20 for count in counts)
