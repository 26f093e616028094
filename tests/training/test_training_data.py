"""Image data: public archives, splits, downloads from this machine, augmentation."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import random
import re
import struct
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nats_gym.datasets import DATASETS, EVERY_DATASET, Archive
from nats_gym.errors import InvalidInput
from nats_gym.training import downloads
from nats_gym.training.archives import ForbiddenPickle, UnreadableFile, read_batch
from nats_gym.training.batches import TrainingBatches, draw_epoch, evaluation_batches
from nats_gym.training.data import ImageData, MissingData, load_data
from nats_gym.training.downloads import DownloadFailed, fetch
from nats_gym.training.splits import (
    SplitWarning,
    read_test_split,
    seeded_parts,
)

torch.set_num_threads(1)


# ── archives ─────────────────────────────────────────────────────────────────────────────────


def python2_pickle(content: dict[str, Any]) -> bytes:
    """As Python 2 and its numpy wrote the public archives: byte strings, opcode by opcode."""
    pixels, labels = content["data"], content["labels"]
    count, width = pixels.shape
    raw = pixels.tobytes()
    return b"".join(
        [
            b"\x80\x02}(U\x04data",
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR",
            b"(K\x01" + bytes([75, count, 75, width]) + b"\x86",
            b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN" + b"J\xff\xff\xff\xff" * 2,
            b"K\x00tb\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb",
            b"U\x06labels](" + b"".join(bytes([75, label]) for label in labels) + b"eu.",
        ]
    )


def batch(count: int, resolution: int, labels: list[int], key: str = "labels") -> dict[str, Any]:
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 3 * resolution**2), dtype=np.uint8)
    return {"data": pixels, key: labels}


@pytest.mark.parametrize(
    "write", [python2_pickle, partial(pickle.dumps, protocol=4)], ids=["python2", "python3"]
)
def test_a_batch_is_read_plane_by_plane(write: Any) -> None:
    content = batch(4, 2, [3, 0, 9, 1])
    read = read_batch(write(content), "labels", 2, "batch")
    assert read.labels.tolist() == [3, 0, 9, 1]
    for image in range(4):
        for channel in range(3):
            for row in range(2):
                for column in range(2):
                    place = channel * 4 + row * 2 + column
                    value = content["data"][image, place]
                    assert read.images[image, channel, row, column] == value


class Hostile:
    """Unpickled by Python's own, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_hostile_pickle_is_refused_not_run(tmp_path: Path) -> None:
    target = tmp_path / "was-run"
    for content in (Hostile(target), {"data": Hostile(target), "labels": [1]}):
        with pytest.raises(ForbiddenPickle, match=r"^batch: .*was not run"):
            read_batch(pickle.dumps(content, protocol=4), "labels", 2, "batch")
    bomb = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00bz2\x86R."
    with pytest.raises(ForbiddenPickle, match="bz2"):
        read_batch(bomb, "labels", 2, "batch")
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "no batch of images"),
        ({"data": np.zeros((2, 12), np.uint8)}, "no batch of images"),
        ({"data": np.zeros((2, 11), np.uint8), "labels": [0, 1]}, r"uint8 \(N, 12\)"),
        ({"data": np.zeros((2, 12)), "labels": [0, 1]}, "got float64"),
        ({"data": np.zeros((2, 12), np.uint8), "labels": [0]}, "one whole number per image"),
        ({"data": np.zeros((2, 12), np.uint8), "labels": ["a", "b"]}, "one whole number"),
        ({"data": np.zeros((2, 12), np.uint8), "labels": [[1], [2, 3]]}, "one whole number"),
    ],
)
def test_other_content_is_refused(content: Any, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        read_batch(pickle.dumps(content, protocol=4), "labels", 2, "batch")


def test_a_damaged_pickle_is_refused() -> None:
    whole = pickle.dumps(batch(4, 2, [3, 0, 9, 1]))
    with pytest.raises(UnreadableFile, match="a truncated pickle"):
        read_batch(whole[:-30], "labels", 2, "batch")


def archive_of(name: str) -> Archive:
    archive = EVERY_DATASET[name].archive
    assert archive is not None
    return archive


def publish(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Take another archive for a data set's published one."""
    changed = replace(EVERY_DATASET[name], archive=replace(archive_of(name), **changes))
    monkeypatch.setitem(EVERY_DATASET, name, changed)


def write_cifar(folder: Path, key: str, per_file: int) -> dict[str, str]:
    """An archive in CIFAR's layout with ``per_file`` images in each pickle; their checksums."""
    archive, digests = archive_of(key), {}
    with tarfile.open(folder / archive.file, "w:gz") as tar:
        for number, name in enumerate((*archive.train, *archive.test)):
            labels = [(number + image) % DATASETS[key].num_classes for image in range(per_file)]
            content = batch(per_file, 32, labels, archive.labels)
            content["data"][:, 0] = number
            data = pickle.dumps(content, protocol=2)
            digests[name] = hashlib.md5(data).hexdigest()
            info = tarfile.TarInfo(f"{archive.folder}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return digests


@pytest.fixture
def small_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Archives of 10 images a pickle, taken for the published ones."""
    for key, counts in (("cifar10", (50, 10)), ("cifar100", (10, 10))):
        archive = archive_of(key)
        digests = write_cifar(tmp_path, key, 10)
        published = {
            "md5": hashlib.md5((tmp_path / archive.file).read_bytes()).hexdigest(),
            "train": {name: digests[name] for name in archive.train},
            "test": {name: digests[name] for name in archive.test},
        }
        publish(monkeypatch, key, counts=counts, **published)
    return tmp_path


def test_cifar_comes_from_its_archive_or_folder(small_cifar: Path) -> None:
    packed = load_data("cifar10", small_cifar, download=False)
    assert packed.images.shape == (60, 3, 32, 32)
    assert packed.images.dtype == torch.uint8
    # The first pixel holds the number of the pickle: their order is the archive's.
    assert packed.images[:, 0, 0, 0].tolist() == [n for n in range(6) for _ in range(10)]
    assert packed.labels[:3].tolist() == [0, 1, 2]
    assert {name: len(rows) for name, rows in packed.splits.items()} == {
        "train": 50,
        "ori-test": 10,
    }
    with tarfile.open(small_cifar / archive_of("cifar10").file) as tar:
        tar.extractall(small_cifar / "unpacked", filter="data")
    for folder in ("unpacked", f"unpacked/{archive_of('cifar10').folder}"):
        unpacked = load_data("cifar10", small_cifar / folder, download=False)
        assert torch.equal(unpacked.images, packed.images)
    part = small_cifar / "unpacked" / archive_of("cifar10").folder / "data_batch_3"
    part.write_bytes(pickle.dumps(batch(10, 32, [0] * 10), protocol=2))
    with pytest.raises(UnreadableFile, match="data_batch_3 is not the published file"):
        load_data("cifar10", small_cifar / "unpacked", download=False)
    with part.open("wb") as file:
        file.truncate(60 << 30)  # takes no room
    with pytest.raises(UnreadableFile, match="data_batch_3 is not the published file: 64,424,"):
        load_data("cifar10", small_cifar / "unpacked", download=False)


def test_cifar100_takes_the_list_that_is_there(small_cifar: Path) -> None:
    with pytest.warns(SplitWarning, match=r"cifar100-test-split\.txt"):
        ours = load_data("cifar100", small_cifar, download=False)
    assert not ours.official_splits
    valid, test = (set(ours.splits[name].tolist()) for name in ("x-valid", "x-test"))
    assert valid | test == set(range(10, 20)) == set(ours.splits["ori-test"].tolist())
    assert not valid & test
    (small_cifar / "cifar100-test-split.txt").write_text(
        '{"xvalid": ["int", ["1", "3", "5", "7", "9"]],'
        ' "xtest": ["int", ["0", "2", "4", "6", "8"]]}'
    )
    theirs = load_data("cifar100", small_cifar, download=False)
    assert theirs.official_splits
    assert theirs.splits["x-valid"].tolist() == [11, 13, 15, 17, 19]
    assert theirs.splits["x-test"].tolist() == [10, 12, 14, 16, 18]


def test_an_archive_that_is_not_the_published_one(small_cifar: Path) -> None:
    path = small_cifar / archive_of("cifar10").file
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UnreadableFile, match=r"not the published file .* delete it"):
        load_data("cifar10", small_cifar)


def test_no_archive_and_no_download(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"cifar-10-python\.tar\.gz.*https://www\.cs\.toronto"):
        load_data("cifar10", tmp_path, download=False)
    with pytest.raises(MissingData, match=r"registered users only.*train_data_batch_1"):
        load_data("ImageNet16-120", tmp_path)
    with pytest.raises(InvalidInput, match="Did you mean 'cifar10"):
        load_data("cifar-10", tmp_path)


def test_imagenet_keeps_its_first_120_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ImageNet16"
    folder.mkdir()
    archive, published = archive_of("ImageNet16-120"), {}
    for number, name in enumerate((*archive.train, *archive.test)):
        content = batch(6, 16, [1, 120, 121, 1000, 7, 60])
        content["data"][:, 0] = number
        content["mean"] = np.zeros(768)
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
        published[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    train, test = (
        {name: published[name] for name in part} for part in (archive.train, archive.test)
    )
    publish(monkeypatch, "ImageNet16-120", train=train, test=test, counts=(40, 4))
    with pytest.warns(SplitWarning):
        data = load_data("ImageNet16-120", tmp_path)
    assert data.images.shape == (44, 3, 16, 16)
    assert data.labels.tolist() == [0, 119, 6, 59] * 11
    assert data.images[::4, 0, 0, 0].tolist() == list(range(11))
    (folder / "train_data_batch_4").write_bytes(b"")
    with pytest.raises(UnreadableFile, match="train_data_batch_4 is not the published file"):
        load_data("ImageNet16-120", tmp_path)


def write_fashion(
    folder: Path, monkeypatch: pytest.MonkeyPatch, packed: bool = True
) -> tuple[Any, dict[str, str]]:
    """Idx files of 14 + 7 images, taken for the published ones: the images, and each file's MD5."""
    folder.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(3).integers(0, 256, (21, 28, 28), np.uint8)
    labels = (np.arange(21) % 10).astype(np.uint8)
    published: dict[str, str] = {}
    files: dict[str, str] = {}
    for name in (*archive_of("fashion-mnist").train, *archive_of("fashion-mnist").test):
        array = grey if "images" in name else labels
        array = array[:14] if name.startswith("train") else array[14:]
        content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
        content += array.tobytes()
        published[name] = hashlib.sha256(content).hexdigest()
        content = gzip.compress(content) if packed else content
        (folder / (f"{name}.gz" if packed else name)).write_bytes(content)
        files[f"{name}.gz"] = hashlib.md5(content).hexdigest()
    train, test = (
        {name: published[name] for name in part}
        for part in (archive_of("fashion-mnist").train, archive_of("fashion-mnist").test)
    )
    publish(
        monkeypatch,
        "fashion-mnist",
        train=train,
        test=test,
        counts=(14, 7),
        files=files,
        installed=(),
    )
    row = replace(EVERY_DATASET["fashion-mnist"], train_images=10, valid_images=4, test_images=7)
    monkeypatch.setitem(EVERY_DATASET, "fashion-mnist", row)
    return grey, files


@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_comes_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    grey, _ = write_fashion(tmp_path / "fashion-mnist", monkeypatch, packed)
    with pytest.raises(MissingData, match=r"train-images-idx3-ubyte\.gz.*s3-website"):
        load_data("fashion-mnist", tmp_path / "none", download=False)
    for folder in (tmp_path, tmp_path / "fashion-mnist"):
        data = load_data("fashion-mnist", folder, download=False)
        assert all(np.array_equal(data.images[:, channel].numpy(), grey) for channel in range(3))
        assert data.labels.tolist() == [n % 10 for n in range(21)]
        assert {name: len(rows) for name, rows in data.splits.items()} == {
            "train": 10,
            "x-valid": 4,
            "ori-test": 7,
        }
        valid = {*data.splits["train"].tolist(), *data.splits["x-valid"].tolist()}
        assert valid == set(range(14))
    publish(monkeypatch, "fashion-mnist", installed=(str(tmp_path / "fashion-mnist"),))
    assert len(load_data("fashion-mnist", tmp_path / "none", download=False).images) == 21
    name = "train-labels-idx1-ubyte" + ".gz" * packed
    content = (tmp_path / "fashion-mnist" / name).read_bytes()
    (tmp_path / "fashion-mnist" / name).write_bytes(content[:-9])
    with pytest.raises(UnreadableFile, match=f"{name}.*cannot be read"):
        load_data("fashion-mnist", tmp_path, download=False)
    other = bytes((0, 0, 8, 1, 0, 0, 0, 14)) + bytes(14)
    (tmp_path / "fashion-mnist" / name).write_bytes(gzip.compress(other) if packed else other)
    with pytest.raises(UnreadableFile, match=f"{name} is not the published file.*sha256"):
        load_data("fashion-mnist", tmp_path, download=False)


def test_fashion_mnist_is_fetched_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")
    _, files = write_fashion(tmp_path / "served", monkeypatch)
    asked: list[str] = []

    class Folder(SimpleHTTPRequestHandler):
        def __init__(self, *told: Any) -> None:
            super().__init__(*told, directory=str(tmp_path / "served"))

        def log_request(self, *_: object) -> None:
            asked.append(self.path[1:])

    with ThreadingHTTPServer(("127.0.0.1", 0), Folder) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        publish(monkeypatch, "fashion-mnist", url=f"http://127.0.0.1:{serving.server_port}/")
        own = tmp_path / "here" / "fashion-mnist"
        own.mkdir(parents=True)
        first = next(iter(files))
        (own / first).write_bytes((tmp_path / "served" / first).read_bytes())
        for _ in range(2):
            assert len(load_data("fashion-mnist", tmp_path / "here").images) == 21
        assert asked == [name for name in files if name != first]  # each once, as it was published
        (tmp_path / "served" / first).write_bytes(b"another file")
        with pytest.raises(DownloadFailed, match="as published"):
            load_data("fashion-mnist", tmp_path / "elsewhere")
        serving.shutdown()
        thread.join()


# ── splits ───────────────────────────────────────────────────────────────────────────────────


def test_the_cifar10_split_is_nats_benchs() -> None:
    train, valid = seeded_parts(50_000, (25_000, 25_000))
    assert (train[0], train[10], train[111]) == (0, 26, 203)
    assert (valid[0], valid[10], valid[111]) == (1, 18, 242)
    assert np.array_equal(np.sort(np.concatenate([train, valid])), np.arange(50_000))
    # By hand, with Python's global generator as the authors used it.
    state = random.getstate()
    random.seed(1021)
    order = list(range(50_000))
    random.shuffle(order)
    random.setstate(state)
    assert train.tolist() == sorted(order[:25_000])


def test_the_published_lists_are_read(shared_figures: Path) -> None:
    for name, count in (("cifar100", 10_000), ("ImageNet16-120", 6_000)):
        path = shared_figures / "splits" / f"{name}-test-split.txt"
        valid, test = read_test_split(path, count)
        assert len(valid) == len(test) == count // 2
        assert valid[0] == 1
        assert test[0] == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"xvalid": ["int", ["0"]]}',
        '{"xvalid": ["int", ["0", "1"]], "xtest": ["int", ["1"]]}',
        '{"xvalid": ["int", ["0", "x"]], "xtest": ["int", ["1"]]}',
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(UnreadableFile, match=r"list\.txt"):
        read_test_split(tmp_path / "list.txt", 2)


def test_seeded_parts_are_sorted_and_disjoint() -> None:
    parts = seeded_parts(10, (5, 3, 2))
    assert [len(part) for part in parts] == [5, 3, 2]
    assert sorted(np.concatenate(parts).tolist()) == list(range(10))
    assert all(part.tolist() == sorted(part.tolist()) for part in parts)


def test_digits() -> None:
    sklearn = pytest.importorskip("sklearn.datasets").load_digits()
    data = load_data("digits")
    assert data.images.shape == (1797, 3, 8, 8)
    assert data.labels.tolist() == sklearn.target.tolist()
    grey = np.floor(sklearn.images * 255 / 16)
    assert all(np.array_equal(data.images[:, channel].numpy(), grey) for channel in range(3))
    rows = np.concatenate([data.splits[name].numpy() for name in ("train", "x-valid", "x-test")])
    assert np.array_equal(np.sort(rows), np.arange(1797))
    for split in data.splits.values():  # every digit about as often everywhere
        counts = np.bincount(data.labels[split].numpy(), minlength=10) / len(split)
        assert counts.min() > 0.06
    train = data.images[data.splits["train"]].numpy() / 255
    assert np.allclose(train.mean(), data.mean[0], atol=0.01)
    assert np.allclose(train.std(), data.std[0], atol=0.01)


# ── downloads ────────────────────────────────────────────────────────────────────────────────


class Server(ThreadingHTTPServer):
    """Serves one body; ``cut`` ends the next answer after so many bytes."""

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.cut, self.ranges_allowed = body, 0, True
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/images.tar.gz"

    @property
    def md5(self) -> str:
        return hashlib.md5(self.body).hexdigest()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body, wanted = self.server.body, self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = 0
        if wanted and self.server.ranges_allowed:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut, self.server.cut = self.server.cut, 0
        self.wfile.write(body[start : cut or None])

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    pytest.importorskip("pooch")
    server = Server(np.random.default_rng(0).bytes(3_000_000))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_arrives_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        path = fetch(server.url, server.md5, tmp_path / "new")
        assert path == tmp_path / "new" / "images.tar.gz"
        assert path.read_bytes() == server.body
    assert server.ranges == [None]


@pytest.mark.parametrize("ranges_allowed", [True, False])
def test_a_download_that_broke_off_goes_on(
    server: Server, tmp_path: Path, ranges_allowed: bool
) -> None:
    server.cut, server.ranges_allowed = 2_000_000, ranges_allowed
    with pytest.raises(DownloadFailed, match=r"goes on where it broke off, .*put it at"):
        fetch(server.url, server.md5, tmp_path)
    assert not (tmp_path / "images.tar.gz").exists()
    assert fetch(server.url, server.md5, tmp_path).read_bytes() == server.body
    assert server.ranges[0] is None
    assert re.fullmatch(r"bytes=[1-9]\d*-", str(server.ranges[1]))
    assert [path.name for path in tmp_path.glob("images*")] == ["images.tar.gz"]


def test_a_download_killed_before_its_last_step(server: Server, tmp_path: Path) -> None:
    (tmp_path / "images.tar.gz.part").write_bytes(server.body)
    assert fetch(server.url, server.md5, tmp_path).read_bytes() == server.body


def test_another_file_than_the_published_one(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"not images\.tar\.gz as published"):
        fetch(server.url, "0" * 32, tmp_path)
    assert list(tmp_path.glob("images*")) == []


def test_no_connection(tmp_path: Path) -> None:
    pytest.importorskip("pooch")
    with pytest.raises(DownloadFailed, match=r"did not arrive .* put it at .*images\.tar\.gz"):
        fetch("http://127.0.0.1:9/images.tar.gz", "0" * 32, tmp_path)


def test_cifar_is_fetched_into_nats_gyms_home(
    server: Server, small_cifar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = archive_of("cifar10")
    server.body = (small_cifar / archive.file).read_bytes()
    url = server.url.replace("images.tar.gz", archive.file)
    publish(monkeypatch, "cifar10", url=url)
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    assert len(load_data("cifar10").images) == 60
    assert (tmp_path / "home" / "datasets" / archive.file).is_file()
    assert downloads.TIMEOUT > 0


# ── images in batches ────────────────────────────────────────────────────────────────────────


def random_data(count: int = 50, size: int = 8, padding: int = 2) -> ImageData:
    generator = torch.Generator().manual_seed(1)
    return ImageData(
        "random",
        10,
        torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator),
        torch.randint(0, 10, (count,), generator=generator),
        {"train": torch.arange(count - 10).flip(0), "x-valid": torch.arange(count - 10, count)},
        (0.4, 0.5, 0.6),
        (0.2, 0.3, 0.1),
        padding,
    )


def augmented_by_hand(
    image: np.ndarray, data: ImageData, flip: bool, top: int, left: int
) -> np.ndarray:
    """One image, in the order of the reference: mirror, pad with black, crop, normalise."""
    if flip:
        image = image[:, :, ::-1]
    padding, size = data.crop_padding, data.resolution
    padded = np.zeros((3, size + 2 * padding, size + 2 * padding))
    padded[:, padding : padding + size, padding : padding + size] = image
    crop = padded[:, top : top + size, left : left + size]
    mean, std = (np.array(values)[:, None, None] for values in (data.mean, data.std))
    return (crop / 255 - mean) / std


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("flip", [True, False])
def test_batches_equal_the_slow_way(memory_format: torch.memory_format, flip: bool) -> None:
    data = random_data()
    batches = TrainingBatches(data, "train", 16, flip, data.crop_padding, memory_format)
    images, labels = zip(*batches.epoch(seed=5), strict=True)
    assert [len(part) for part in images] == [16, 16, 8]
    assert len(batches) == 3
    assert all(part.is_contiguous(memory_format=memory_format) for part in images)
    draws = draw_epoch(40, data.crop_padding, seed=5)
    rows = data.splits["train"][draws.order]
    assert torch.equal(torch.cat(labels), data.labels[rows])
    for image, row, mirror, top, left in zip(
        torch.cat(images), rows, draws.flip, draws.top, draws.left, strict=True
    ):
        wanted = augmented_by_hand(
            data.images[row].numpy(), data, flip and bool(mirror), int(top), int(left)
        )
        assert np.allclose(image.numpy(), wanted, atol=1e-5)


def test_blocks_of_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_data()

    def epoch() -> torch.Tensor:
        batches = TrainingBatches(data, "train", 8, True, 2, torch.contiguous_format)
        return torch.cat([images for images, _ in batches.epoch(3)])

    together = epoch()
    monkeypatch.setattr("nats_gym.training.batches._BLOCK_NUMBERS", 1)
    assert torch.equal(epoch(), together)


def test_draws_are_independent_and_of_their_seed() -> None:
    draws = draw_epoch(20_000, 4, seed=7)
    assert torch.equal(draws.order.sort().values, torch.arange(20_000))
    assert abs(draws.flip.float().mean() - 0.5) < 0.02
    for corner in (draws.top, draws.left):
        assert torch.allclose(torch.bincount(corner) / 20_000, torch.tensor(1 / 9), atol=0.01)
    table = np.corrcoef([draws.flip, draws.top, draws.left, draws.order])
    assert np.abs(table - np.eye(4)).max() < 0.03
    again, other = draw_epoch(20_000, 4, seed=7), draw_epoch(20_000, 4, seed=8)
    assert torch.equal(again.order, draws.order)
    assert torch.equal(again.top, draws.top)
    assert not torch.equal(other.order, draws.order)


def test_an_epoch_may_be_drawn_with_replacement() -> None:
    draws = draw_epoch(50_000, 4, seed=7, among=100)
    counts = torch.bincount(draws.order, minlength=100)
    assert counts.sum() == 50_000
    # Each image is drawn 500 times, give or take a multinomial's deviation; dealt out, all would.
    assert 0.7 < ((counts - 500).square() / 500).mean() < 1.3
    data = random_data()
    batches = TrainingBatches(data, "x-valid", 8, True, 2, torch.contiguous_format)
    images, labels = zip(*batches.epoch(3, drawn=21), strict=True)
    assert [len(part) for part in images] == [8, 8, 5]
    order = draw_epoch(21, 2, seed=3, among=10).order
    assert torch.equal(torch.cat(labels), data.labels[40:][order])
    assert len(order.unique()) < 10


def test_evaluation_batches_in_any_order() -> None:
    data = random_data()

    def labels(seed: int | None) -> torch.Tensor:
        batches = evaluation_batches(data, "train", 16, torch.contiguous_format, seed)
        return torch.cat([labels for _, labels in batches])

    assert not torch.equal(labels(1), labels(None))
    assert not torch.equal(labels(1), labels(2))
    assert torch.equal(labels(1), labels(1))
    assert torch.equal(labels(1).sort().values, labels(None).sort().values)


def test_evaluation_batches_are_plain() -> None:
    data = random_data()
    images, labels = zip(
        *evaluation_batches(data, "x-valid", 4, torch.contiguous_format), strict=True
    )
    assert [len(part) for part in images] == [4, 4, 2]
    assert torch.equal(torch.cat(labels), data.labels[40:])
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (data.mean, data.std))
    assert torch.allclose(torch.cat(images), (data.images[40:] / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(50, 3, 8, 8)}, "uint8"),
        ({"images": torch.zeros(50, 3, 8, 7, dtype=torch.uint8)}, "uint8"),
        ({"labels": torch.zeros(49, dtype=torch.int64)}, "labels are int64"),
        ({"num_classes": 3}, "outside 0…2"),
        ({"splits": {"x-valid": torch.arange(5)}}, "no split 'train'"),
        ({"splits": {"train": torch.arange(51)}}, "outside 0…49"),
        ({"splits": {"train": torch.arange(0)}}, "n from 1"),
        ({"std": (0.1, 0.0, 0.1)}, "positive"),
    ],
)
def test_data_that_do_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        replace(random_data(), **change)


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'x-valid'"):
        random_data().rows("xvalid")


def test_where_data_lie_and_go_is_checked_before_they_are_sought(tmp_path: Path) -> None:
    file = tmp_path / "cifar-10-python.tar.gz"
    file.write_bytes(b"")
    for place in (file, file / "deeper"):
        with pytest.raises(InvalidInput, match=r"data_dir is a folder .* is a file"):
            load_data("cifar10", place)
    with pytest.raises(InvalidInput, match="data_dir is a path, got 5"):
        load_data("cifar10", 5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="no device 'cuda:99' here"):
        load_data("digits", device="cuda:99")
    with pytest.raises(InvalidInput, match="no device 'cdua' here"):
        load_data("digits", device="cdua")
