"""`npeg train`: its arguments, and the hand-over to the loop.  Imports no torch until it runs."""

import argparse
from pathlib import Path

from ..errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; the defaults are those of the codec's `Settings`."""
    _add_run(parser)
    _add_speed(parser)
    _add_parts(parser)
    _add_loss(parser)
    add = parser.add_argument
    add("--checkpoint-minutes", type=float, metavar="F", help="between checkpoints (default 5)")
    add("--validate-every", type=int, metavar="N", help="steps between validations (default 2000)")


def _add_run(parser: argparse.ArgumentParser) -> None:
    """Declare what is trained, on what and for how long."""
    add = parser.add_argument
    add(
        "--codec",
        choices=("npeg", "dither8", "restorer"),
        default="npeg",
        help="which networks: npeg's, the strided binary autoencoder, or the restorer of "
        "npeg enhance (default npeg)",
    )
    add("--images", type=Path, required=True, metavar="DIR", help="folder of training images")
    add("--out", type=Path, required=True, metavar="DIR", help="checkpoint and logs go here")
    add("--val", type=Path, metavar="DIR", help="folder of images to validate on")
    add("--resume", type=Path, metavar="FILE", help="start from this checkpoint if DIR has none")
    add("--steps", type=int, metavar="N", help="steps in all (default 20000)")
    add("--decay", type=int, metavar="N", help="last steps, falling to rate 0 (default 10000)")
    add("--batch", type=int, metavar="N", help="crops a step and process (default 8)")
    add("--crop", type=int, metavar="PX", help="side of a crop, a multiple of 64 (default 256)")
    add("--lr", type=float, metavar="F", help="learning rate (default 1e-3)")
    add("--seed", type=int, metavar="N", help="the same seed gives the same losses (default 0)")


def _add_speed(parser: argparse.ArgumentParser) -> None:
    """Declare what computes, and how."""
    add = parser.add_argument
    add("--threads", type=int, metavar="N", help="threads a process (default: PyTorch's)")
    add("--device", metavar="NAME", help="where to train, as PyTorch calls it: cpu (default), cuda")
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes that draw crops, for steps shorter than drawing (default 0: a thread)",
    )
    add(
        "--winograd",
        action="store_const",
        const=True,
        help="convolve by Winograd's method: shorter steps on CPUs without AVX-512; needs a C++ "
        "compiler and ninja",
    )
    add(
        "--bf16",
        action="store_const",
        const=True,
        help="convolve in bfloat16: shorter steps on GPUs, and on CPUs with its instructions "
        "(AVX512_BF16, AMX)",
    )


def _add_parts(parser: argparse.ArgumentParser) -> None:
    """Declare which parts are trained."""
    add = parser.add_argument
    add(
        "--only-entropy",
        action="store_const",
        const=True,
        help="train npeg's entropy model alone, the transforms as they are: much shorter steps",
    )
    add(
        "--only-synthesis",
        action="store_const",
        const=True,
        help="train npeg's synthesis alone, on latents as its encoder codes them: to be done last",
    )


def _add_loss(parser: argparse.ArgumentParser) -> None:
    """Declare what is minimised, on which crops."""
    add = parser.add_argument
    add(
        "--tune",
        choices=("psnr", "visual"),
        help="what npeg's errors cost: their square, or mostly what SSIMULACRA2 and MS-SSIM say of "
        "them, with wider and narrower quantisation where the hyper-latents ask (default psnr)",
    )
    add("--ramp", type=int, metavar="N", help="steps until hyper-latents cost in full (default 0)")
    add(
        "--downscale",
        type=float,
        metavar="F",
        help="scale every other crop down, from up to F times as much image in each direction: "
        "for training images softer than those to be coded (default 1)",
    )
    add(
        "--vivid",
        type=float,
        metavar="SHARE",
        help="make this share of npeg's crops more colourful and sharper, as photographs on the "
        "web are (0 to 1, default 0)",
    )


def run(args: argparse.Namespace) -> int:
    """Train, resuming from DIR's own checkpoint when there is one."""
    from .loop import Settings, settings_from

    if args.downscale is not None and not (args.codec == "npeg" and args.downscale >= 1):
        raise InputError(f"--downscale is {args.downscale:g}, expected 1 or more, for npeg alone")
    if args.vivid is not None and not (args.codec == "npeg" and 0 <= args.vivid <= 1):
        raise InputError(f"--vivid is {args.vivid:g}, expected 0 to 1, for npeg alone")
    if args.codec != "npeg" and (args.only_entropy or args.ramp):
        raise InputError(f"{args.codec} has no entropy model: leave out --only-entropy and --ramp")
    if args.only_synthesis and (args.codec != "npeg" or args.only_entropy):
        raise InputError("--only-synthesis is for npeg, and without --only-entropy")
    if args.codec == "dither8":
        from .dither import photographs

        if args.decay is not None:
            raise InputError("found --decay for dither8, whose rate falls over the whole run")
        photographs.train(settings_from(Settings, vars(args)))
        return 0
    if args.codec == "restorer":
        from . import restorer

        restorer.train(settings_from(Settings, vars(args)))
        return 0
    from . import rate_distortion

    rate_distortion.train(settings_from(rate_distortion.Settings, vars(args)))
    return 0
