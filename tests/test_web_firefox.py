"""The codec in Firefox, by WebDriver BiDi, which needs no driver beside the browser."""

import base64
import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import npeg
from npeg.web import has_runtime
from npeg.web.server import Server

GOLDEN = sorted(Path(__file__).with_name("golden").glob("*.npeg"))
START_S = 90
DECODE = """
(async () => {
  const npeg = (globalThis.npeg ??= await import("/npeg.js"));
  const bytes = Uint8Array.from(atob(BYTES), (letter) => letter.charCodeAt(0));
  const { data, width, height } = await npeg.decode(bytes);
  return JSON.stringify({ width, height, data: btoa(String.fromCharCode(...data)) });
})()
"""


class Firefox:
    """A tab of a headless Firefox."""

    def __init__(self, address: str) -> None:
        websocket = pytest.importorskip("websocket")
        self.socket = websocket.create_connection(address, timeout=120, suppress_origin=True)
        self.ids = 0
        self.ask("session.new", capabilities={})
        self.tab = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method, **params):
        """Return the result of a command."""
        self.ids += 1
        self.socket.send(json.dumps({"id": self.ids, "method": method, "params": params}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.ids:
            pass  # an event
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, url):
        """Load a page."""
        self.ask("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def run(self, expression):
        """Return what an expression gives, once its promise is kept."""
        target = {"context": self.tab}
        found = self.ask("script.evaluate", expression=expression, target=target, awaitPromise=True)
        assert found["type"] == "success", found
        return found["result"]["value"]


@contextmanager
def started(folder):
    """A headless Firefox with a new profile; it has ended afterwards."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if not program:
        pytest.skip("apt-get install firefox-esr")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--headless", "--no-remote", "--profile", str(folder)]
    process = subprocess.Popen(
        [*command, f"--remote-debugging-port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        firefox = _connected(f"ws://127.0.0.1:{port}/session")
        try:
            yield firefox
        finally:
            firefox.socket.close()
    finally:
        process.terminate()
        process.wait(30)


def _connected(address):
    end = time.monotonic() + START_S
    while True:
        try:
            return Firefox(address)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def test_golden_files_decode_in_firefox_as_in_python(tmp_path):
    if not has_runtime():
        pytest.skip("make runtime")
    with Server([]) as server, started(tmp_path) as firefox:
        threading.Thread(target=server.serve_forever, daemon=True, args=(0.01,)).start()
        firefox.open(server.url)
        assert firefox.run("crossOriginIsolated") is True
        for path in GOLDEN:
            data = path.read_bytes()
            code = DECODE.replace("BYTES", json.dumps(base64.b64encode(data).decode()))
            found = json.loads(firefox.run(code))
            rgba = np.frombuffer(base64.b64decode(found["data"]), np.uint8)
            rgba = rgba.reshape(found["height"], found["width"], 4)
            expected = as_rgba(npeg.decode(data)).astype(int)
            assert rgba.shape == expected.shape, path.name
            assert np.abs(rgba - expected).max() <= 1, path.name
        firefox.ask("session.end")
        server.shutdown()


def as_rgba(pixels):
    """Pixels as a canvas has them, (H, W, 4)."""
    stack = pixels[..., None] if pixels.ndim == 2 else pixels
    channels = stack.shape[2]
    colours = np.repeat(stack[..., :1], 3, axis=2) if channels < 3 else stack[..., :3]
    opaque = np.full((*stack.shape[:2], 1), 255, np.uint8)
    return np.dstack([colours, opaque if channels % 2 else stack[..., -1:]])
