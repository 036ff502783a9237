"""What fuzzing found once stays mended, and its seeds are what they should be."""

import random
from pathlib import Path

import pytest
from fuzz import CORPUS, FINDINGS, seeds
from fuzz_mutations import mutate, plain
from fuzz_targets import TARGETS

from npeg import container
from npeg.errors import NpegError

FILES = sorted((path.parent.name, path) for path in FINDINGS.glob("*/*"))


@pytest.mark.parametrize(("target", "path"), FILES, ids=lambda part: getattr(part, "name", part))
def test_a_finding_breaks_no_promise_any_more(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


def test_findings_have_names_that_say_what_was_wrong() -> None:
    assert not [path for _, path in FILES if path.name.startswith(("crash-", "timeout-", "slow-"))]


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_small_and_most_are_understood(target: str) -> None:
    files = [path for path in seeds(target) if path.is_relative_to(CORPUS)]
    assert len(files) >= 3
    assert all(path.stat().st_size <= 4096 for path in files)
    understood = [TARGETS[target](path.read_bytes()) for path in files]
    assert sum(understood) >= 0.8 * len(files)


def test_mutated_files_get_past_the_checksums() -> None:
    rng, refused = random.Random(5), []
    pool = [path.read_bytes() for path in seeds("container") if path.stat().st_size < 4096]
    for _ in range(300):
        try:
            container.read_sections(mutate(rng.choice(pool), rng, plain(rng)))
        except NpegError as error:
            refused.append(str(error))
    assert len(refused) < 270  # of 300: many are whole files
    assert sum("CRC-32" in text for text in refused) < 30  # and few fail by a checksum
    assert len({text.split(":")[0] for text in refused}) > 5
