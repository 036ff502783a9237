"""Model id to inference sessions and entropy tables.

Ids are written by hand and never renumbered; a file names the id it was encoded with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from . import own_models, weights
from .arrays import Levels, Pixels
from .container import LEVELS, OWN_MODEL
from .entropy import Tables
from .errors import FormatError
from .sessions import once_a_process, open_session
from .threads import thread_count

MODELS = {7: "seventh", 8: "eighth"}  # model id -> folder below models/
WITHDRAWN = {1, 2, 3, 4, 5, 6}  # previews that were never released
DEFAULT_MODEL = 8
FOLDER = Path(__file__).parent / "models"

Float = NDArray[np.float32]

LEVEL = np.float32(1 / 255)  # of the synthesis in [0, 1], as its graph divides by it


def fingerprint(folders: Iterable[Path]) -> str:
    """Return eight hexadecimal digits that change with the weights in any of the folders."""
    paths = sorted(path for folder in folders for path in folder.iterdir())
    weights = [path for path in paths if path.suffix in (".onnx", ".npz")]
    return sha256(b"".join(sha256(path.read_bytes()).digest() for path in weights)).hexdigest()[:8]


@dataclass(frozen=True)
class Model:
    """One shipped set of networks: latents scaled by the quality go in and out.

    Every method takes one image or tile; t is the quality in [0, 1], level its byte.
    """

    folder: Path
    threads: int

    def _session(self, name: str) -> ort.InferenceSession:
        return open_session(self.folder / f"{name}.onnx", self.threads)

    @cached_property
    def _analysis(self) -> ort.InferenceSession:
        return self._session("analysis")

    @cached_property
    def _scale_head(self) -> ort.InferenceSession:
        return self._session("scale_head")

    @cached_property
    def _mean_head(self) -> ort.InferenceSession:
        return self._session("mean_head")

    @cached_property
    def _context(self) -> ort.InferenceSession:
        return self._session("context")

    @cached_property
    def _synthesis(self) -> ort.InferenceSession:
        return self._session("synthesis")

    @cached_property
    def _preview(self) -> ort.InferenceSession:
        return self._session("preview")

    @cached_property
    def _latent_error(self) -> ort.InferenceSession:
        return self._session("latent_error")

    @cached_property
    def _entropy(self) -> dict[str, NDArray[Any]]:
        with np.load(
            weights.open_arrays(self.folder / "entropy.npz"), allow_pickle=False
        ) as arrays:
            return dict(arrays)

    @cached_property
    def tables(self) -> Tables:
        """The probability tables of the bitstream."""
        return Tables(self._entropy["tables"])

    @cached_property
    def first_coded(self) -> int:
        """Latents whose table index is lower are not coded; their symbol is 0."""
        return int(self._entropy["first_coded"])

    @cached_property
    def token_bits(self) -> Float:
        """Ideal length in bits of each token under each table, sign and low bits included."""
        return self.tables.token_bits.astype(np.float32)

    @property
    def hyper_latents(self) -> int:
        """Z, the number of hyper-latent channels."""
        return int(self._entropy["index_z"].shape[1])

    @property
    def latents(self) -> int:
        """M, the number of latent channels."""
        return int(self._entropy["offset_y"].shape[1])

    @cached_property
    def frequency_ranks(self) -> NDArray[np.int64]:
        """The place of each latent channel by its frequency, (M,): low ones come first.

        Each axis of colour has its channels by frequency; there are about three of luma for one of
        each chroma axis, and so do they take turns.
        """
        luma = min(self.latents * 5 // 8, 256)
        others = self.latents - luma
        counts = luma, (others + 1) // 2, others // 2
        shares = np.concatenate([np.arange(count) / max(count, 1) for count in counts])
        return np.argsort(np.argsort(shares, kind="stable"), kind="stable")

    def index_z(self, level: int) -> NDArray[np.int32]:
        """Return the table index of each hyper-latent channel, (Z,)."""
        return self._entropy["index_z"][level]

    def analysis(self, levels: Levels, level: int) -> tuple[Float, Float]:
        """Levels of 255 (H, W, 3), sides multiples of 64, to y (M, H/16, W/16) and z, a quarter."""
        y, z = self._analysis.run(None, {"pixels": _batch(levels), "t": self._t(level)})
        return y[0], z[0]

    def scale_indexes(self, z_hat: Float, level: int) -> Pixels:
        """z_hat (Z, h, w), integers, to table indexes (M, 4h, 4w), the same on every machine."""
        inputs = {
            "z_hat": z_hat[None],
            "multiplier": self._row("multiplier_z", level),
            "offset": self._row("offset_y", level),
        }
        indexes: NDArray[np.uint8] = self._scale_head.run(None, inputs)[0][0]
        return indexes

    def anchor_means(self, z_hat: Float, level: int) -> tuple[Float, Float, Float]:
        """z_hat (Z, h, w) to what is known of latents before any is decoded.

        Returns:
            Features psi (1, C, 4h, 4w), the anchors' means (M, 4h, 4w), and what a symbol is worth,
            (M, 4h, 4w): the quantisation step; of models whose steps do not adapt (1, 1, 1), 1.
        """
        psi, means, *steps = self._mean_head.run(None, {"z_hat": z_hat[None], "t": self._t(level)})
        return psi, means[0], steps[0][0] if steps else np.ones((1, 1, 1), np.float32)

    def context_means(self, psi: Float, anchors: Float, level: int) -> Float:
        """psi (1, C, h, w) and anchors (M, h, w), zero elsewhere, to means (M, h, w)."""
        inputs = {"psi": psi, "anchors": anchors[None], "t": self._t(level)}
        means: Float = self._context.run(None, inputs)[0][0]
        return means

    def synthesis(self, y_hat: Float, level: int) -> Pixels:
        """y_hat (M, h, w) to pixels (16h, 16w, 3)."""
        inputs = {"y_hat": y_hat[None], "t": self._t(level)}
        pixels: Pixels = self._synthesis.run(["pixels"], inputs)[0][0]
        return pixels

    def levels(self, y_hat: Float, level: int) -> Float:
        """y_hat (M, h, w) to what `synthesis` rounds, levels 0..255 (16h, 16w, 3)."""
        inputs = {"y_hat": y_hat[None], "t": self._t(level)}
        patches: Float = self._synthesis.run(["patches"], inputs)[0][0]
        h, w, channels = patches.shape
        side = isqrt(channels // 3)
        rows = patches.reshape(h, w, side, side * 3).swapaxes(1, 2)
        levels = np.divide(rows, LEVEL, order="C").reshape(h * side, w * side, 3)
        return levels.clip(0, 255, out=levels)

    def preview(self, y_hat: Float, level: int) -> Pixels:
        """y_hat (M, h, w) to a picture of a quarter of the size, (4h, 4w, 3), by a matrix alone."""
        inputs = {"y_hat": y_hat[None], "t": self._t(level)}
        pixels: Pixels = self._preview.run(None, inputs)[0][0]
        return pixels

    def latent_error(
        self, pixels: Levels, decoded: Levels, level: int, chroma: float, masking: float
    ) -> tuple[Float, Float]:
        """Project the error of decoded levels (H, W, 3), sides multiples of 16, on the latents.

        An error of chroma counts `chroma` times, one of its means chroma^3 times; that of a pixel
        the less by the slopes around it, the larger `masking` is: 0 for not at all.

        Returns:
            (M, H/16, W/16), by how many symbols each latent should be larger if the synthesis were
            linear and the others stayed; the same shape, the bits that a squared symbol is worth.
        """
        inputs = {"pixels": _batch(pixels), "decoded": _batch(decoded), "t": self._t(level)}
        inputs |= {"chroma": np.array([chroma], np.float32)}
        inputs |= {"masking": np.array([masking], np.float32)}
        error, weight = self._latent_error.run(None, inputs)
        return error[0], weight[0]

    def _t(self, level: int) -> Float:
        """Return the t that a level of quality is to the networks, (1,)."""
        if "t" in self._entropy:
            return self._entropy["t"][level : level + 1]
        return np.array([level / (LEVELS - 1)], np.float32)

    def _row(self, name: str, level: int) -> Float:
        return self._entropy[name][level].astype(np.float32)[None, :, None, None]


def _batch(levels: Levels) -> Float:
    """Return levels (H, W, 3) as the graphs take them, (1, H, W, 3)."""
    return levels[None].astype(np.float32, copy=False)


@once_a_process
def _load(folder: Path, name: int | str, threads: int) -> Model:
    return Model(folder, threads)


def load(model: int | str = DEFAULT_MODEL, threads: int | None = None) -> Model:
    """Return networks; sessions are built when first used, then kept.

    Args:
        model: the id of a shipped model, or the name of one's own, as `Header.model`.
        threads: of its sessions; None: as NPEG_THREADS says.

    Raises:
        FormatError: it is not here.
    """
    return _load(_folder(model), model, threads or thread_count())


def _folder(model: int | str) -> Path:
    if isinstance(model, str):
        return own_models.folder_of(model, _shipped().values())
    if model in WITHDRAWN:
        raise FormatError(f"file needs model {model}, a preview that was never released")
    if model not in MODELS:
        raise FormatError(f"file needs model {model}, this npeg has {', '.join(map(str, MODELS))}")
    return FOLDER / MODELS[model]


def _shipped() -> dict[int, Path]:
    return {model_id: FOLDER / name for model_id, name in MODELS.items()}


def identify(folder: Path) -> tuple[int, str]:
    """Return the id and the name by which files name the model in a folder: one of them counts.

    Raises:
        InputError: there is no such model.
    """
    name = own_models.name_of(folder)
    for model_id, shipped in _shipped().items():
        if name == own_models.name_of(shipped):
            return model_id, ""
    return OWN_MODEL, name
