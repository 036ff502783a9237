"""One picture of what the network does: images, reconstructions, code planes.

Enters: tensors in [0, 1].  Leaves: a Pillow image, a PNG file, a window where there is a screen.
Does not know: networks, CIFAR-10.
"""

import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageShow
from torch import Tensor

from ..arrays import Pixels
from ..errors import InputError

IMAGE_SCALE = 4  # screen pixels a pixel of an image, and of a code plane
PLANE_SCALE = 1
PLANE_COLUMNS = 16
GAP, MARGIN, CAPTION_HEIGHT, CAPTION_SIZE = 2, 8, 20, 13  # pixels
PAPER, INK = (32, 32, 40), (235, 235, 235)  # neither black nor white: planes are both


class Sample(NamedTuple):
    """What the network makes of some images; all in [0, 1]."""

    x: Tensor  # (N, 3, H, W)
    from_binary: Tensor  # (N, 3, H, W)
    from_unquantised: Tensor  # (N, 3, H, W)
    code: Tensor  # (128, H, W): of the first image, before the threshold
    binary: Tensor  # (128, H, W): after it


def draw_sample(sample: Sample, threshold: float) -> Image.Image:
    """Draw the images in three rows, and below them the first image's planes in two sheets."""
    ones = float(sample.binary.float().mean())
    count = len(sample.code)
    rows = [
        ("input", sample.x),
        ("reconstruction from the binary code", sample.from_binary),
        ("reconstruction from the unquantised code", sample.from_unquantised),
    ]
    panels = [
        (title, _tile(_to_pixels(images), len(images), IMAGE_SCALE)) for title, images in rows
    ]
    sheets = [
        (f"the {count} code planes of the first image", sample.code),
        (f"after the threshold {threshold:g}: {ones:.1%} ones", sample.binary),
    ]
    planes = [
        (title, _tile(_to_pixels(code[:, None]), PLANE_COLUMNS, PLANE_SCALE))
        for title, code in sheets
    ]
    return _stack([[panel] for panel in panels] + [planes])


def write_picture(picture: Image.Image, path: Path) -> Path:
    """Write a PNG and return its absolute path.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        picture.save(path, "PNG")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return path.absolute()


def show_picture(picture: Image.Image) -> bool:
    """Show the picture in the notebook or in a window; return False where there is no screen."""
    return show_in_notebook(picture) or (_has_screen() and ImageShow.show(picture))


def show_in_notebook(picture: Image.Image) -> bool:
    """Show the picture below the cell of a notebook; return False outside of one."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if shell is None or not hasattr(shell, "kernel"):
        return False
    from importlib import import_module

    import_module("IPython.display").display(picture)
    return True


def _has_screen() -> bool:
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _to_pixels(images: Tensor) -> Pixels:
    """Return images (N, 1 or 3, H, W) in [0, 1] as RGB, (N, H, W, 3)."""
    values = images.detach().float().cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    return values.mul(255).round().clamp(0, 255).byte().numpy()


def _tile(images: Pixels, columns: int, scale: int) -> Image.Image:
    """Lay images (N, H, W, 3) out in rows of `columns`, each pixel `scale` wide."""
    count, height, width, _ = images.shape
    step_x, step_y = width * scale + GAP, height * scale + GAP
    size = (columns * step_x - GAP, -(-count // columns) * step_y - GAP)
    sheet = Image.new("RGB", size, PAPER)
    for k, pixels in enumerate(images):
        row, column = divmod(k, columns)
        tile = Image.fromarray(pixels).resize(
            (width * scale, height * scale), Image.Resampling.NEAREST
        )
        sheet.paste(tile, (column * step_x, row * step_y))
    return sheet


def _stack(rows: list[list[tuple[str, Image.Image]]]) -> Image.Image:
    """Put rows of captioned panels below each other on one sheet."""
    heights = [CAPTION_HEIGHT + max(panel.height for _, panel in row) + MARGIN for row in rows]
    widths = [sum(panel.width + 2 * MARGIN for _, panel in row) for row in rows]
    sheet = Image.new("RGB", (max(widths), sum(heights)), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(CAPTION_SIZE)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for title, panel in row:
            pen.text((left, top + 2), title, INK, font)
            sheet.paste(panel, (left, top + CAPTION_HEIGHT))
            left += panel.width + 2 * MARGIN
        top += height
    return sheet
