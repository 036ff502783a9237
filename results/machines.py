"""Compare what this machine decodes with what others decoded: symbols, table indexes, pixels.

    python results/machines.py record HERE.npz          # on each machine, or in each environment
    python results/machines.py compare HERE.npz OTHER.npz ... > results/machines.tsv

Decodes every sound file of tests/golden. Of each it keeps the SHA-256 of all symbols and table
indexes that entropy decoding met, and the pixels. `compare` prints a row a recording: how many
files have the symbols and the indexes of the first one, the largest difference of a pixel, and how
many samples in a million differ.
"""

import hashlib
import platform
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import npeg
from npeg import latents

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"


def processor() -> str:
    """Return the kind of processor, with what NumPy finds in it."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found")
    return f"{platform.machine()}, {found[-1] if found else 'baseline'}"


def environment() -> str:
    """Return what decodes here."""
    loops = "compiled" if find_spec("npeg._rans") else "NumPy's"
    runtime = f"ONNX Runtime {onnxruntime.__version__}; NumPy {np.__version__}"
    return f"{runtime}; {processor()}; {loops} loops"


def record(path: Path) -> None:
    """Decode all files; keep what is to be compared."""
    digest = hashlib.sha256()
    read = latents.read

    def watched(*arguments: Any) -> tuple[Any, Any, Any]:
        found = read(*arguments)
        for array in found:
            digest.update(np.ascontiguousarray(array, np.int32).tobytes())
        return found

    latents.read = watched  # type: ignore[assignment]
    kept: dict[str, Any] = {"environment": environment()}
    for file in sorted([*GOLDEN.glob("*.npeg"), *(GOLDEN / "sound").glob("*.npeg")]):
        digest = hashlib.sha256()
        kept[f"pixels/{file.name}"] = npeg.decode(file)
        kept[f"symbols/{file.name}"] = digest.hexdigest()
        print(file.name, file=sys.stderr)
    np.savez_compressed(path, **kept)


def compare(paths: list[Path]) -> None:
    """Print a row a recording, beside the first."""
    print(
        "environment",
        "files",
        "same_symbols",
        "largest_difference",
        "differ_in_a_million",
        sep="\t",
    )
    first = np.load(paths[0])
    names = [name[7:] for name in first.files if name.startswith("pixels/")]
    for path in paths:
        other = np.load(path)
        same = sum(str(first[f"symbols/{n}"]) == str(other[f"symbols/{n}"]) for n in names)
        pairs = [(first[f"pixels/{n}"], other[f"pixels/{n}"]) for n in names]
        away = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in pairs])
        share = f"{1e6 * np.count_nonzero(away) / away.size:.1f}"
        print(str(other["environment"]), len(names), same, away.max(), share, sep="\t")


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record(Path(sys.argv[2]))
    else:
        compare([Path(name) for name in sys.argv[2:]])
