"""A server of an archive on this machine, as the public one is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from synthetic_archive import SHORT, write_archive

from nats_gym.tables.official import download as module


class Server(ThreadingHTTPServer):
    """Serves one body; ``cut`` ends the first answer after so many bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.cut, self.status = body, 0, 200
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/file.tar"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        body, start = self.server.body, 0
        if wanted and (match := re.fullmatch(r"bytes=(\d+)-", wanted)):
            start = int(match[1])
        self.send_response(206 if wanted else self.server.status)
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"one"')
        self.end_headers()
        cut, self.server.cut = self.server.cut, 0
        self.wfile.write(body[start : cut or None])
        if cut:
            self.wfile.flush()
            self.connection.close()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "RETRIES", 0)
    tar = write_archive(tmp_path, "sss", range(60), kind="tar", schedules=SHORT["sss"])
    # gdown keeps what it has in pieces of half a megabyte; a tar may end in zeros.
    server = Server(tar.read_bytes() + bytes(3 << 20))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
