"""Training: the same seed gives the same losses, a kill loses nothing, processes add up."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from npeg.errors import InputError  # noqa: E402
from npeg.training.checkpoint import load_checkpoint, save_weights  # noqa: E402
from npeg.training.data import draw_batch, load_images, prefetch  # noqa: E402
from npeg.training.networks.model import Codec  # noqa: E402
from npeg.training.networks.transforms import Architecture, opponent_dct  # noqa: E402
from npeg.training.optimizer import NEWTON_SCHULZ, orthogonalize  # noqa: E402
from npeg.training.rate_distortion import MeanSquaredError, Settings, Trainer, train, validate  # noqa: E402

TINY = Architecture(
    analysis_width=8,
    analysis_pairs=1,
    synthesis_width=8,
    synthesis_pairs=1,
    latents=16,
    hyper_latents=4,
    hyper_width=8,
    scale_width=4,
)
WIDER = replace(TINY, synthesis_width=32)  # matrices for both optimisers in the synthesis, too


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six smooth images with an edge each, 96x80."""
    folder = tmp_path_factory.mktemp("images")
    i, j = np.mgrid[0:96, 0:80]
    for k in range(6):
        waves = np.stack([np.sin((i * (k + 1) + j * c) / 15) for c in range(3)], axis=-1)
        pixels = 128 + 80 * waves * (j > 12 * k)[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    return Settings(
        images=folder, out=tmp_path / "run", steps=12, decay=4, batch=2, crop=64, threads=1
    )


def losses(out: Path) -> list[str]:
    """Return the logged steps, losses, rates and PSNRs, without times."""
    rows = [line.split("\t") for line in (out / "train.tsv").read_text().splitlines()[1:]]
    return ["\t".join([row[0], *row[2:5]]) for row in rows]


def test_a_fixed_seed_gives_the_same_first_hundred_losses(settings: Settings) -> None:
    first = replace(settings, steps=100, out=settings.out / "a")
    again = replace(settings, steps=100, out=settings.out / "b")
    train(first, TINY)
    train(again, TINY)
    assert len(losses(first.out)) == 100
    assert losses(first.out) == losses(again.out)


def test_bf16_moves_the_losses_a_little(settings: Settings) -> None:
    found = []
    for bf16 in (False, True):
        train(replace(settings, steps=30, out=settings.out / str(bf16), bf16=bf16), TINY)
        rows = (settings.out / str(bf16) / "train.tsv").read_text().splitlines()
        found.append(float(rows[-1].split("\t")[2]))
    assert found[0] != found[1]
    assert found[1] == pytest.approx(found[0], rel=0.02)


def test_bf16_leaves_what_chooses_tables_and_steps_in_float32() -> None:
    torch.manual_seed(0)
    codec = Codec(TINY).requires_grad_(False)
    for parameter in codec.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.1)
    z_hat, t = torch.randint(-20, 21, (2, 4, 3, 3)).float(), torch.rand(2)

    def integers() -> list[Tensor]:
        gains = codec.gains
        indexes = codec.scale_head(z_hat, gains.multiplier_z(t)) + gains.index_offset_y(t)
        return [indexes, gains.index_z(t), gains.gain_y(t), *codec.mixture.table_parameters()]

    expected = integers()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = integers()
        psi = torch.randn(2, 8, 3, 3)
        assert codec.mean_head(z_hat)[1].dtype == torch.float32
        assert codec.context(psi, torch.randn(2, 16, 3, 3)).dtype == torch.float32
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_processes_that_draw_change_nothing(settings: Settings) -> None:
    train(replace(settings, out=settings.out / "thread"), TINY)
    train(replace(settings, out=settings.out / "processes", workers=2), TINY)
    assert losses(settings.out / "thread") == losses(settings.out / "processes")


@pytest.mark.parametrize("eight_bits", [False, True])
@pytest.mark.parametrize("alone", [{}, {"only_entropy": True}, {"only_synthesis": True}])
def test_no_tensor_stays_behind_on_the_cpu(
    settings: Settings, eight_bits: bool, alone: dict[str, Any]
) -> None:
    """A step on PyTorch's meta device, which computes nothing but refuses tensors of another."""
    trainer = Trainer(
        replace(settings, device="meta", downscale=2.0, **alone),
        arch=replace(WIDER, eight_bits=eight_bits),
    )
    for batch in trainer.batches(load_images(settings.images, 64, progress=False)):
        means = trainer.train_step(batch)
        break
    assert means.device.type == "meta"
    assert {p.device.type for p in trainer.average.parameters()} == {"meta"}


def test_a_device_that_is_not_there_is_refused_in_one_line(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"--device nowhere: PyTorch cannot use it here \(.+\)$"):
        train(replace(settings, device="nowhere"), TINY)
    with pytest.raises(InputError, match="--winograd is for the CPU: leave it out for"):
        train(replace(settings, device="meta", winograd=True), TINY)


def test_bf16_and_winograd_together_are_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match="--bf16 and --winograd"):
        train(replace(settings, bf16=True, winograd=True), TINY)


def test_the_squared_error_and_its_gradient_are_pytorchs() -> None:
    torch.manual_seed(0)
    x, x_hat = torch.rand(3, 3, 8, 16), torch.rand(3, 3, 8, 16, requires_grad=True)
    found, expected = MeanSquaredError.apply(x_hat, x), (x_hat - x).square().mean((1, 2, 3))
    torch.testing.assert_close(found, expected)
    weights = torch.tensor([1.0, 2.0, 3.0])
    ours, theirs = (torch.autograd.grad(value @ weights, x_hat)[0] for value in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_another_seed_gives_other_losses(settings: Settings) -> None:
    train(replace(settings, steps=2, out=settings.out / "a"), TINY)
    train(replace(settings, steps=2, out=settings.out / "b", seed=1), TINY)
    assert losses(settings.out / "a") != losses(settings.out / "b")


def test_a_run_stopped_halfway_ends_with_the_same_weights(settings: Settings) -> None:
    whole = train(replace(settings, out=settings.out / "whole"), TINY)
    halves = replace(settings, out=settings.out / "halves")
    trainer = Trainer(halves, arch=TINY)
    for batch in trainer.batches(load_images(settings.images, 64, progress=False)):
        trainer.train_step(batch)
        if trainer.step == 5:
            break
    trainer.save()
    resumed = train(halves)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name


SCRIPT = """
import sys
from pathlib import Path
from npeg.training.rate_distortion import Settings, train
from npeg.training.networks.transforms import Architecture
images, out, batch, steps = sys.argv[1:]
tiny = Architecture(8, 1, 8, 1, 16, 4, 8, 4)
train(Settings(Path(images), Path(out), steps=int(steps), batch=int(batch), crop=64, threads=1,
               checkpoint_minutes=0.0), tiny)
"""


def test_a_killed_run_leaves_a_checkpoint_that_can_be_read(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(tmp_path / "run"), "2", "1000000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    log = tmp_path / "run" / "train.tsv"
    while process.poll() is None and not (log.exists() and len(log.read_text().split("\n")) > 9):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] >= 7


def test_two_processes_give_the_losses_of_one_with_the_doubled_batch(
    folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    arguments = [str(script), str(folder)]
    one = [sys.executable, *arguments, str(tmp_path / "one"), "4", "10"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    two = [*torchrun, *arguments, str(tmp_path / "two"), "2", "10"]
    for command in (one, two):
        result = subprocess.run(command, env=env, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]
    expected = np.loadtxt(tmp_path / "one" / "train.tsv", skiprows=1)[:, 2]
    found = np.loadtxt(tmp_path / "two" / "train.tsv", skiprows=1)[:, 2]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_batches_of_two_ranks_are_the_halves_of_the_doubled_batch(folder: Path) -> None:
    images = load_images(folder, 64, progress=False)
    x, t = draw_batch(images, 64, 4, seed=3, step=7)
    halves = [draw_batch(images, 64, 2, 3, 7, rank, world=2) for rank in (0, 1)]
    assert torch.equal(x, torch.cat([half[0] for half in halves]))
    assert torch.equal(t, torch.cat([half[1] for half in halves]))


def test_every_other_crop_of_a_run_is_scaled_down_if_it_says_so(settings: Settings) -> None:
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[(np.arange(160) // 8 % 2).astype(bool)] = 255  # sharp, and only so in a crop as it is
    for downscale, expected in ((1.0, 0), (2.0, 10)):
        trainer = Trainer(replace(settings, batch=20, downscale=downscale), arch=TINY)
        x = trainer.batch_at([stripes], 0)[0]
        scaled = sum(bool(((sample > 0.01) & (sample < 0.99)).any()) for sample in x)
        assert abs(scaled - expected) <= (6 if expected else 0)


def test_what_is_drawn_ahead_comes_in_order_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with closing(prefetch(count())) as numbers:
        assert [next(numbers) for _ in range(5)] == [0, 1, 2, 3, 4]
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_what_the_source_raises_is_raised_where_it_is_drawn() -> None:
    broken = (1 // (2 - k) for k in count())
    with closing(prefetch(broken)) as numbers:
        assert [next(numbers), next(numbers)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(numbers)


@pytest.mark.parametrize("shape", [(3, 32, 200), (2, 48, 48), (1, 90, 40)])
def test_orthogonalising_is_newton_and_schulz_iteration(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    g = torch.randn(shape, dtype=torch.float64)
    a, b, c = NEWTON_SCHULZ
    x = g / g.norm(dim=(1, 2), keepdim=True)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    torch.testing.assert_close(orthogonalize(g.float()).double(), x, atol=1e-4, rtol=0)


def test_the_linear_transform_starts_orthonormal() -> None:
    basis = opponent_dct(256)
    torch.testing.assert_close(basis @ basis.T, torch.eye(256), atol=1e-5, rtol=0)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\x80\x02}q\x00."])
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(path)


def test_checkpoints_of_networks_that_are_no_longer_built_are_refused(settings: Settings) -> None:
    train(replace(settings, steps=1), TINY)
    state = torch.load(settings.checkpoint, weights_only=True)
    torch.save(state | {"format": 2}, settings.checkpoint)
    with pytest.raises(InputError, match="not a checkpoint of format 3"):
        Trainer(settings)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image of at least 64x64"):
        load_images(tmp_path, 64)


def test_bare_weights_start_a_new_run(settings: Settings) -> None:
    train(settings, TINY)
    state = load_checkpoint(settings.out / "checkpoint.pt")
    weights = settings.out / "weights.safetensors"
    save_weights(weights, state)
    trainer = Trainer(replace(settings, out=settings.out / "new", resume=weights))
    assert trainer.step == 0
    for name, value in state["average"].items():
        assert torch.equal(trainer.model.state_dict()[name], value.half().float()), name


def test_the_entropy_model_learns_alone_and_is_stopped_and_gone_on_with(settings: Settings) -> None:
    train(settings, TINY)
    first = settings.out / "checkpoint.pt"
    alone = replace(settings, out=settings.out / "alone", resume=first, only_entropy=True, ramp=20)
    whole = train(alone)
    assert [row.split("\t")[0] for row in losses(alone.out)] == [str(k + 1) for k in range(12)]
    assert losses(alone.out)[0].split("\t")[3] == "nan"
    old, new = load_checkpoint(first)["average"], whole.model.state_dict()
    for name in old:
        stays = name.startswith(("g_a.", "g_s.", "gains.log_gain_y"))
        moves = name.endswith(("means.weight", "conv3.weight"))
        assert torch.equal(old[name], new[name]) or not stays, name
        assert not torch.equal(old[name], new[name]) or not moves, name
    parts = replace(alone, out=settings.out / "parts")
    trainer = Trainer(parts)
    for batch in trainer.batches(load_images(settings.images, 64, progress=False)):
        trainer.train_step(batch)
        if trainer.step == 5:
            break
    trainer.save()
    for name, value in train(parts).model.state_dict().items():
        assert torch.equal(value, new[name]), name


def test_the_synthesis_learns_alone_from_what_is_coded(settings: Settings) -> None:
    train(settings, WIDER)
    first, out = settings.out / "checkpoint.pt", settings.out / "alone"
    alone = train(
        replace(settings, out=out, resume=first, only_synthesis=True, val=settings.images)
    )
    old, new = load_checkpoint(first)["average"], alone.model.state_dict()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert {"g_s.tail.weight", "g_s.shortcut.weight"} < moved
    assert all(name.startswith("g_s.") for name in moved)
    images = load_images(settings.images, 64, progress=False)
    before, after = Codec(WIDER).eval(), alone.average
    before.load_state_dict(old)
    assert validate(after, images, True)["loss"] < validate(before, images, True)["loss"]


def test_hyper_latents_come_to_cost_in_full(settings: Settings) -> None:
    trainer = Trainer(replace(settings, ramp=10), arch=TINY)
    found = []
    for trainer.step in (0, 5, 10, 11):
        found.append(trainer.hyper_weight())
    assert found == pytest.approx([0.05, 0.525, 1, 1])
    assert Trainer(settings, arch=TINY).hyper_weight() == 1
    x, t, noise = trainer.batch_at(load_images(settings.images, 64, progress=False), 0)
    with torch.no_grad():
        half, whole, double = (
            trainer.model(x, t, (noise[0], noise[1]), w)[1] for w in (0.5, 1.0, 2.0)
        )
    assert torch.allclose(2 * (whole - half), double - whole, rtol=1e-2)
    assert (double > whole).all()


def test_a_tune_that_does_not_fit_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match="tune is 'clean', expected visual or psnr"):
        train(replace(settings, tune="clean"), TINY)
    with pytest.raises(InputError, match="--crop is 64, --tune visual needs 161 or more"):
        train(replace(settings, tune="visual"), TINY)


def test_quantisation_widths_are_learned(folder: Path, settings: Settings) -> None:
    trainer = train(replace(settings, steps=6), replace(TINY, adaptive_width=True))
    widths = trainer.model.mean_head.widths
    assert widths is not None and bool(widths.weight.any())
