"""The compiled loops are the NumPy ones, to the bit, and touch nothing beyond their buffers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npeg import entropy, rans
from npeg.entropy import Decoder, Tables, quantize_probabilities
from npeg.errors import FormatError

kernel = vars(rans)["kernel"]  # the compiled loops, or None
needs_kernel = pytest.mark.skipif(kernel is None, reason="compiled loops are not installed")


@pytest.fixture(scope="module")
def tables() -> Tables:
    rng = np.random.default_rng(0)
    return Tables([quantize_probabilities(rng.dirichlet(np.full(60, 0.2))) for _ in range(5)])


def both(monkeypatch: pytest.MonkeyPatch, run):
    """Return what a call gives with the compiled loops and without."""
    first = run()
    with monkeypatch.context() as patch:
        patch.setattr(rans, "kernel", None)
        return first, run()


@needs_kernel
@pytest.mark.parametrize("lanes", [1, 4, 64])
def test_both_write_the_same_payload_and_read_it(
    tables: Tables, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(lanes)
    groups = []
    for size in (1, 0, 777, 3000):
        symbols = np.rint(rng.laplace(0, 30, size) * rng.integers(0, 50, size)).astype(np.int64)
        groups.append((symbols, rng.integers(0, len(tables), size)))
    payload, reference = both(monkeypatch, lambda: entropy.encode(groups, tables, lanes))
    assert payload == reference

    def read() -> list[list[int]]:
        decoder, last = Decoder(payload, tables), len(groups) - 1
        return [decoder.decode(t, last=i == last).tolist() for i, (_, t) in enumerate(groups)]

    fast, slow = both(monkeypatch, read)
    assert fast == slow == [symbols.tolist() for symbols, _ in groups]


@needs_kernel
@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_both_say_the_same_of_any_bytes(payload: bytes, size: int) -> None:
    tables = Tables([quantize_probabilities(np.r_[np.geomspace(1, 1e-6, 40), np.zeros(20)])])

    def outcome() -> object:
        try:
            return Decoder(payload, tables).decode(np.zeros(size, int), last=True).tolist()
        except FormatError as error:
            return str(error)

    with pytest.MonkeyPatch.context() as patch:
        first, second = both(patch, outcome)
    assert first == second


@needs_kernel
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(1, 31)), max_size=50))
def test_both_join_and_split_alike(fields: list[tuple[int, int]]) -> None:
    values = np.array([value & ((1 << width) - 1) for value, width in fields], np.int64)
    widths = np.array([width for _, width in fields], np.int64)
    with pytest.MonkeyPatch.context() as patch:
        bits, reference = both(patch, lambda: rans.join(values, widths).tolist())
        assert bits == reference
        found = both(patch, lambda: rans.split(np.array(bits, np.uint8), widths).tolist())
    assert found == (values.tolist(), values.tolist())


@needs_kernel
@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pop", ([9], [1 << 16], None, None, None, [], [0]), "table index is out of range"),
        ("pop", ([0, 0], [1 << 16], None, None, None, [], [0]), "too short"),
        ("pop", ([0], [], None, None, None, [], [0]), "too short"),
        ("push", ([99999], [1 << 16], None, None, [0]), "row is out of range"),
        ("split", ([1, 0], [40], [0]), "width is out of range"),
        ("split", ([1, 0], [1, 1], [0]), "too few fields"),
        ("join", ([1, 2], [1], [0]), "too few widths"),
        ("join", ([1], [-1], [0]), "width is out of range"),
    ],
)
def test_the_compiled_loops_refuse_what_does_not_fit(
    tables: Tables, name: str, arguments: tuple[list[int] | None, ...], message: str
) -> None:
    lookup = tables.lookup
    known = iter([lookup.entry_of_slot] * (name == "pop") + [lookup.frequencies, lookup.starts])
    kinds = {
        "pop": ("i8", "i8", "", "", "", "u2", "u1"),
        "push": ("i8", "i8", "", "", "u2"),
        "split": ("u1", "i8", "i8"),
        "join": ("i8", "i8", "u1"),
    }[name]
    buffers = [
        next(known) if argument is None else np.array(argument, kind)
        for argument, kind in zip(arguments, kinds, strict=True)
    ]
    with pytest.raises(ValueError, match=message):
        getattr(kernel, name)(*buffers)


def test_what_runs_out_is_said_and_not_passed() -> None:
    bits, widths = np.ones(3, np.uint8), np.array([2, 2])
    if kernel:
        assert kernel.split(bits, widths, np.zeros(2, np.int64)) == -1
        assert kernel.join(np.array([1]), np.array([3]), np.zeros(2, np.uint8)) == -1


def test_npeg_runs_without_the_compiled_loops(tmp_path: Path) -> None:
    code = """
import sys
for name in ("_rans", "_planes", "_residual"):
    sys.modules["npeg." + name] = None  # an ImportError
import numpy as np
import npeg
from npeg import planes, rans, residual_order
assert rans.kernel is planes.kernel is residual_order.kernel is None
data = npeg.encode(np.arange(768, dtype=np.uint8).reshape(16, 16, 3), effort=0)
sys.stdout.buffer.write(data)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    import npeg

    pixels = np.arange(768, dtype=np.uint8).reshape(16, 16, 3)
    assert run.stdout == npeg.encode(pixels, effort=0)
