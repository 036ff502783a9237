"""npeg's own restorer: a small blind network, tile by tile.

Weights: models/restorer, trained by `npeg train --codec restorer`.
"""

import numpy as np
import onnxruntime as ort

from ..arrays import Pixels
from ..networks import FOLDER
from ..sessions import once_a_process, open_session
from ..threads import thread_count
from .enhancement import blend
from .jpeg_cells import restrained
from .tiling import by_tiles

WEIGHTS = FOLDER / "restorer"
# Multiples of the 8x8 blocks that the network expects in place. It reaches 144 pixels far; with a
# halo of 128 a pixel in a thousand changes, by one step.
TILE, HALO = 1024, 128
MULTIPLE = 8


def restorer(image: Pixels, strength: float) -> Pixels:
    """Remove what a lossy codec has added: blocks, ringing, stains of colour.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
        A decoded photograph, not cropped and not scaled since.
    strength : 0..1
        Share of the correction; 1 is the network's best estimate.

    Returns
    -------
    uint8 array like `image`: of a JPEG within the cells that it was quantised in, of other
    pictures as `jpeg_cells.restrained` says. Failure look: texture that looked like an artefact
    is smoothed.
    """
    session = _session(thread_count())

    def run(part: Pixels) -> Pixels:
        pixels = part if part.ndim == 3 else np.repeat(part[..., None], 3, axis=2)
        found = session.run(None, {"pixels": pixels[None]})[0][0]
        estimate = found if part.ndim == 3 else found.mean(axis=2)
        return np.clip(estimate + 0.5, 0, 255).astype(np.uint8)

    restored = restrained(
        image, by_tiles(image, run, TILE, halo=HALO, multiple=MULTIPLE, inside=True)
    )
    return restored if strength == 1 else blend(image, restored, strength)


@once_a_process
def _session(threads: int) -> ort.InferenceSession:
    return open_session(WEIGHTS / "restorer.onnx", threads)
