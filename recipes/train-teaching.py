"""The teaching program's dialogue on CIFAR-10, to its end: strong noise, or weak noise first.

python recipes/train-teaching.py [--noise 15,15,15,15,15 | --noise 0.1,0.3,1,5,15] [--out FOLDER]

Takes the steps that `r(cnoise=...)` takes, an epoch a level. The folder gets the curve (curve.tsv:
mean loss and its parts of every 250 batches), after each epoch the weights as `save()` writes them
and in half precision (epoch-N.safetensors), and every few minutes all that is needed to go on:
started again, it goes on from there, to the same weights. At the end all test images and as many
training images are measured (evaluation.txt).
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from npeg.teaching.losses import original
from npeg.teaching.session import BATCH, Session
from npeg.training.networks.winograd import use_winograd

ROW = 250  # batches averaged in one row of the curve
TEST_IMAGES = 10_000
COLUMNS = ("epoch", "cnoise", "step", "loss", "error", "sparsity", "minutes")


def take_state(session: Session, steps: int, minutes: float) -> dict[str, Any]:
    """Return all that the next step depends on."""
    return {
        "model": session.model.state_dict(),
        "optimizer": session._optimizer.state_dict(),
        "history": session.history,
        "random": torch.get_rng_state(),
        "steps": steps,
        "minutes": minutes,
    }


def give_state(session: Session, state: dict[str, Any]) -> None:
    """Put back what `take_state` took."""
    session.model.load_state_dict(state["model"])
    session._optimizer.load_state_dict(state["optimizer"])
    session.history = [tuple(row) for row in state["history"]]
    torch.set_rng_state(state["random"])


def main() -> None:
    """Train an epoch at each noise level, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--noise", default="15,15,15,15,15", help="of each epoch, in order")
    parser.add_argument("--out", type=Path, default=Path("teaching-run"))
    parser.add_argument("--lr", type=float, default=1e-3, help="of Adam (default 1e-3, as r's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--winograd", action="store_true", help="as in npeg train")
    parser.add_argument("--checkpoint-minutes", type=float, default=4.0)
    args = parser.parse_args()
    levels = [float(text) for text in args.noise.split(",")]
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint, curve = args.out / "checkpoint.pt", args.out / "curve.tsv"

    torch.manual_seed(args.seed)
    session = Session()
    if args.winograd:
        session.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        use_winograd(session.model)
    images = session.data().train
    per_epoch = -(-len(images) // BATCH)
    steps, minutes = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        give_state(session, state)
        steps, minutes = state["steps"], state["minutes"]
        print(f"going on after {steps} steps, {minutes:.0f} minutes")
    for group in session._optimizer.param_groups:
        group["lr"] = args.lr
    kept = list(curve.read_text().splitlines()[1:]) if curve.exists() else []
    kept = [line for line in kept if int(line.split("\t")[2]) <= steps]
    curve.write_text("\n".join(["\t".join(COLUMNS), *kept]) + "\n")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended; the last checkpoint is kept"))

    began, saved = time.monotonic() - 60 * minutes, time.monotonic()
    sums = torch.zeros(3)
    bar = tqdm(total=len(levels) * per_epoch, initial=steps, unit="batch")
    while steps < len(levels) * per_epoch:
        epoch, place = divmod(steps, per_epoch)
        # An epoch's order depends on its number alone, so a run that goes on knows it too.
        order = torch.randperm(
            len(images), generator=torch.Generator().manual_seed(1000 * args.seed + epoch)
        )
        batch = order[place * BATCH : (place + 1) * BATCH]
        sums += session._train_step(images[batch], levels[epoch], original)
        steps += 1
        bar.update()
        minutes = (time.monotonic() - began) / 60
        if steps % ROW == 0:
            error, sparsity, _ = (sums / ROW).tolist()
            row = (epoch + 1, levels[epoch], steps, f"{error + sparsity:.6f}", f"{error:.6f}")
            with curve.open("a") as file:
                print(*row, f"{sparsity:.6f}", f"{minutes:.1f}", sep="\t", file=file)
            bar.set_postfix_str(f"loss {error + sparsity:.5f}")
            sums.zero_()
            if time.monotonic() - saved > 60 * args.checkpoint_minutes:
                partial = checkpoint.with_suffix(".partial")
                torch.save(take_state(session, steps, minutes), partial)
                partial.replace(checkpoint)
                saved = time.monotonic()
        if steps % per_epoch == 0:
            rows = [line.split("\t") for line in curve.read_text().splitlines()[1:]]
            losses = [float(row[3]) for row in rows if int(row[0]) == epoch + 1]
            session.history.append((levels[epoch], sum(losses) / len(losses)))
            session.save(args.out / "teaching.safetensors")
            half = {name: w.half().contiguous() for name, w in session.model.state_dict().items()}
            save_file(half, args.out / f"epoch-{epoch + 1}.safetensors")
            print(json.dumps({"epoch": epoch + 1, "minutes": round(minutes, 1)}))
            torch.save(take_state(session, steps, minutes), checkpoint)
    bar.close()
    report = session.evaluate(cnoise=levels[-1], n=TEST_IMAGES, threshold=0.5)
    (args.out / "evaluation.txt").write_text(f"{report!r}\n")
    print(report)


if __name__ == "__main__":
    main()
