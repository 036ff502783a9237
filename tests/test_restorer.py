"""The restorer's training: samples, exact resume, and a graph that equals the network."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from npeg.bench.metrics.luma import luma, studio_luma  # noqa: E402
from npeg.bench.metrics.psnr_b import blocking  # noqa: E402
from npeg.cli import main  # noqa: E402
from npeg.errors import InputError  # noqa: E402
from npeg.training import restorer  # noqa: E402
from npeg.training.data import draw_sample, load_images  # noqa: E402
from npeg.training.loop import Settings  # noqa: E402
from npeg.training.restorer import (  # noqa: E402
    FLOAT_PAIRS,
    Restorer,
    Shape,
    Trainer,
    decoded_as,
    degrade,
    draw_batch,
    usual_mse,
)

TINY = Shape(widths=(16, 32), pairs=(1, 1))


def waves(seed, side=96):
    i, j = np.mgrid[:side, :side] + 20 * seed
    planes = [np.sin(i / 5), np.sin(i * j / 900), np.cos((i + j) / 7)]
    return (128 + 110 * np.stack(planes, axis=-1)).astype(np.uint8)


@pytest.fixture()
def settings(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(waves(seed)).save(folder / f"{seed}.png")
    return Settings(folder, tmp_path / "out", steps=6, decay=3, batch=4, crop=64, validate_every=3)


def test_samples_are_codec_output_beside_their_originals():
    kinds = set()
    for seed in range(60):
        original, decoded, _ = degrade(waves(1, 72), np.random.default_rng(seed))
        assert original.shape == decoded.shape == (64, 64, 3)
        assert original.dtype == decoded.dtype == np.uint8
        error = np.abs(original.astype(int) - decoded).mean()
        assert error < 25
        kinds.add((bool(np.ptp(original, axis=2).max()), error > 0))
    assert (True, True) in kinds and (False, True) in kinds  # colour and grey


def test_most_samples_have_blocks_that_start_in_the_corner():
    blocky = 0
    for seed in range(60):
        original, decoded, _ = degrade(waves(1, 72), np.random.default_rng(seed))
        blocky += blocking(luma(decoded)) > blocking(luma(original))
    assert blocky > 35


def test_some_samples_are_scaled_down():
    stripes = np.zeros((96, 96, 3), np.uint8)
    stripes[(np.arange(96) // 8 % 2).astype(bool)] = 255  # period 16
    edges = []
    for seed in range(40):
        sample = draw_sample([stripes], 64, np.random.default_rng(seed), max_downscale=4.0)
        assert sample.shape == (3, 64, 64)
        line = sample[0, :, 0] if np.ptp(sample[0, :, 0].astype(int)) else sample[0, 0]
        edges.append(np.count_nonzero(np.diff(line > 127)))
    assert min(edges) <= 8 and max(edges) >= 10  # 64 of 96 rows, and up to all 96


@pytest.mark.parametrize("quality", [10, 40, 75, 95])
def test_the_usual_error_is_about_that_of_a_jpeg(quality):
    from skimage import data

    photograph = np.ascontiguousarray(data.astronaut()[..., 0])
    found = np.mean((photograph.astype(float) - decoded_as(photograph, "JPEG", quality)) ** 2)
    assert found / 255**2 / usual_mse(quality) == pytest.approx(1, rel=0.8)


def test_a_batch_is_a_function_of_seed_and_step(settings):
    images = [waves(0), waves(1)]
    first, again = (draw_batch(images, settings, 3) for _ in range(2))
    other = draw_batch(images, settings, 4)
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_training_goes_on_exactly_after_a_stop(settings):
    whole = restorer.train(settings, TINY)
    half = replace(settings, out=settings.out.with_name("half"))
    images = load_images(settings.images, settings.crop + Trainer.MARGIN)
    trainer = Trainer(half, TINY)
    for k in range(3):
        trainer.train_step(trainer.batch_at(images, k))
    trainer.save()
    resumed = restorer.train(half)
    for ours, theirs in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_no_tensor_stays_behind_on_the_cpu(settings):
    """A step on PyTorch's meta device, which computes nothing but refuses tensors of another."""
    trainer = Trainer(replace(settings, device="meta"), TINY)
    batch = trainer.batch_at(load_images(settings.images, 72, progress=False), 0)
    assert trainer.train_step(batch).device.type == "meta"


def test_it_begins_as_the_identity_and_learns(settings):
    settings = replace(settings, steps=40, decay=20, lr=3e-3)
    images = [waves(seed) for seed in range(3)]
    trainer = Trainer(settings, TINY)
    batch = trainer.batch_at(images, 0)
    gains = [float(trainer.train_step(batch)[1]) for _ in range(40)]
    assert abs(gains[0]) < 1e-5
    assert gains[-1] > 0.3


def test_the_graph_equals_the_network_on_images_of_any_size(settings, tmp_path):
    restorer.train(settings, TINY)
    out = tmp_path / "model"
    checkpoint = settings.out / "checkpoint.pt"
    assert main(["export", str(checkpoint), "--codec", "restorer", "--out", str(out)]) == 0
    state = restorer.load_checkpoint(checkpoint)
    model = Restorer(Shape(**state["shape"])).eval()
    model.load_state_dict(state["average"])
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(out / "restorer.onnx")
    for h, w in ((8, 8), (64, 40)):
        pixels = np.random.default_rng(h).integers(0, 256, (1, h, w, 3), np.uint8)
        with torch.no_grad():
            expected = model(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        found = session.run(None, {"pixels": pixels})[0].transpose(0, 3, 1, 2)
        assert np.abs(found - 255 * expected.numpy()).max() < 0.25  # weights in half precision


def test_8_bits_move_the_estimate_a_little_and_the_graph_computes_on_them(settings, tmp_path):
    checkpoint = settings.out / "checkpoint.pt"
    torch.manual_seed(0)
    trainer = Trainer(settings, replace(TINY, pairs=(3, 1)))
    for parameter in trainer.average.parameters():
        parameter += 0.05 * torch.randn_like(parameter)  # nothing is zero any more
    trainer.save()
    out, model = tmp_path / "model", trainer.average
    arguments = ["--codec", "restorer", "--out", str(out), "--images", str(settings.images)]
    assert main(["export", str(checkpoint), *arguments]) == 0
    onnx = pytest.importorskip("onnx")
    operators = [node.op_type for node in onnx.load(out / "restorer.onnx").graph.node]
    assert operators.count("QLinearConv") == 2 * (3 + 3 + 1 - FLOAT_PAIRS)
    session = pytest.importorskip("onnxruntime").InferenceSession(out / "restorer.onnx")
    pixels = waves(4)[None]
    found = session.run(None, {"pixels": pixels})[0]
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    expected = (255 * model(x)).permute(0, 2, 3, 1).numpy()
    change = (expected - pixels).std()
    assert change > 5
    assert 0 < np.std(found - expected) < 0.05 * change  # of a network that was not trained
    assert main(["export", str(checkpoint), *arguments, "--float", "-f"]) == 0
    operators = [node.op_type for node in onnx.load(out / "restorer.onnx").graph.node]
    assert "QLinearConv" not in operators


def test_bare_weights_start_a_new_run(settings, tmp_path):
    trained = restorer.train(settings, TINY)
    bare = tmp_path / "weights.safetensors"
    arguments = ["--codec", "restorer", "--out", str(tmp_path / "model"), "--weights", str(bare)]
    assert main(["export", str(settings.checkpoint), *arguments]) == 0
    again = Trainer(replace(settings, out=tmp_path / "new", resume=bare))
    assert again.step == 0
    pairs = zip(trained.average.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(ours.half(), theirs.half()) for ours, theirs in pairs)


def test_studio_luma_is_that_of_matlab():
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]])
    assert studio_luma(colours.astype(np.uint8)).tolist() == [[16, 235, 81, 145, 41]]


def test_what_cannot_be_trained_is_refused(settings, tmp_path):
    with pytest.raises(InputError, match="--crop is 60, expected a multiple of 8"):
        restorer.train(replace(settings, crop=60))
    file = BytesIO(b"nothing")
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(file.getvalue())
    with pytest.raises(InputError, match="not a checkpoint"):
        restorer.load_checkpoint(path)
