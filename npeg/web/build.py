"""Copy the site into a folder that any web server can serve, which is the npm package as well.

python -m npeg.web.build FOLDER
"""

import shutil
import sys
from pathlib import Path

from npeg.errors import InputError, NpegError
from npeg.web import has_runtime, site


def build(folder: Path) -> int:
    """Copy the site's files into a folder; return their bytes.

    Raises:
        InputError: onnxruntime-web is not there.
    """
    if not has_runtime():
        raise InputError("onnxruntime-web is not there: make runtime")
    size_bytes = 0
    for name, source in site().items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        size_bytes += source.stat().st_size
    return size_bytes


if __name__ == "__main__":
    try:
        (name,) = sys.argv[1:] or ["build/web"]
        print(f"{name}: {build(Path(name)) / 1e6:.1f} MB")
    except NpegError as error:
        sys.exit(f"npeg: {error}")
