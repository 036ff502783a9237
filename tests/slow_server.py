"""A server of a folder that sends some files as slowly as a test wants."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PATIENCE_S = 120


class SlowServer(ThreadingHTTPServer):
    """Sends the files of a folder, and under `/slow/` each only as far as it is let through.

    Of `/slow/NAME`, `/slow/endless/NAME` does not say the length. Nothing of any of them is sent
    before `let_through`, and a connection ends without the rest after `cut`.
    """

    daemon_threads = False  # whose sockets would be left open

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gate = threading.Condition()
        self.allowed, self.is_cut, self.sent = 0.0, False, 0
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def start_over(self) -> None:
        """Send nothing of what is asked for next."""
        with self.gate:
            self.allowed, self.is_cut, self.sent = 0.0, False, 0

    def let_through(self, share: float) -> None:
        """Send so much of each file, 0 to 1."""
        with self.gate:
            self.allowed = share
            self.gate.notify_all()

    def cut(self) -> None:
        """Send nothing more: connections end here."""
        with self.gate:
            self.is_cut = True
            self.gate.notify_all()

    def server_close(self) -> None:
        """End all connections, and wait for that."""
        self.cut()
        super().server_close()


class _Handler(SimpleHTTPRequestHandler):
    server: SlowServer
    timeout = 3  # seconds that a browser may hold a connection without a request
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send a file at once, or as far as it is let through."""
        if not self.path.startswith("/slow/"):
            super().do_GET()
            return
        data = Path(self.directory, self.path.rsplit("/", 1)[1]).read_bytes()
        self.send_response(200)
        self.send_header("Cache-Control", "no-store")
        if "/endless/" not in self.path:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        sent = 0
        while sent < len(data) and (end := self._end(sent, len(data))) > sent:
            try:
                self.wfile.write(data[sent:end])
                self.wfile.flush()
            except OSError:
                return  # nobody listens any more
            sent = end
            self.server.sent = max(self.server.sent, end)
        self.close_connection = True

    def _end(self, sent: int, size: int) -> int:
        """Wait until more may be sent; return up to which byte, or what is sent where it is cut."""
        server = self.server

        def end() -> int:
            return round(server.allowed * size)

        with server.gate:
            server.gate.wait_for(lambda: server.is_cut or end() > sent, PATIENCE_S)
            return sent if server.is_cut else end()
