"""Fetching archives, against a server on this machine."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import synthetic_tfrecord as plain
from archive_server import Server, server
from nasbench101_files import cells_of

from nats_gym.errors import InvalidInput
from nats_gym.tables import load_table, official
from nats_gym.tables.official.download import FILES, DownloadFailed, download, public_file

pytest.importorskip("gdown")

#: What of the tests here is a fixture.
__all__ = ["server"]


def test_the_archive_arrives_and_imports(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    arrived = download("sss", server.url, lambda done, total: seen.append((done, total)))
    assert arrived.path == tmp_path / "home" / "downloads" / FILES["sss"][0].name
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
    for word in (
        "github.com/D-X-Y/NATS-Bench",
        "nats-gym data import",
        FILES["sss"][0].in_a_browser,
    ):
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


def test_a_file_of_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, only = FILES["nb101"]
    assert public_file("nb101") == full
    assert public_file("nb101", "nasbench_only108.tfrecord") == only
    assert full.url == "https://storage.googleapis.com/nasbench/nasbench_full.tfrecord"
    assert (full.sha256, only.sha256) == ("3d64db81", "4c39c393")
    with pytest.raises(InvalidInput, match=r"Did you mean 'nasbench_full.tfrecord'"):
        public_file("nb101", "nasbench_ful.tfrecord")


def test_a_published_checksum_is_checked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = plain.records(cells_of([0, 167]), [108])
    server.body = plain.write_file(tmp_path / "made_up", records).read_bytes()
    server.body += b"".join(map(plain.frame, [b"x" * 4000] * 600))
    with pytest.raises(DownloadFailed, match=r"its SHA-256 begins with .*, not 3d64db81") as caught:
        download("nb101", server.url)
    assert "https://github.com/google-research/nasbench" in str(caught.value)
    assert list((tmp_path / "home" / "downloads").iterdir()) == []
    digest = hashlib.sha256(server.body).hexdigest()
    right = replace(FILES["nb101"][0], sha256=digest[:8])
    monkeypatch.setitem(FILES, "nb101", (right,))
    server.cut = len(server.body) // 2
    with pytest.raises(DownloadFailed, match="the same command resumes"):
        download("nb101", server.url)
    arrived = download("nb101", server.url)
    assert (arrived.sha256, arrived.published) == (digest, digest[:8])
    assert re.fullmatch(r"bytes=[1-9]\d*-", str(server.ranges[-1]))
