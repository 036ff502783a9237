"""Targets on curves that jump: a sketch of the picture says where."""

import math

import numpy as np
import pytest

from npeg import codec, sketches, targets
from npeg.container import LEVELS
from npeg.encoder_rule import EncoderOptions
from npeg.targets import TRIES, Curve, Target


@pytest.mark.parametrize("size", [(200, 300), (128, 4000), (1, 70000), (3000, 4000)])
def test_a_sketch_is_a_small_part_of_its_picture(size: tuple[int, int]) -> None:
    pixels = np.zeros((*size, 3), np.uint8)
    part = sketches.part_of(pixels)
    assert 1 <= part.shape[0] <= min(size[0], sketches.MOST)
    assert 1 <= part.shape[1] <= min(size[1], sketches.MOST)
    assert part.shape[2] == 3


@pytest.mark.parametrize("jump", [3, 67, 120, 168, 199])
@pytest.mark.parametrize("above", [False, True])
def test_a_jump_is_found_in_a_few_tries(jump: int, above: bool) -> None:
    def true(level: int) -> float:
        return 0.01 * level + 3 * (level >= jump)

    def shape(level: int) -> float:  # off by a little more the higher the level is
        return true(level) + 0.2 + 0.0005 * level

    curve = Curve(true, shape)
    curve.approach(0.01 * jump + 1.5, start=100, slope=0.02, above=above)
    assert (jump if above else jump - 1) in curve.values
    assert len(curve.values) <= 4


def test_a_sketch_that_is_wrong_costs_tries_only() -> None:
    curve = Curve(lambda level: 0.02 * level, lambda level: 5 - 0.03 * abs(level - 140))
    curve.approach(2.0, start=100, slope=0.02, above=False)
    assert len(curve.values) <= TRIES
    assert all(0 <= level < LEVELS for level in curve.values)


def test_noise_gets_the_best_file_of_all_qualities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "SMALL", 1 << 12)
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3)).astype(np.uint8)
    options, tries = EncoderOptions(effort=0), []
    token = targets.watcher.set(lambda: tries.append(1))
    found = targets.encode(noise, Target(size=3000), options)
    targets.watcher.reset(token)
    assert len(tries) <= TRIES
    level = found[6]
    beyond = codec.encode_pixels(noise, level + 2, options)
    assert len(found) <= 3000
    assert len(beyond) > 3000 or math.isclose(len(beyond), len(found), rel_tol=0.05)
