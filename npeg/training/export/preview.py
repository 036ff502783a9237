"""The graph of small pictures, from that of the synthesis.

Enters: a model folder with `synthesis.onnx`. Leaves: `preview.onnx` beside it, which turns latents
into a picture of a quarter of the size by the linear part of the synthesis, averaged over 4x4
pixels, without its residual blocks and its filter.

    python -m npeg.training.export.preview MODEL_FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, utils

from ...weights import write_sums
from ..networks.adaptive_filter import PATCH
from ..networks.transforms import STEP, STRIDE

SIDE = 4  # pixels that a latent has in the small picture
WEIGHT = "g_s.shortcut.weight"


def write_preview(folder: Path) -> None:
    """Write `preview.onnx` of a model folder; its sums are the caller's affair."""
    synthesis = onnx.load(str(folder / "synthesis.onnx"))
    scaled, weight = _input(synthesis), averaged(_weight(synthesis)).astype(np.float16)
    shape = [1, weight.shape[1], "h", "w"]
    known = helper.make_tensor_value_info(scaled, TensorProto.FLOAT, shape)
    synthesis.graph.value_info.append(known)
    model = utils.Extractor(synthesis).extract_model(["y_hat", "t"], [scaled])
    graph = model.graph
    for name, values in (
        ("preview.weight_half", weight[..., None, None]),
        ("preview.bias", np.full(len(weight), 0.5, np.float32)),
        ("preview.step", np.array(1 / 255, np.float32)),
        ("preview.zero", np.array(0, np.uint8)),
    ):
        graph.initializer.append(numpy_helper.from_array(values, name))
    node = helper.make_node
    inputs = [scaled, "preview.weight", "preview.bias"]
    graph.node.insert(
        0, node("Cast", ["preview.weight_half"], ["preview.weight"], to=TensorProto.FLOAT)
    )
    graph.node.extend(
        [
            node("Conv", inputs, ["preview.blocks"]),
            node("DepthToSpace", ["preview.blocks"], ["preview.planes"], blocksize=SIDE),
            node("Transpose", ["preview.planes"], ["preview.linear"], perm=[0, 2, 3, 1]),
            node("QuantizeLinear", ["preview.linear", "preview.step", "preview.zero"], ["pixels"]),
        ]
    )
    del graph.output[:]
    shape = [1, "pixels_h", "pixels_w", 3]
    graph.output.append(helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape))
    onnx.checker.check_model(model)
    (folder / "preview.onnx").write_bytes(model.SerializeToString())


def averaged(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the rows of the shortcut's weights over 4x4 pixels.

    Args:
        weight: (3 * 16^2, M), rows by steps of 8 pixels, then of pixels, then by colour.

    Returns:
        (3 * 4^2, M), rows by pixels, then by colour.
    """
    channels = weight.shape[1]
    size = SIDE // STEP
    within = PATCH // size  # pixels of one that is left
    split = weight.reshape(STEP, STEP, size, within, size, within, 3, channels)
    rows: NDArray[np.float32] = split.mean((3, 5)).transpose(0, 2, 1, 3, 4, 5)
    return rows.reshape(3 * SIDE**2, channels)


def _weight(synthesis: ModelProto) -> NDArray[np.float32]:
    """Return the weights of the linear part, (3 * 16^2, M)."""
    arrays = {tensor.name: tensor for tensor in synthesis.graph.initializer}
    found = numpy_helper.to_array(arrays.get(f"{WEIGHT}_half") or arrays[WEIGHT])
    return found.astype(np.float32).reshape(3 * STRIDE**2, -1)


def _input(synthesis: ModelProto) -> str:
    """Return the name of the scaled latents that the linear part works on."""
    makers: dict[str, NodeProto] = {out: n for n in synthesis.graph.node for out in n.output}

    def root(name: str) -> str:
        while name in makers and makers[name].op_type in ("Transpose", "Flatten", "Reshape"):
            name = makers[name].input[0]
        return name

    for node in synthesis.graph.node:
        if node.op_type in ("MatMul", "Conv") and root(node.input[1]) == WEIGHT:
            return root(node.input[0])
    raise ValueError(f"found no layer of {WEIGHT}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_preview(Path(name))
        write_sums(Path(name))
