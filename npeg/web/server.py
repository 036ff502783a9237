"""The site on this machine, for this machine: files, and npeg in Python where the page asks for it.

Listens on the loopback address alone. A page of another site can reach that address too, so each
request must name this server as its host (DNS rebinding) and, if it says where it comes from, come
from this server's own page; answers may not be embedded elsewhere.

    GET  /NAME                    a file of the site
    GET  /server.json             that there is this server, and the names of its pictures
    GET  /pictures/NUMBER         one of those
    POST /decode                  a .npeg file to a PNG file
    GET  /reports/NUMBER          a page that stands alone, such as a comparison
    POST /encode?quality&tune&effort   a picture's file to a .npeg file
    POST /bits                    a .npeg file to the bits of its blocks, float32
    POST /avif?size               a picture's file to the largest AVIF file of at most so many bytes
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .. import __version__
from ..errors import InputError, NpegError
from . import has_runtime, site
from .work import WORK

LOOPBACK = "127.0.0.1"
MOST_BYTES = 1 << 28  # of what is posted: 64 Mpx as a PNG file that does not compress
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".npeg": "image/npeg",
    ".png": "image/png",
    ".avif": "image/avif",
}
HEADERS = {
    # what threads in WebAssembly need: a page that shares its memory with no other site
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

REPORT_HEADERS = {  # all of it is in one file, and it may load nothing else
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src data: blob:; frame-ancestors 'none'"
    ),
}


class Server(ThreadingHTTPServer):
    """A server of the site and of some pictures, on a free port or on the one that is asked for."""

    daemon_threads = True

    def __init__(
        self, pictures: Sequence[Path], port: int = 0, reports: Sequence[Path] = ()
    ) -> None:
        self.pictures, self.reports = list(pictures), list(reports)
        self.site = site()
        self.busy = threading.Lock()  # networks take all cores: one picture at a time
        try:
            super().__init__((LOOPBACK, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on port {port}: {error}") from error

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that leave in the middle of an answer."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def version_string(self) -> str:
        """Return what the answers call this server."""
        return f"npeg/{__version__}"

    def log_message(self, *_: object) -> None:
        """Keep the terminal for people."""

    def do_GET(self) -> None:
        """Send a file."""
        if not self._is_ours():
            return
        path = urlsplit(self.path).path
        if path == "/server.json":
            names = [picture.name for picture in self.server.pictures]
            told = {"version": __version__, "runtime": has_runtime(), "pictures": names}
            told["reports"] = [report.stem for report in self.server.reports]
            self._send(json.dumps(told).encode(), ".json")
            return
        file = self._file(path)
        try:
            data = file.read_bytes() if file else None
        except OSError:
            data = None
        if file is None or data is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(data, file.suffix.lower())

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """Decode or encode what is sent."""
        if not self._is_ours():
            return
        address = urlsplit(self.path)
        work = WORK.get(address.path)
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MOST_BYTES} bytes")
            return
        data = self.rfile.read(int(length))
        if work is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            with self.server.busy:
                found, suffix, told = work(data, dict(parse_qsl(address.query)))
        except NpegError as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
            return
        self._send(found, suffix, headers=told)

    def _is_ours(self) -> bool:
        """Tell whether a request names this server and comes from its page; answer it otherwise."""
        hosts = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        origin = self.headers.get("Origin")
        foreign = origin is not None and origin not in {f"http://{host}" for host in hosts}
        elsewhere = self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        opened = self.headers.get("Sec-Fetch-Mode") == "navigate" and self.command != "POST"
        if self.headers.get("Host") not in hosts or foreign or (elsewhere and not opened):
            self._refuse(HTTPStatus.FORBIDDEN, "this server answers its own page alone")
            return False
        return True

    def _file(self, path: str) -> Path | None:
        """Return the file that a path stands for: from the list of the site, never from a disk."""
        for start, files in self._numbered().items():
            if path.startswith(start):
                number = path.removeprefix(start)
                known = number.isascii() and number.isdigit() and len(number) < 9
                return files[int(number)] if known and int(number) < len(files) else None
        return self.server.site.get(path.removeprefix("/") or "index.html")

    def _numbered(self) -> dict[str, list[Path]]:
        return {"/pictures/": self.server.pictures, "/reports/": self.server.reports}

    def _send(
        self,
        data: bytes,
        suffix: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", TYPES.get(suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self.close_connection = True  # what is sent may not have been read
        self._send(json.dumps({"error": text}).encode(), ".json", status)

    def end_headers(self) -> None:
        """Send what each answer says, too."""
        alone = urlsplit(getattr(self, "path", "")).path.startswith("/reports/")
        for name, value in (HEADERS | (REPORT_HEADERS if alone else {})).items():
            self.send_header(name, value)
        super().end_headers()


def run(
    pictures: Sequence[Path],
    port: int,
    ready: Callable[[str], object],
    reports: Sequence[Path] = (),
) -> None:
    """Serve until the process is interrupted.

    Args:
        pictures: that the page shows.
        port: to listen on, 0 for a free one.
        ready: called with the page's address once it answers.
        reports: pages that stand alone, which the page links.

    Raises:
        InputError: the port cannot be used.
    """
    with Server(pictures, port, reports) as server:
        ready(server.url)
        server.serve_forever(poll_interval=0.2)
