"""Fuzz whatever reads the bytes of strangers, guided by the lines of npeg that an input reaches.

    pip install atheris
    python tests/fuzz.py --minutes 10                # every target of fuzz_targets.py in turn
    python tests/fuzz.py --minutes 5 --target decoder

Seeds are the golden files, tests/fuzz_corpus and tests/findings. An input that breaks a promise is
written to tests/findings/TARGET: give it a name and mend what it found, `tests/test_findings.py`
reads it from then on. In the end each input that reached something new is read once more, measured,
and one row a target is printed. Without Atheris inputs change by chance alone.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
FINDINGS, CORPUS, GOLDEN = HERE / "findings", HERE / "fuzz_corpus", HERE / "golden"
MOST_BYTES = 4096  # of an input
SECONDS = 5  # of processor time that an input may take: the largest pictures take a tenth of it
COLUMNS = ("target", "engine", "seconds", "executions", "reached", "inputs", "findings",
           "slowest_s", "slowest_bytes", "most_memory_mib", "most_memory_bytes")  # fmt: skip


def seeds(target: str) -> list[Path]:
    """Return the files that a target begins with."""
    folders = [CORPUS / target, FINDINGS / target]
    if target in ("container", "decoder", "parts", "plugin"):
        folders += [CORPUS / "npeg", GOLDEN]
    return sorted(path for folder in folders for path in folder.glob("*") if path.suffix != ".txt")


def main() -> None:
    """Run all targets, or one of them; exit with status 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that reach new lines")
    parser.add_argument("--engine", choices=("atheris", "random"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.target, args.folder)))
    elif args.engine:
        (by_coverage if args.engine == "atheris" else by_chance)(args)
    else:
        raise SystemExit(run_all(args))


def run_all(args: argparse.Namespace) -> bool:
    """Give each target its share of the time; return whether anything was found."""
    from fuzz_targets import TARGETS

    names = [args.target] if args.target else list(TARGETS)
    print(*COLUMNS, sep="\t", flush=True)
    found = 0
    for name in names:
        row = run_one(name, 60 * args.minutes / len(names), args)
        print(*(row[column] for column in COLUMNS), sep="\t", flush=True)
        found += row["findings"]
    return found > 0


def run_one(name: str, seconds: float, args: argparse.Namespace) -> dict[str, Any]:
    """Fuzz one target in processes of their own until its time is over; return its row."""
    engine, started = ("atheris" if has_atheris() else "random"), time.monotonic()
    row: dict[str, Any] = dict.fromkeys(COLUMNS, 0) | {"target": name, "engine": engine}
    with tempfile.TemporaryDirectory() as temporary:
        kept = args.keep / name if args.keep else Path(temporary)
        kept.mkdir(parents=True, exist_ok=True)
        while (left := seconds - (time.monotonic() - started)) > 1:
            command = [sys.executable, __file__, "--target", name, "--engine", engine]
            command += ["--minutes", str(left / 60), "--seed", str(args.seed)]
            done = subprocess.run(
                [*command, "--folder", str(kept)], capture_output=True, text=True, errors="replace"
            )
            log = done.stderr
            row["executions"] += int((re.findall(r"executed_units: *(\d+)", log) or ["0"])[-1])
            row["reached"] = max([row["reached"], *map(int, re.findall(r"cov: (\d+)", log))])
            if done.returncode:
                row["findings"] += 1
                print(log[-3000:], file=sys.stderr, flush=True)
                if row["findings"] == 20 or "executed_units" not in log:
                    break
        row["seconds"] = round(time.monotonic() - started)
        row["inputs"] = len(list(kept.iterdir()))
        command = [sys.executable, __file__, "--target", name, "--measure", "--folder", str(kept)]
        row |= json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return row


def has_atheris() -> bool:
    """Return whether Atheris is installed."""
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def run(target: Callable[[bytes], bool], data: bytes) -> None:
    """Give an input to a target, and hold it to its time: of the processor, as others work too."""
    started = time.process_time()
    target(data)
    taken = time.process_time() - started
    assert taken < SECONDS, f"{len(data)} bytes took {taken:.1f} s"


def by_coverage(args: argparse.Namespace) -> None:
    """Let libFuzzer drive one target; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["npeg"]):
        import fuzz_mutations
        from fuzz_targets import TARGETS, is_file

    target = TARGETS[args.target]

    def test_one_input(data: bytes) -> None:
        run(target, bytes(data))

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)

        def change(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, len(part) + rng.choice((0, 8, 200))))

        return fuzz_mutations.mutate(bytes(data), rng, change)[:most]

    options = {"custom_mutator": mutate} if is_file(args.target) else {}
    (FINDINGS / args.target).mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0], str(args.folder), *seed_folders(args.target),
        f"-max_total_time={max(1, round(60 * args.minutes))}", f"-max_len={MOST_BYTES}",
        "-timeout=1200", "-report_slow_units=1200", "-rss_limit_mb=2048", "-print_final_stats=1",
        f"-seed={args.seed}",
        f"-artifact_prefix={FINDINGS / args.target}/",
    ]  # fmt: skip
    atheris.Setup(arguments, test_one_input, **options)
    atheris.Fuzz()


def seed_folders(target: str) -> list[str]:
    """Return the folders of a target's seeds."""
    return sorted({str(path.parent) for path in seeds(target)})


def by_chance(args: argparse.Namespace) -> None:
    """Change the seeds at random; exit with status 1 at a finding."""
    import fuzz_mutations
    from fuzz_targets import TARGETS, is_file

    rng = random.Random(time.time_ns())
    pool = [path.read_bytes() for path in seeds(args.target)] or [b"npeg"]
    deadline, count, change = time.monotonic() + 60 * args.minutes, 0, fuzz_mutations.plain(rng)
    while time.monotonic() < deadline:
        data, count = rng.choice(pool), count + 1
        whole = is_file(args.target)
        data = fuzz_mutations.mutate(data, rng, change) if whole else change(data)
        try:
            run(TARGETS[args.target], data)
        except BaseException:
            traceback.print_exc()
            folder = FINDINGS / args.target
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"crash-{sha256(data).hexdigest()[:16]}").write_bytes(data)
            print(f"executed_units: {count}", file=sys.stderr)
            raise SystemExit(1) from None
    print(f"executed_units: {count}", file=sys.stderr)


def measure(target: str, folder: Path) -> dict[str, float]:
    """Return the processor time of the slowest input, and the memory of the one that takes most."""
    from fuzz_targets import TARGETS

    files = [*seeds(target), *sorted(folder.iterdir())]
    for path in files[:20]:  # networks and tables are loaded once
        with suppress(Exception):
            TARGETS[target](path.read_bytes())
    most = {"slowest_s": (0.0, 0), "most_memory_mib": (0.0, 0)}
    for path in files:
        data = path.read_bytes()
        forget_peak()
        before, started = memory_mib("VmRSS"), time.process_time()
        with suppress(Exception):  # a finding of this run
            TARGETS[target](data)
        taken = time.process_time() - started, memory_mib("VmHWM") - before
        for name, value in zip(most, taken, strict=True):
            most[name] = max(most[name], (value, len(data)))
    return {
        "slowest_s": round(most["slowest_s"][0], 3),
        "slowest_bytes": most["slowest_s"][1],
        "most_memory_mib": round(most["most_memory_mib"][0], 1),
        "most_memory_bytes": most["most_memory_mib"][1],
    }


def forget_peak() -> None:
    """Let Linux count the process's peak of memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def memory_mib(name: str) -> float:
    """Return a figure of /proc/self/status in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+)", status)[0]) / 1024


if __name__ == "__main__":
    main()
