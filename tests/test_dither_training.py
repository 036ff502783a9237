"""Training of the dither codecs: seeds, resuming, the fit of the contexts, the export."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from npeg.dither import container, context, networks  # noqa: E402
from npeg.errors import InputError  # noqa: E402
from npeg.teaching.network import Autoencoder  # noqa: E402
from npeg.training.dither import context_fit, export  # noqa: E402
from npeg.training.dither.photographs import Trainer, load_checkpoint, schedule, train  # noqa: E402
from npeg.training.dither.strided import StridedAutoencoder, noisy_code, planes_of  # noqa: E402
from npeg.training.loop import Settings  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four smooth images with an edge each, 56x48."""
    folder = tmp_path_factory.mktemp("images")
    i, j = np.mgrid[0:56, 0:48]
    for k in range(4):
        waves = np.stack([np.sin((i * (k + 1) + j * c) / 15) for c in range(3)], axis=-1)
        pixels = 128 + 80 * waves * (j > 9 * k)[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def settings(folder: Path, tmp_path: Path) -> Settings:
    return Settings(folder, tmp_path / "run", steps=6, batch=2, crop=32, threads=1)


def tiny() -> StridedAutoencoder:
    torch.manual_seed(0)
    return StridedAutoencoder(planes=16, width=8)


def rows(out: Path) -> list[str]:
    """The logged steps and figures, without times."""
    table = [line.split("\t") for line in (out / "train.tsv").read_text().splitlines()[1:]]
    return ["\t".join([row[0], *row[2:5]]) for row in table]


def test_a_run_stopped_halfway_ends_with_the_same_weights(settings: Settings) -> None:
    whole = train(replace(settings, out=settings.out / "whole", val=settings.images), tiny())
    halves = replace(settings, out=settings.out / "halves")
    trainer = Trainer(halves, tiny())
    images = [np.array(Image.open(p)) for p in sorted(settings.images.iterdir())]
    for batch in trainer.batches(images):
        trainer.train_step(batch)
        if trainer.step == 3:
            break
    trainer.save()
    resumed = train(halves, tiny())
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert (settings.out / "whole" / "val.tsv").read_text().startswith("step\thours\tpsnr@0.0")


def test_no_tensor_stays_behind_on_the_cpu(settings: Settings) -> None:
    """A step on PyTorch's meta device, which computes nothing but refuses tensors of another."""
    trainer = Trainer(replace(settings, device="meta"), tiny())
    images = [np.array(Image.open(p)) for p in sorted(settings.images.iterdir())]
    assert trainer.train_step(trainer.batch_at(images, 0)).device.type == "meta"


def test_the_same_seed_gives_the_same_losses_and_another_does_not(settings: Settings) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(replace(settings, out=settings.out / name, seed=seed), tiny())
    a, b, c = (rows(settings.out / name) for name in "abc")
    assert len(a) == 6
    assert a == b != c


def test_training_lowers_the_error(settings: Settings) -> None:
    trainer = train(replace(settings, steps=150, lr=5e-3), tiny())
    table = rows(trainer.settings.out)
    assert float(table[-1].split("\t")[1]) < 0.5 * float(table[0].split("\t")[1])


def test_the_noise_rises_and_then_falls_behind_the_threshold() -> None:
    levels = [schedule(k / 100) for k in range(101)]
    noise = [level for level, _ in levels]
    assert noise[0] == pytest.approx(0.3)
    assert max(noise) == pytest.approx(4.0)
    assert noise[-1] == pytest.approx(0.0)
    assert [hard for _, hard in levels] == [k >= 60 for k in range(101)]


def test_a_hard_code_is_binary_and_has_the_gradient_of_the_soft_one() -> None:
    features = torch.randn(1, 2, 3, 3, requires_grad=True)
    noise = torch.randn(1, 2, 3, 3)
    gradients = []
    for hard in (False, True):
        code = noisy_code(features, 2.0, hard, noise)
        assert not hard or set(code.detach().unique().tolist()) <= {0.0, 1.0}
        gradients += torch.autograd.grad(code.sum(), features)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_planes_that_are_not_kept_do_not_matter() -> None:
    network, code = tiny(), torch.rand(2, 16, 4, 4)
    other = code.clone()
    other[:, 5:] = 0.2
    kept = torch.tensor([5, 5])
    torch.testing.assert_close(network.decode(code, kept), network.decode(other, kept))
    halves = code.clone()
    halves[:, 5:] = 0.5
    torch.testing.assert_close(network.decode(code, kept), network.decode(halves))


def test_training_and_files_mean_the_same_by_a_quality() -> None:
    variant = container.VARIANTS[2]
    for q in range(0, 101, 5):
        assert int(planes_of(torch.tensor(q / 100), variant.planes)) == variant.planes_of(q)


def test_the_fit_finds_the_plane_that_says_all() -> None:
    rng = np.random.default_rng(0)
    images = []
    for _ in range(3):
        planes = rng.integers(0, 2, (4, 30, 30)).astype(np.uint8)
        planes[3, :, 1:] = planes[1, :, :-1]
        images.append(planes)
    weights = context_fit.fit(images, progress=False)
    best = np.abs(weights.weights[3]).argmax()
    assert weights.sources[3, best] == 1
    assert (weights.rows[3, best], weights.columns[3, best]) == (0, -1)
    bits = 8 * len(context.encode_planes(images[0], weights)) / (30 * 30)
    assert 3.0 < bits < 3.5  # the first three planes are noise, the fourth costs almost nothing


def test_regression_recovers_a_probability() -> None:
    target = np.repeat([1.0, 0.0], [300, 700])
    (bias,) = context_fit.regress(np.ones((1000, 1)), target)
    assert 1 / (1 + np.exp(-bias)) == pytest.approx(0.3, abs=0.002)


def test_an_export_does_what_the_network_does(folder: Path, tmp_path, monkeypatch) -> None:
    network = Autoencoder()
    weights = tmp_path / "teaching.safetensors"
    from safetensors.torch import save_file

    save_file(network.state_dict(), weights)
    monkeypatch.setattr(context_fit, "POSITIONS", 400)
    export.export("dither", weights, tmp_path / "dither", folder, 2)
    monkeypatch.setattr(networks, "FOLDER", tmp_path)
    model = networks.Model(container.VARIANTS[1], 1)
    pixels = np.array(Image.open(folder / "0.png"))
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        features = network.features(x)[0].numpy()
        bits = model.encode(pixels)
        assert (bits != (features > 0)).mean() < 0.01  # the weights are in half precision
        x_hat = 255 * network.decode(torch.from_numpy(bits)[None].float())[0]
    decoded = model.decode(2 * bits).astype(float)
    assert np.abs(decoded - x_hat.permute(1, 2, 0).numpy()).max() < 2
    data = context.encode_planes(bits, model.context)
    np.testing.assert_array_equal(context.decode_planes(data, bits.shape, model.context), bits)


@pytest.mark.parametrize("codec", ["dither", "dither8"])
def test_an_export_of_something_else_is_refused(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.pt"
    path.write_text("not weights")
    with pytest.raises(InputError, match=r"notes\.pt: not"):
        export.load_network(codec, path)
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "missing.pt")


def test_the_command_line_refuses_what_does_not_fit(run, folder: Path) -> None:
    arguments = ["train", "--codec", "dither8", "--images", folder, "--out", "out"]
    assert "--decay for dither8" in run(*arguments, "--decay", 3).err
    assert "leave out --only-entropy" in run(*arguments, "--ramp", 3).err
    assert (
        "--downscale is 2, expected 1 or more, for npeg alone"
        in run(*arguments, "--downscale", 2).err
    )
    assert "expected a multiple of 8" in run(*arguments, "--crop", 33).err
    assert "needs --images" in run("export", "x.pt", "--codec", "dither8", "--out", "m").err
