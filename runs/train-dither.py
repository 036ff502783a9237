"""Weights of the dither codec: the teaching network on CIFAR-10, weak noise first, then strong.

python runs/train-dither.py [--minutes M] [--noise 1,5,15] [--out FILE] [--resume]

Without --minutes each noise level takes an epoch; with it, at most so long.  Then:
npeg export teaching.safetensors --codec dither --images PHOTOGRAPHS --out npeg/models/dither
"""

import argparse
import signal
from pathlib import Path

from npeg.train import evaluate, load, r, save, session


def interrupt(*_: object) -> None:
    """End the epoch at hand as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Train at each noise level and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, help="a noise level; without it an epoch")
    parser.add_argument("--noise", default="1,5,15", help="levels in order (default 1,5,15)")
    parser.add_argument("--out", type=Path, default=Path("teaching.safetensors"))
    parser.add_argument("--batch", type=int, default=20, help="images a step (default 20)")
    parser.add_argument("--lr", type=float, default=1e-3, help="of Adam (default 1e-3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on from the weights in --out")
    args = parser.parse_args()
    import torch

    import npeg.teaching.session

    npeg.teaching.session.BATCH = args.batch
    torch.manual_seed(args.seed)
    session().data()
    if args.resume:
        load(args.out)
    signal.signal(signal.SIGALRM, interrupt)
    for noise in map(float, args.noise.split(",")):
        signal.setitimer(signal.ITIMER_REAL, 60 * (args.minutes or 0))
        r(cnoise=noise, lr=args.lr)
        signal.setitimer(signal.ITIMER_REAL, 0)
        save(args.out)
    print(evaluate(n=100))


if __name__ == "__main__":
    main()
