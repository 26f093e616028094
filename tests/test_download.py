"""Fetching archives, against a server on this machine."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from synthetic_archive import SHORT, write_archive

from nats_gym.errors import InvalidInput
from nats_gym.tables import load_table, official
from nats_gym.tables.official import download as module
from nats_gym.tables.official.download import TARS, DownloadFailed, download

pytest.importorskip("gdown")


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


def test_the_archive_arrives_and_imports(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    arrived = download("sss", server.url, lambda done, total: seen.append((done, total)))
    assert arrived.path == tmp_path / "home" / "downloads" / TARS["sss"][0]
    assert arrived.size == len(server.body)
    assert arrived.sha256 == hashlib.sha256(server.body).hexdigest()
    assert seen[-1] == (len(server.body), len(server.body))
    archive = official.import_archive(arrived.path)
    assert archive.facts["architectures"] == 60
    assert load_table("sss", "cifar10", arrived.path).source == str(arrived.path)
    assert download("sss", server.url).sha256 == arrived.sha256
    assert len(server.ranges) == 1  # what is there is not fetched again


def test_a_broken_download_resumes(server: Server) -> None:
    server.cut = len(server.body) // 2
    with pytest.raises(DownloadFailed, match="the same command resumes") as caught:
        download("sss", server.url)
    assert "nats-gym data import" in str(caught.value)
    arrived = download("sss", server.url)
    assert arrived.sha256 == hashlib.sha256(server.body).hexdigest()
    assert server.ranges[:2] == [None, None]  # gdown asks plainly first, then for the rest
    assert re.fullmatch(r"bytes=[1-9]\d*-", str(server.ranges[-1]))


def test_a_page_in_place_of_the_archive(server: Server, tmp_path: Path) -> None:
    server.body = b"<html>Sorry, the quota for this file is used up.</html>"
    with pytest.raises(DownloadFailed, match="quota") as caught:
        download("sss", server.url)
    for word in ("github.com/D-X-Y/NATS-Bench", "nats-gym data import", TARS["sss"][1]):
        assert word in str(caught.value)
    assert list((tmp_path / "home" / "downloads").iterdir()) == []


def test_a_tar_that_is_cut_off_is_not_kept(server: Server, tmp_path: Path) -> None:
    whole = server.body
    server.body = whole[: len(whole) - (3 << 20) - 30_000]
    with pytest.raises(DownloadFailed, match="truncated tar"):
        download("sss", server.url)
    server.body = whole
    assert download("sss", server.url).size == len(whole)


def test_a_server_that_refuses(server: Server) -> None:
    server.status = 403
    with pytest.raises(DownloadFailed, match="nats-gym data import"):
        download("sss", server.url)


def test_drives_quota_page(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import gdown
    from gdown.exceptions import FileURLRetrievalError

    def refuse(**_: object) -> None:
        raise FileURLRetrievalError("Too many users have viewed or downloaded this file recently.")

    monkeypatch.setattr(gdown, "download", refuse)
    with pytest.raises(DownloadFailed, match=r"quota .*Too many users.* nats-gym data import"):
        download("tss")


def test_an_unknown_space_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'tss'"):
        download("tsss")
