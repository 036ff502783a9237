"""`npeg export`: checkpoint to model folder.  Imports no torch until it runs."""

import argparse
from pathlib import Path

from ..errors import InputError
from ..weights import SUMS

SHIPPED = Path(__file__).parents[1] / "models"
FIT_IMAGES = 12  # images that the tables are fitted to, spread over the folder
STEPS_IMAGES = 64  # images that the restorer's 8-bit steps are fitted to
FIT_QUALITIES = (0.05, 0.2, 0.4, 0.6, 0.8, 0.95)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help="checkpoint.pt of npeg train, or for dither the file of the teaching program's save()",
    )
    add(
        "--codec",
        choices=("npeg", "dither", "dither8", "restorer"),
        default="npeg",
        help="which networks these are (default npeg)",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="model folder to write")
    add("-f", "--force", action="store_true", help="overwrite a model folder that exists")
    add(
        "--images",
        type=Path,
        metavar="DIR",
        help="training images to fit the tables, and the steps of 8-bit residual pairs, to",
    )
    add("--float", action="store_true", help="keep the residual pairs in float: slower to run")
    add("--weights", type=Path, metavar="FILE", help="also write bare weights (safetensors)")
    add("--fit", type=int, default=FIT_IMAGES, metavar="N", help="how many of them (default 12)")


def run(args: argparse.Namespace) -> int:
    """Write the weights of a checkpoint as ONNX graphs and integer tables."""
    check_output(args.out, args.force)
    if args.codec == "restorer":
        return _export_restorer(args)
    if args.codec != "npeg":
        return _export_dither(args)
    from .checkpoint import load_checkpoint, save_weights
    from .data import load_images
    from .export.model_folder import export
    from .networks.model import Codec
    from .networks.transforms import Architecture

    state = load_checkpoint(args.checkpoint)
    codec = Codec(Architecture(**state["arch"]))
    codec.load_state_dict(state["average"])
    images = load_images(args.images, 64, most=args.fit) if args.images else []
    tune = state.get("tune", "psnr")
    knots = state.get("knots", (0.0, 1.0))
    export(codec, args.out, images, list(FIT_QUALITIES), not args.float, tune, knots)
    if args.weights:
        save_weights(args.weights, state)
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: step {state['step']}, {size / 1e6:.1f} MB")
    return 0


def check_output(folder: Path, force: bool) -> None:
    """Refuse to replace what is at a folder's place.

    Raises:
        InputError: shipped weights, another thing than a model, or a model and force is not set.
    """
    place = folder.resolve()
    if SHIPPED.resolve() in (place, *place.parents):
        raise InputError(f"found the folder of shipped weights, expected another one: {folder}")
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / SUMS).is_file():
        raise InputError(f"found {folder}, which is no model, expected a new folder")
    if not force:
        raise InputError(f"{folder} exists (-f overwrites it)")


def _export_dither(args: argparse.Namespace) -> int:
    from .dither.export import export

    if args.images is None or args.weights:
        raise InputError(f"{args.codec} needs --images to fit its contexts to, and no --weights")
    export(args.codec, args.checkpoint, args.out, args.images, args.fit)
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


def _export_restorer(args: argparse.Namespace) -> int:
    from .checkpoint import save_weights
    from .data import load_images
    from .restorer import export, load_checkpoint

    eight_bits = args.images and not args.float
    images = load_images(args.images, 64, most=STEPS_IMAGES) if eight_bits else []
    export(args.checkpoint, args.out, images)
    if args.weights:
        save_weights(args.weights, load_checkpoint(args.checkpoint))
    size = sum(path.stat().st_size for path in args.out.iterdir())
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0
