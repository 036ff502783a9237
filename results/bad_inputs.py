"""The same damage to a file of each codec: is it answered cleanly, how soon, in how much memory?

    python results/bad_inputs.py > results/bad-inputs.tsv      # npeg[jxl]; Linux

One photograph of scikit-image, 128x96, is written once by each codec. Then the file is cut, bytes
of it are changed, it is random behind its first bytes, empty, or its header claims far more pixels.
Every input is decoded in a process of its own, forked from one that has the codec loaded. A decoder
answers by pixels or by an exception; anything else is a crash. Figures are of the worst input.
"""

import io
import json
import os
import random
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features
from skimage import data

import npeg
from npeg import container

SECONDS = 60  # after which a decoder is stopped
FLIPS, RANDOM = 40, 10
HUGE = 65_500  # pixels a side
COLUMNS = ("decoder", "damage", "inputs", "refused", "pixels", "crashed", "stopped",
           "most_cpu_s", "most_memory_mib")  # fmt: skip


@dataclass(frozen=True)
class Decoder:
    """A codec: how its file is read, its valid file, and that file with a huge header."""

    name: str
    decode: Callable[[bytes], Any]
    file: bytes
    bomb: bytes


def decoders() -> list[Decoder]:
    """Return npeg and the others."""
    import imagecodecs

    photo = np.ascontiguousarray(data.astronaut()[80:176, 160:288])
    jpeg, webp, avif = (by_pillow(photo, name) for name in ("JPEG", "WEBP", "AVIF"))
    jxl = bytes(imagecodecs.jpegxl_encode(photo, distance=2))
    own = npeg.encode(photo, 60)
    huge = replace(container.read_header(own), width=13_000, height=13_000, tile_size=2048)
    libavif, libjxl = imagecodecs.avif_version().split()[1], imagecodecs.jpegxl_version().split()[1]
    own_bomb = container.pack_header(huge) + own[container.HEADER_SIZE :]
    turbo, webp_version = features.version("libjpeg_turbo"), features.version("webp")
    avif_version, imagecodecs_avif = features.version("avif"), imagecodecs.avif_decode
    return [
        Decoder(f"npeg {npeg.__version__}", npeg.decode, own, own_bomb),
        Decoder(f"Pillow, JPEG ({turbo})", with_pillow, jpeg, huge_jpeg(jpeg)),
        Decoder(f"Pillow, WebP ({webp_version})", with_pillow, webp, huge_webp(webp)),
        Decoder(f"Pillow, libavif ({avif_version})", with_pillow, avif, huge_avif(avif)),
        Decoder(f"imagecodecs, libavif ({libavif})", imagecodecs_avif, avif, huge_avif(avif)),
        Decoder(f"imagecodecs, libjxl ({libjxl})", imagecodecs.jpegxl_decode, jxl, huge_jxl(jxl)),
    ]


def by_pillow(photo: Any, name: str) -> bytes:
    """Return the photograph as Pillow writes it."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, name, quality=70)
    return file.getvalue()


def with_pillow(found: bytes) -> Any:
    """Decode with Pillow."""
    with Image.open(io.BytesIO(found)) as image:
        return np.asarray(image.convert("RGB"))


def huge_jpeg(file: bytes) -> bytes:
    """Return the file with a frame header of HUGE x HUGE pixels."""
    at = file.index(b"\xff\xc0") + 5
    return file[:at] + struct.pack(">HH", HUGE, HUGE) + file[at + 4 :]


def huge_webp(file: bytes) -> bytes:
    """Return the file with a frame header of 16383 x 16383 pixels, the most there can be."""
    at = file.index(b"\x9d\x01\x2a") + 3
    return file[:at] + struct.pack("<HH", 16383, 16383) + file[at + 4 :]


def huge_avif(file: bytes) -> bytes:
    """Return the file with HUGE x HUGE pixels in its properties; the frame keeps its size."""
    at = file.index(b"ispe") + 8
    return file[:at] + struct.pack(">II", HUGE, HUGE) + file[at + 8 :]


def huge_jxl(file: bytes) -> bytes:
    """Return the codestream with a size of 13000 x 13000 pixels in its first bits."""
    assert file[:2] == b"\xff\x0a"
    bits = np.unpackbits(np.frombuffer(file[2:], np.uint8), bitorder="little").tolist()
    small, rest = bits[0], bits[1:]

    def skip(rest: list[int]) -> list[int]:
        if small:
            return rest[5:]
        return rest[2 + (9, 13, 18, 30)[rest[0] + 2 * rest[1]] :]

    rest = skip(rest)
    ratio, rest = rest[:3], rest[3:]
    rest = rest if any(ratio) else skip(rest)
    side = [0, 1, *((12_999 >> k) & 1 for k in range(18))]  # the size less 1, in 18 bits
    new = np.array([0, *side, 0, 0, 0, *side, *rest], np.uint8)
    return file[:2] + np.packbits(new, bitorder="little").tobytes()


def damages(decoder: Decoder, rng: random.Random) -> dict[str, list[bytes]]:
    """Return bad files by the kind of their damage."""
    file = decoder.file
    flipped = []
    for _ in range(FLIPS):
        changed = bytearray(file)
        for _ in range(rng.choice((1, 1, 3))):
            changed[rng.randrange(len(file))] ^= rng.randrange(1, 256)
        flipped.append(bytes(changed))
    return {
        "cut": [file[: len(file) * k // 10] for k in range(1, 10)] + [file[:-1]],
        "changed bytes": flipped,
        "random behind 32 bytes": [file[:32] + rng.randbytes(2000) for _ in range(RANDOM)],
        "random": [rng.randbytes(2000) for _ in range(RANDOM)],
        "empty": [b""],
        "huge header": [decoder.bomb],
    }


def answer(decode: Callable[[bytes], Any], bad: bytes) -> dict[str, Any]:
    """Decode in a forked process; return what became of it, its processor time and memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        in_child(decode, bad, writing)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(child, 0)
    said = json.loads(text) if text else {"outcome": "crashed", "memory_mib": 0.0}
    if os.WIFSIGNALED(status):
        stopped = os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU)
        said["outcome"] = "stopped" if stopped else "crashed"
    return said | {"cpu_s": usage.ru_utime + usage.ru_stime}


def in_child(decode: Callable[[bytes], Any], bad: bytes, writing: int) -> None:
    """Decode, say what happened and end."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    Path("/proc/self/clear_refs").write_text("5")
    before = memory_mib("VmRSS")
    try:
        decode(bad)
        outcome = "pixels"
    except Exception:
        outcome = "refused"
    said = {"outcome": outcome, "memory_mib": max(0.0, memory_mib("VmHWM") - before)}
    os.write(writing, json.dumps(said).encode())
    os._exit(0)


def memory_mib(name: str) -> float:
    """Return a figure of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


def main() -> None:
    """Write a row for each decoder and each kind of damage."""
    print("# Python", sys.version.split()[0], "processor time of the fork and its decoding")
    print(*COLUMNS, sep="\t", flush=True)
    for decoder in decoders():
        decoder.decode(decoder.file)  # what is loaded once is loaded before
        for damage, files in damages(decoder, random.Random(1)).items():
            answers = [answer(decoder.decode, bad) for bad in files]
            counts = [sum(a["outcome"] == one for a in answers) for one in COLUMNS[3:7]]
            most = [f"{max(a[key] for a in answers):.3f}" for key in ("cpu_s", "memory_mib")]
            print(decoder.name, damage, len(files), *counts, *most, sep="\t", flush=True)


if __name__ == "__main__":
    main()
