"""Many decodes at once and one after another: the same pixels, no hang, no growth."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import Barrier

import pytest

import npeg

AT_ONCE = 100
PROCESSES = 4
linux = pytest.mark.skipif(sys.platform != "linux", reason="forks and /proc")


@pytest.fixture(scope="module")
def small(photo) -> bytes:
    return npeg.encode(photo[:64, :64], 50, effort=0)


def decode_at_once(data: bytes, count: int) -> set[bytes]:
    """Decode in so many threads, which begin together; return all that came out."""
    together = Barrier(count)

    def decode() -> bytes:
        together.wait(60)
        return bytes(npeg.decode(data).tobytes())

    with ThreadPoolExecutor(count) as pool:
        return {job.result(120) for job in [pool.submit(decode) for _ in range(count)]}


def test_a_hundred_threads_decode_at_once(small):
    assert decode_at_once(small, AT_ONCE) == {npeg.decode(small).tobytes()}


def test_a_hundred_decodes_in_processes_of_their_own(small):
    context = multiprocessing.get_context("spawn")
    share = AT_ONCE // PROCESSES
    with ProcessPoolExecutor(PROCESSES, context) as pool:
        jobs = [pool.submit(decode_at_once, small, share) for _ in range(PROCESSES)]
        found = set.union(*(job.result(240) for job in jobs))
    assert found == {npeg.decode(small).tobytes()}


@linux
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_hundred_decodes_after_forks_of_a_process_that_has_decoded(small):
    expected, children = npeg.decode(small).tobytes(), []
    for _ in range(PROCESSES):
        child = os.fork()
        if not child:
            ok = decode_at_once(small, AT_ONCE // PROCESSES) == {expected}
            os._exit(0 if ok else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
    assert npeg.decode(small).tobytes() == expected  # the parent's sessions still work


def resident_kib() -> int:
    """Return the memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


@linux
def test_memory_does_not_grow_from_image_to_image(small):
    bad = small[:-1] + bytes([small[-1] ^ 1])

    def work(count: int) -> None:
        for _ in range(count):
            npeg.decode(small)
            npeg.info(small)
            with pytest.raises(npeg.NpegError):
                npeg.decode(bad)

    work(100)
    before = resident_kib()
    work(300)
    assert resident_kib() - before < 2048  # 7 KiB an image would be seen
