"""npeg in the browser: the page, the codec in JavaScript, and a server for this machine.

The files of a site come from three folders of this package, and the runtime of the networks from
an npm package; `site` is the one list of them, for the server and for whoever copies a site.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
RUNTIME = HERE / "ort"  # as `make runtime` puts it there
RUNTIME_FILES = (
    "ort.wasm.min.mjs",
    "ort.wasm.bundle.min.mjs",  # for the service worker, which may import nothing later
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
AVIF = HERE / "avif"  # as `make runtime` puts it there: the page's rival, which no browser encodes
AVIF_FILES = ("avif_enc.js", "avif_enc.wasm", "LICENSE")
PAGE = ("*.html", "*.js", "*.css", "*.json", "*.d.ts", "codec/*.js", "measures/*.js")
SHARED = ("page.css", "viewer.js")  # with the pages of the bench
MODELS = ("seventh", "eighth", "residual")


def site() -> dict[str, Path]:
    """Return the files of the site by their paths in it, such as "codec/rans.js"."""
    found = {p.relative_to(HERE).as_posix(): p for glob in PAGE for p in HERE.glob(glob)}
    found |= {name: HERE.parent / "bench" / "pages" / name for name in SHARED}
    for model in MODELS:
        folder = HERE.parent / "models" / model
        found |= {f"models/{model}/{path.name}": path for path in sorted(folder.iterdir())}
    if has_runtime():
        found |= {f"ort/{name}": RUNTIME / name for name in RUNTIME_FILES}
    if all((AVIF / name).exists() for name in AVIF_FILES):
        found |= {f"avif/{name}": AVIF / name for name in AVIF_FILES}
    return found


def has_runtime() -> bool:
    """Return whether the browser can run the networks: onnxruntime-web is there."""
    return all((RUNTIME / name).exists() for name in RUNTIME_FILES)
