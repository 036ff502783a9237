"""The teaching program: its dialogue as typed, its network and losses, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from npeg.arrays import Pixels

torch = pytest.importorskip("torch")


pytest.importorskip("safetensors")

import torch.nn.functional as F  # noqa: E402
from test_feature_networks import Features  # noqa: E402
from torch import nn  # noqa: E402

import npeg  # noqa: E402
from npeg import train as program  # noqa: E402
from npeg.bench.metrics import ssim  # noqa: E402
from npeg.errors import NpegError  # noqa: E402
from npeg.teaching import cifar, losses  # noqa: E402
from npeg.teaching.network import Autoencoder, augment, binarize, soften  # noqa: E402
from npeg.teaching.session import Session  # noqa: E402

PACKAGE = Path(npeg.__file__).parent
TRAIN, TEST = 22, 8  # two batches, the second of two images
CPU = torch.device("cpu")


def images(count: int, seed: int) -> Pixels:
    """Smooth pictures of random colours, (count, 32, 32, 3)."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, 256, (count, 2, 2, 3)).astype(np.uint8)
    big = [Image.fromarray(c).resize((32, 32), Image.Resampling.BILINEAR) for c in corners]
    return np.stack([np.asarray(image) for image in big])


@pytest.fixture(scope="module")
def sprites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CIFAR-10 of 30 images in the form of the npm package: a row of a PNG is an image."""
    folder = tmp_path_factory.mktemp("sprites")
    (folder / "dist").mkdir()
    for name, count, seed in (
        ("data_batch_1", 11, 1),
        ("data_batch_2", 11, 2),
        ("test_batch", 8, 3),
    ):
        rows = images(count, seed).reshape(count, 1024, 3)
        Image.fromarray(rows).save(folder / "dist" / f"{name}.png")
    (folder / "dist" / "train_lables.json").write_text("[]")
    return folder


@pytest.fixture
def session(sprites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session on the small set, in an empty folder, behind the program's commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPEG_CIFAR10", str(sprites))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    torch.manual_seed(1)
    program.session.cache_clear()
    yield program.session()
    program.session.cache_clear()


class Dialogue:
    """An interactive interpreter to type into; both of its outputs are read as they come."""

    def __init__(self, command: list[str], folder: Path, home: Path, sprites: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if "DISPLAY" not in k}
        environment |= {
            "IPYTHONDIR": str(home / "ipython"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "NPEG_CIFAR10": str(sprites),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": "",
        }
        self.text = ""
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        while chunk := self.process.stdout.read(4096):
            with self._grown:
                self.text += chunk.decode(errors="replace")
                self._grown.notify()

    def type(self, lines: str, until: str) -> str:
        """Type lines and wait for a text; return what was printed from the lines on."""
        assert self.process.stdin
        start = len(self.text)
        self.process.stdin.write(lines.encode() + b"\n")
        return self.wait(until, start)

    def wait(self, until: str, start: int = 0) -> str:
        with self._grown:
            found = self._grown.wait_for(lambda: until in self.text[start:], timeout=240)
        assert found, f"no {until!r} in: {self.text[start:]}"
        return self.text[start:]

    def end(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(240)

    def close(self) -> None:
        self.process.kill()
        self._reader.join()
        with self.process:  # closes its pipes
            pass


@pytest.fixture
def dialogue(sprites: Path, tmp_path: Path) -> Iterator[Callable[..., Dialogue]]:
    started: list[Dialogue] = []

    def start(*command: str, folder: Path) -> Dialogue:
        started.append(Dialogue([*command], folder, tmp_path, sprites))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_ipython_inside_the_package_trains_saves_loads_and_shows(
    dialogue: Callable[..., Dialogue], tmp_path: Path
) -> None:
    pytest.importorskip("IPython")
    ipython = Path(sys.executable).with_name("ipython")
    start = [str(ipython)] if ipython.exists() else [sys.executable, "-m", "IPython"]
    talk = dialogue(*start, "-i", "train.py", folder=PACKAGE)
    talk.wait("r(cnoise=15.0) trains")
    talk.type(
        f"import os, sys; print('torch' in sys.modules); os.chdir({str(tmp_path)!r})", "False"
    )
    said = talk.type("for i in range(2):\n    r(cnoise=15.0)\n", "epoch 2 in")
    assert "22 training and 8 test images" in said and "teaching-progress.png" in said
    said = talk.type("r(ep=1000, cnoise=5)", "epoch 4 in")  # and it would go on for long
    talk.process.send_signal(signal.SIGINT)
    talk.wait("the weights are kept")
    talk.type("save()", "epochs of training to")
    talk.type("load()", "epochs of training, the last")
    talk.type("show()", "picture: ")
    said = talk.type("load('teaching.png')", "npeg: ")
    said = talk.type("print('no', 'trace')", "no trace")
    assert talk.end() == 0
    assert "Traceback" not in talk.text
    assert (tmp_path / "teaching.safetensors").stat().st_size > 700_000
    with Image.open(tmp_path / "teaching.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    "command", [["-i", "npeg/train.py"], ["-i", "-m", "npeg.train"]], ids=["script", "module"]
)
def test_python_from_the_root_needs_nothing_installed_before_the_first_command(
    command: list[str], dialogue: Callable[..., Dialogue]
) -> None:
    talk = dialogue(sys.executable, "-S", *command, folder=PACKAGE.parent)  # no site-packages
    talk.wait("r(cnoise=15.0) trains")
    talk.type("import npeg; print(npeg.__file__)", str(PACKAGE / "__init__.py"))
    talk.type("r()", "npeg: training needs torch, which is not installed: pip install")
    assert talk.end() == 0
    assert "Traceback" not in talk.text


def test_the_network_keeps_the_resolution_and_makes_128_planes() -> None:
    model = Autoencoder()
    x = torch.rand(2, 3, 32, 40)
    x_hat, code = model(x, 15.0)
    assert code.shape == (2, 128, 32, 40) and x_hat.shape == x.shape
    assert model.features(x).min() < -1, "the last layer must have no ELU"
    widths = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [16, 32, 64, 128, 64, 32, 16, 3]
    assert sum(isinstance(m, nn.ELU) for m in model.modules()) == 6


def test_noise_saturates_the_code_and_the_threshold_makes_it_binary() -> None:
    torch.manual_seed(0)
    features = torch.zeros(100_000)
    assert soften(features).unique() == 0.5
    noisy = soften(features, 15.0)
    assert float(torch.logit(noisy.double(), 1e-12)[noisy < 0.9].std()) > 5
    assert ((noisy < 0.1) | (noisy > 0.9)).float().mean() > 0.85
    assert binarize(torch.tensor([0.2, 0.5, 0.6])).tolist() == [0, 0, 1]
    assert binarize(torch.tensor([0.2, 0.5, 0.6]), 0.1).tolist() == [1, 1, 1]


def test_augmentation_is_one_gain_and_one_bias_an_image_clipped() -> None:
    torch.manual_seed(0)
    x = torch.tensor([0.4, 0.6]).view(1, 2, 1, 1).expand(5000, 2, 1, 1)
    low, high = augment(x)[:, :, 0, 0].T
    inside = (low > 0) & (high < 1)
    gain = ((high - low) / 0.2)[inside]
    bias = (low - 0.4 * (high - low) / 0.2)[inside]
    assert 0.6 <= gain.min() < 0.62 and 1.38 < gain.max() <= 1.4001
    assert -0.2001 <= bias.min() < -0.18 and 0.18 < bias.max() <= 0.2001
    assert augment(torch.ones(1000, 3, 2, 2)).max() == 1


def test_the_original_loss_is_mean_error_plus_a_hundredth_of_mean_code_squared() -> None:
    x, x_hat, code = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 128, 4, 4)
    expected = ((x - x_hat) ** 2).mean() + 0.01 * (code**2).mean()
    for cnoise in (0.1, 15.0):
        assert float(losses.original(x, x_hat, code, cnoise).total()) == pytest.approx(
            float(expected)
        )


def test_the_perceptual_loss_scales_the_sparsity_by_the_noise() -> None:
    x, x_hat, code = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4), torch.rand(2, 128, 4, 4)
    loss = losses.perceptual(lambda a, b: (a - b).abs().mean())
    error, sparsity, perception = (float(t) for t in loss(x, x_hat, code, 15.0))
    assert error == pytest.approx(float(F.mse_loss(x, x_hat)))
    assert sparsity == pytest.approx(0.01 * 15 * float(code.mean()))
    assert perception == pytest.approx(0.1 * float((x - x_hat).abs().mean()))


def test_ms_ssim_is_that_of_the_bench_and_has_two_scales_at_32_pixels() -> None:
    pytest.importorskip("scipy")
    random = np.random.default_rng(0)
    clean = np.asarray(Image.fromarray(images(1, 5)[0]).resize((176, 192)))
    noisy = (clean + random.normal(0, 12, clean.shape)).clip(0, 255).astype(np.uint8)
    x, y = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255 for p in (clean, noisy))
    assert float(losses.ms_ssim(x, y)) == pytest.approx(ssim.ms_ssim(clean, noisy), abs=1e-4)
    assert [losses.count_scales(side) for side in (8, 20, 21, 32, 40, 41, 160, 161, 999)] == [
        *(1, 1, 2, 2, 2, 3, 4, 5, 5)
    ]
    assert float(losses.ms_ssim_distance(x, x)) == pytest.approx(0, abs=1e-5)


def test_ms_ssim_has_a_finite_gradient_even_for_unlike_images() -> None:
    x, y = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32, requires_grad=True)
    losses.ms_ssim_distance(x, y).backward()
    assert y.grad is not None and y.grad.isfinite().all() and y.grad.abs().max() > 0


def test_training_lowers_the_loss_and_tells_what_came_of_it(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    first = program.r(cnoise=1.0)
    last = program.r(ep=4, cnoise=1.0, lr=3e-3)
    assert first and last and last < first
    out = capsys.readouterr().out
    assert out.count("as bits: error") == 5 and "ones" in out
    assert Path("teaching-progress.png").exists()


def test_ctrl_c_stops_an_epoch_and_keeps_the_weights(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = session._train_step, iter(range(100))
    before = session.model.state_dict()["encoder.0.weight"].clone()

    def interrupted(*args: Any) -> Any:
        if next(calls) % 2:
            raise KeyboardInterrupt
        return step(*args)

    monkeypatch.setattr(session, "_train_step", interrupted)
    assert program.r(ep=5, cnoise=1.0)
    assert "stopped; the weights are kept" in capsys.readouterr().out
    assert not torch.equal(session.model.state_dict()["encoder.0.weight"], before)
    with pytest.raises(KeyboardInterrupt):  # at once again: out of the loop around r
        program.r(cnoise=1.0)


def test_saved_weights_come_back(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    loss = program.r(cnoise=2.0)
    program.save("w.safetensors")
    kept = {k: v.clone() for k, v in session.model.state_dict().items()}
    program.r(cnoise=2.0)
    program.load("w.safetensors")
    for name, value in session.model.state_dict().items():
        assert torch.equal(value, kept[name]), name
    assert session.history == [(2.0, loss)]
    assert str(Path("w.safetensors").absolute()) in capsys.readouterr().out


def test_loading_something_else_is_one_line_and_changes_nothing(session: Session) -> None:
    from safetensors.torch import save_file

    kept = {k: v.clone() for k, v in session.model.state_dict().items()}
    Path("text.safetensors").write_text("no weights")
    Path("empty.safetensors").write_bytes(b"")
    save_file({"other": torch.zeros(2)}, "other.safetensors")
    wide = kept | {"encoder.0.weight": torch.zeros(8, 3, 3, 3)}
    save_file(wide, "wide.safetensors", {"npeg": json.dumps([1])})
    for name, message in {
        "nowhere": "no such file",
        "text": "not a safetensors file",
        "empty": "not a safetensors file",
        "other": "other weights: found nothing as decoder.0.bias",
        "wide": r"found \(8, 3, 3, 3\) as encoder.0.weight, expected \(16, 3, 3, 3\)",
    }.items():
        with pytest.raises(NpegError, match=message) as caught:
            program.load(f"{name}.safetensors")
        assert "\n" not in str(caught.value)
    for name, value in session.model.state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_evaluation_measures_each_path_with_the_original_loss(
    session: Session, sprites: Path
) -> None:
    report = program.evaluate(cnoise=15.0, n=8)
    x = torch.from_numpy(cifar.read_images(sprites).test[:8]).float() / 255
    with torch.no_grad():
        x_hat, code = session.model(x)
        binary = binarize(code)
        continuous = losses.original(x, x_hat, code, 0).total()
        bits = losses.original(x, session.model.decode(binary), binary, 0).total()
    assert report.test.images == 8
    assert report.test.continuous == pytest.approx(float(continuous), rel=1e-4)
    assert report.test.binary == pytest.approx(float(bits), rel=1e-4)
    assert report.test.ones == pytest.approx(float(binary.mean()), rel=1e-4)
    assert report.test.noisy != report.test.continuous != report.train.continuous
    assert program.evaluate(cnoise=15.0, n=8) == report, "the noise must be fixed"
    assert len(repr(report).splitlines()) == 3


def test_show_writes_a_picture_of_all_planes(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    program.show(threshold=0.3, path="here.png")
    assert str(Path("here.png").absolute()) in capsys.readouterr().out
    with Image.open("here.png") as picture:
        assert picture.width > 2 * 16 * 32 and picture.height > 3 * 128 + 8 * 32
    with pytest.raises(NpegError, match="between 0 and 1"):
        program.show(threshold=1)
    with pytest.raises(NpegError, match="cannot be written"):
        program.show(path="no/such/folder.png")


def test_senseless_arguments_are_refused_before_anything_is_read(session: Session) -> None:
    for wrong in ({"ep": 0}, {"cnoise": -1.0}, {"lr": 0.0}, {"cnoise": float("nan")}):
        with pytest.raises(NpegError, match="expected ep >= 1"):
            program.r(**wrong)
    with pytest.raises(NpegError, match="n=0, expected"):
        program.evaluate(n=0)
    with pytest.raises(NpegError, match="neither mse, ms-ssim, vgg16 nor a file"):
        program.r(loss="nothing")
    assert session._data is None


def test_the_same_trainer_takes_a_perceptual_loss(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.r(cnoise=1.0, loss="ms-ssim")
    assert program.r(cnoise=1.0, loss=Features())
    assert capsys.readouterr().out.count("+ perception") == 2
    with pytest.raises(NpegError, match="not differentiable on 32x32 images"):
        program.r(loss=lambda x: x.detach())
