"""Weights of the dither codec: the teaching network on CIFAR-10, weak noise first, then strong.

python runs/train-dither.py [--minutes M] [--noise 1,5,15] [--finish N] [--out FILE] [--resume]

Without --minutes each noise level takes an epoch; with it, at most so long.  Until the training is
long, the decoder lives on the noise itself, and a thresholded code is worth little: --finish takes
N steps more in which the code goes through the threshold and the noise falls to nothing.  Then:
npeg export teaching.safetensors --codec dither --images PHOTOGRAPHS --out npeg/models/dither
"""

import argparse
import signal
from pathlib import Path

from npeg.train import evaluate, load, r, save, session


def interrupt(*_: object) -> None:
    """End the epoch at hand as Ctrl-C does."""
    raise KeyboardInterrupt


def finish(steps: int, batch: int, lr: float, cnoise: float) -> None:
    """Let the noise and the learning rate fall to nothing, with a thresholded code."""
    import torch
    from tqdm import tqdm

    from npeg.teaching.losses import original
    from npeg.teaching.network import augment
    from npeg.teaching.strided import noisy_code

    model, images = session().model, session().data().train
    optimizer = torch.optim.Adam(model.parameters(), lr)
    bar = tqdm(range(steps), desc="finishing", unit="batch")
    for step in bar:
        left = 1 - step / steps
        for group in optimizer.param_groups:
            group["lr"] = lr * left
        chosen = torch.randint(len(images), (batch,), device=images.device)
        x = augment(images[chosen].float() / 255)
        features = model.features(x)
        code = noisy_code(features, cnoise * left, True, torch.randn_like(features))
        terms = original(x, model.decode(code), code, cnoise * left)
        optimizer.zero_grad()
        terms.total().backward()
        optimizer.step()
        bar.set_postfix_str(f"error {float(terms.error.detach()):.5f}", refresh=False)


def main() -> None:
    """Train at each noise level and save."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, help="a noise level; without it an epoch")
    parser.add_argument("--noise", default="1,5,15", help="levels in order (default 1,5,15)")
    parser.add_argument("--out", type=Path, default=Path("teaching.safetensors"))
    parser.add_argument("--finish", type=int, default=2500, help="steps at the end (default 2500)")
    parser.add_argument(
        "--start", type=float, help="their noise at first (default: the last level)"
    )
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
    levels = [float(text) for text in args.noise.split(",") if text]
    for noise in levels:
        signal.setitimer(signal.ITIMER_REAL, 60 * (args.minutes or 0))
        r(cnoise=noise, lr=args.lr)
        signal.setitimer(signal.ITIMER_REAL, 0)
        save(args.out)
    if args.finish:
        finish(args.finish, args.batch, args.lr, args.start or levels[-1])
        save(args.out)
    print(evaluate(cnoise=0.0, n=100))


if __name__ == "__main__":
    main()
