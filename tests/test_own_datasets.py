"""Data sets of one's own, by files that were written for it."""

from __future__ import annotations

import gzip
import os
import struct
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import nats_gym
from nats_gym.datasets import get_dataset, reading, register_dataset
from nats_gym.datasets import known as known_module
from nats_gym.datasets.own import find_kept, kept_arrays, read_dataset, split_classes
from nats_gym.datasets.pixels import read_pixels
from nats_gym.datasets.reading import SkippedPictures
from nats_gym.errors import InvalidInput
from nats_gym.training.data import MissingData, load_data


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_GYM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(known_module, "_registered", {})


def draw(count: int = 30, side: int = 8, classes: int = 3) -> tuple[Any, Any]:
    generator = np.random.default_rng(5)
    images = generator.integers(0, 256, (count, side, side), np.uint8)
    return images, np.arange(count, dtype=np.int64) % classes


def write_folder(folder: Path, images: Any, labels: Any, part: str = "") -> Path:
    for row, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / part / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{row:03}.png")
    return folder


def write_idx(path: Path, array: Any, packed: bool = False) -> None:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content += array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("parts", [(), ("train", "test"), ("train", "valid", "test")])
def test_three_layouts_of_folders(tmp_path: Path, parts: tuple[str, ...]) -> None:
    images, labels = draw()
    for part in parts or ("",):
        write_folder(tmp_path / "flowers", images, labels, part)
    row = get_dataset(str(tmp_path / "flowers"))
    assert (row.num_classes, row.resolution) == (3, 8)
    assert row.classes == ("class0", "class1", "class2")
    assert row.name.startswith("flowers-")
    assert row.title == "flowers"
    data = load_data(row.data_key)
    rows = [data.splits[name].numpy() for name in ("train", "x-valid", "x-test")]
    everything = np.concatenate(rows)
    assert sorted(everything) == list(range(len(data.labels)))  # each in one part
    sizes = {(): [18, 6, 6], ("train", "test"): [24, 6, 30]}.get(parts, [30, 30, 30])
    assert [len(one) for one in rows] == sizes
    for one in rows:
        assert len(set(np.bincount(data.labels[one]))) == 1  # of each class as many
    train = data.images[data.splits["train"]].numpy() / 255
    assert np.allclose(data.mean, train.mean((0, 2, 3)))
    assert np.allclose(data.std, train.std((0, 2, 3)))
    first = np.array(Image.open(tmp_path / "flowers" / (parts or ("",))[0] / "class0/000.png"))
    assert any(np.array_equal(first, image[0]) for image in data.images.numpy())


def test_a_digest_follows_pixels_and_no_times(tmp_path: Path) -> None:
    images, labels = draw()
    folder = write_folder(tmp_path / "own", images, labels)
    name = get_dataset(folder).name
    os.utime(folder / "class0/000.png", (1, 1))
    assert get_dataset(folder).name == name
    images[0, 0, 0] ^= 1
    write_folder(folder, images, labels)
    assert get_dataset(folder).name != name
    assert find_kept(name) is not None  # what was read before is there yet


def test_arrays_idx_and_sequences_give_the_same_images(tmp_path: Path) -> None:
    images, labels = draw()
    np.savez(tmp_path / "one.npz", images=images, labels=labels)
    one = read_dataset(tmp_path / "one.npz", "same")
    pairs = [
        (Image.fromarray(image), int(label)) for image, label in zip(images, labels, strict=True)
    ]
    assert read_dataset(pairs, "same").name == one.name
    for packed in (False, True):
        folder = tmp_path / f"idx{packed}"
        folder.mkdir()
        end = ".gz" if packed else ""
        for part in ("train", "t10k"):
            write_idx(folder / f"{part}-images-idx3-ubyte{end}", images, packed)
            write_idx(folder / f"{part}-labels-idx1-ubyte{end}", labels, packed)
    rows = [read_dataset(tmp_path / f"idx{packed}", "same") for packed in (False, True)]
    assert rows[0] == rows[1]
    assert (rows[0].train_images, rows[0].valid_images, rows[0].test_images) == (24, 6, 30)


class Feature:
    names = ("cat", "dog", "emu")


class Hub(list[Any]):
    """As Hugging Face's data sets answer."""

    features: ClassVar[dict[str, object]] = {"image": object(), "label": Feature()}


def test_a_hub_data_set_names_its_classes() -> None:
    images, labels = draw()
    hub = Hub(
        {"image": Image.fromarray(i), "label": int(k)} for i, k in zip(images, labels, strict=True)
    )
    assert get_dataset(hub).classes == Feature.names


def test_pictures_are_resized_as_pillow_does(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 256, (9 + k, 20, 3), np.uint8) for k in range(12)]
    folder = write_folder(tmp_path / "own", images, [k % 2 for k in range(12)])
    with pytest.raises(InvalidInput, match="choose the resolution"):
        get_dataset(folder)
    row = get_dataset(f"{folder}?resolution=6")
    assert row.resolution == 6
    kept = kept_arrays(row.name)["images"]
    wanted = np.array(Image.fromarray(images[0]).resize((6, 6), Image.Resampling.BILINEAR))
    assert np.array_equal(kept[0].transpose(1, 2, 0), wanted)


def test_splits_are_stratified_seeded_and_disjoint() -> None:
    labels = np.repeat(np.arange(4), (5, 10, 20, 40))
    rows = np.arange(len(labels))
    drawn = split_classes(labels, rows, (0.2, 0.4), 3)
    assert np.array_equal(np.sort(np.concatenate(drawn)), rows)
    assert [np.bincount(labels[part]).tolist() for part in drawn] == [
        [1, 2, 4, 8],
        [2, 4, 8, 16],
        [2, 4, 8, 16],
    ]
    again, other = (split_classes(labels, rows, (0.2, 0.4), seed) for seed in (3, 4))
    assert all(map(np.array_equal, drawn, again))
    assert not all(map(np.array_equal, drawn, other))


def test_a_name_is_known_in_this_process(tmp_path: Path) -> None:
    images, labels = draw()
    folder = write_folder(tmp_path / "x", images, labels)
    row = register_dataset("flowers", folder, resolution=4)
    assert get_dataset("flowers") is row
    assert row.resolution == 4
    with pytest.raises(InvalidInput, match="known already"):
        register_dataset("flowers", folder, resolution=5)
    with pytest.raises(InvalidInput, match="known already"):
        register_dataset("digits", folder)


def test_unreadable_pictures_are_named_and_counted(tmp_path: Path) -> None:
    images, labels = draw()
    folder = write_folder(tmp_path / "own", images, labels)
    (folder / "class1/bad.png").write_bytes((folder / "class1/001.png").read_bytes()[:40])
    with pytest.warns(SkippedPictures, match="1 pictures.*bad.png"):
        row = get_dataset(folder)
    assert row.train_images == 18
    with pytest.raises(InvalidInput, match=r"bad\.png"):
        get_dataset(f"{folder}?strict")


def test_pictures_beside_the_class_folders_are_told(tmp_path: Path) -> None:
    images, labels = draw()
    for part in (".", "train"):
        folder = write_folder(tmp_path / f"own{len(part)}", images, labels, part)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            name = get_dataset(folder).name
        picture = (folder / part / "class0" / "000.png").read_bytes()
        (folder / "cover.png").write_bytes(picture)
        (folder / part / "loose.PNG").write_bytes(picture)
        with pytest.warns(SkippedPictures, match=r"2 pictures are left out.*cover\.png.*no class"):
            assert get_dataset(folder).name == name
        refused(f"{folder}?strict", "no class folder")


def test_bad_images_are_one_clear_error(tmp_path: Path) -> None:
    images, labels = draw()
    one = write_folder(tmp_path / "one", images, labels * 0)
    empty = write_folder(tmp_path / "empty", images, labels)
    (empty / "nothing").mkdir()
    less = write_folder(tmp_path / "less", images, labels, "train")
    write_folder(less, images, labels % 2, "test")
    np.savez(tmp_path / "range.npz", images=images, labels=labels - 1)
    np.savez(tmp_path / "gap.npz", images=images, labels=labels * 2)
    np.savez(tmp_path / "named.npz", images=images, labels=labels, classes=np.array(["a", "b"]))
    np.savez(tmp_path / "float.npz", images=images / 255, labels=labels)
    cut = tmp_path / "cut"
    cut.mkdir()
    write_idx(cut / "train-images-idx3-ubyte", images)
    write_idx(cut / "train-labels-idx1-ubyte", labels)
    content = (cut / "train-images-idx3-ubyte").read_bytes()
    (cut / "train-images-idx3-ubyte").write_bytes(content[:-1])
    large = write_folder(tmp_path / "large", images, labels)
    few = write_folder(tmp_path / "few", images[:3], labels[:3])
    for given, match in (
        (tmp_path / "none", "does not exist"),
        (one, "at least two classes"),
        (empty, "no pictures in the class folder"),
        (less, "other classes"),
        (tmp_path / "range.npz", "a label .* is outside"),
        (tmp_path / "gap.npz", "no picture is of the class"),
        (tmp_path / "named.npz", "a label is outside 0…1"),
        (tmp_path / "float.npz", "float64|it holds"),
        (cut, "fewer bytes"),
        (few, "has 1 pictures"),
        (f"{large}?resolution=x", "NUMBER"),
        (f"{large}?size=3", "option of a data set's path"),
        (f"{large}?resolution=5000", "resolution is an integer"),
        ([(1, 2)], "."),
        (3, "dataset"),
        ("", "dataset"),
    ):
        with pytest.raises(InvalidInput, match=match):
            get_dataset(given)


def refused(given: Any, *told: str) -> None:
    """One line that says all this."""
    with pytest.raises(InvalidInput) as caught:
        get_dataset(given)
    for part in told:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_kept_and_is_damaged_or_gone_is_made_again(tmp_path: Path) -> None:
    images, labels = draw()
    folder = write_folder(tmp_path / "own", images, labels)
    name = get_dataset(folder).name
    home = tmp_path / "home" / "own-datasets"
    (entry,) = (home / "index").iterdir()
    wanted = kept_arrays(name)["images"]
    content = (home / f"{name}.npz").read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damage in (content[:99], bytes(flipped), None):
        (home / f"{name}.npz").unlink()
        if damage:
            (home / f"{name}.npz").write_bytes(damage)
        assert get_dataset(folder).name == name
        assert np.array_equal(kept_arrays(name)["images"], wanted)
    before = (home / f"{name}.npz").stat()
    for damage in (b"\xff\xfe\x80", b"", name.encode()):
        entry.write_bytes(damage)
        assert get_dataset(folder).name == name
    assert (home / f"{name}.npz").stat() == before  # what is whole is left


@pytest.mark.filterwarnings("ignore::nats_gym.datasets.reading.SkippedPictures")
def test_a_link_to_nothing_is_a_picture_that_cannot_be_read(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "own", *draw())
    name = get_dataset(folder).name
    (folder / "class0" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(SkippedPictures, match="1 pictures.*gone.png"):
        assert get_dataset(folder).name == name
    refused(f"{folder}?strict", "gone.png", "does not exist")


def test_names_of_parts_in_any_case_and_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    images, labels = draw()

    def write(*parts: str) -> Path:
        folder = tmp_path / "-".join(parts)
        for part in parts:
            write_folder(folder, images, labels, part)
        return folder

    row, other = (
        read_dataset(write(*parts), "one")
        for parts in (
            ("train", "valid", "test"),
            ("Train", "VAL", "Test"),
        )
    )
    assert row == other
    for parts, told in (
        (("training", "valid", "test"), "Did you mean 'train' by 'training'?"),
        (("valid", "test"), "no part 'train'"),
        (("training", "testing"), "Did you mean 'test' by 'testing'? Did you mean 'train' by"),
        (("train", "valid", "val"), "'val', 'valid'"),
        (("train", "test", "cats"), "beside its parts, ['cats']"),
    ):
        folder = write(*parts)
        refused(folder, f"'{folder}'", told, "'validation'")
    (folder / "cats").rename(folder / "__MACOSX")  # what a Mac packs beside
    (folder / ".git").mkdir()
    assert get_dataset(folder).classes == ("class0", "class1", "class2")
    flat = write("resting", "vest", "train-stations")  # classes, if much like parts
    assert get_dataset(flat).classes == ("resting", "train-stations", "vest")


def test_arrays_whose_names_or_parts_are_unclear_are_refused(tmp_path: Path) -> None:
    images, labels = draw()
    one = {"images": images, "labels": labels}
    train = {"x_train": images, "y_train": labels}
    for arrays, told in (
        ({**one, "classes": np.array("a")}, "classes are as many names"),
        ({**one, "classes": np.array(["a", "a", "c"])}, "two classes are called 'a'"),
        ({**one, "classes": np.array(["a", "b"])}, "0…1, of 2 classes ('a', 'b'): 2"),
        ({**one, **train}, "one part twice"),
        (
            {**train, "x_val": images, "y_val": labels, "x_valid": images, "y_valid": labels},
            "twice",
        ),
        ({**train, "x_test": images}, "'x_test' and no 'y_test'"),
    ):
        np.savez(tmp_path / "own.npz", **arrays)
        refused(tmp_path / "own.npz", str(tmp_path / "own.npz"), told)
    labels[:] = [0] * 29 + [1]
    np.savez(tmp_path / "few.npz", images=images, labels=labels, classes=np.array(["x", "one"]))
    refused(tmp_path / "few.npz", "few.npz", "class 'one' has 1 pictures")
    refused([(images[0], reading.MOST_CLASSES)], "a label is an integer", "99,999")
    refused([], "at least one (image, label)")


def test_a_folder_without_pictures_says_what_is_expected(tmp_path: Path) -> None:
    images, labels = draw()
    for name in ("empty", "bare", "half"):
        (tmp_path / name).mkdir()
    Image.fromarray(images[0]).save(tmp_path / "bare" / "0.png")
    write_idx(tmp_path / "half" / "train-images-idx3-ubyte", images)
    refused(tmp_path / "empty", "no class folders in", "empty'", "cats/1.png")
    refused(tmp_path / "bare", "no class folders in", "bare'", "cats/1.png")
    refused(tmp_path / "half", "half'", "no file of its labels: train-labels-idx1-ubyte")
    tall = write_folder(tmp_path / "tall", images[:, :, :5], labels)
    refused(tall, "tall'", "pictures are not square, 5×8: choose")
    wide = write_folder(tmp_path / "wide", np.zeros((3, 4, 4), np.uint8), [0, 1, 2])
    Image.fromarray(images[0]).save(wide / "class2" / "more.png")
    refused(wide, "of several sizes, 4×4 and 8×8")


def test_options_of_a_path_mean_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "photos", *draw())
    (folder / "class0" / "bad.png").write_bytes(b"no picture")
    for told in ("strict", "strict=true", "strict=1"):
        refused(f"{folder}?{told}", "bad.png")
    for told in ("strict=false", "strict=0"):
        with pytest.warns(SkippedPictures):
            get_dataset(f"{folder}?{told}")
    (folder / "class0" / "bad.png").unlink()
    refused(f"{folder}?strict=maybe", "strict=true or strict=false", "'maybe'")
    refused(f"{folder}?resolution={'[' * 100_000}", "resolution=NUMBER")
    refused(f"{folder}?resolution=8&resolution=4", "resolution", "twice")
    assert get_dataset(Path(f"{folder}?resolution=4")).resolution == 4
    assert register_dataset("mine", f"{folder}?resolution=5").resolution == 5
    with pytest.raises(InvalidInput, match="twice"):
        register_dataset("other", f"{folder}?resolution=5", resolution=5)
    for given in ("digits", get_dataset("digits")):
        with pytest.raises(InvalidInput, match=r"options are of images at a path .*, not digits$"):
            register_dataset("other", given, resolution=16)
    monkeypatch.chdir(tmp_path)
    refused("fotos", "unknown dataset", "no file or folder 'fotos'. Did you mean 'photos'?")
    refused("./fotos", "does not exist. Did you mean 'photos'?")
    with pytest.raises(InvalidInput, match=r"no file or folder .fotos.\. Did you mean .photos.\?"):
        register_dataset("other", "fotos", resolution=5)
    refused("digits?resolution=16", "digits is a name")
    refused("photos-0123456789ab?seed=1", "photos-0123456789ab is a name")
    refused("https://example.com/a.zip", "address 'https://example.com/a.zip'")
    for given in ({"a": 1}, None, (one for one in ())):
        refused(given, "a dataset is a name, the path of images", "got")
    monkeypatch.setattr(reading, "_LOOKED_AT", 29)
    assert get_dataset("photos").resolution == 8  # those are pictures
    (tmp_path / "disk" / "bin").mkdir(parents=True)
    for number in range(30):
        (tmp_path / "disk" / "bin" / str(number)).touch()
    refused("disk", "more than 29 files and folders")


class Counted(list[Any]):
    """A torchvision-style sequence that counts what is read of it."""

    read = 0

    def __getitem__(self, row: Any) -> Any:
        Counted.read += 1
        return super().__getitem__(row)


def test_what_memory_does_not_hold_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = draw(side=16)
    folder = write_folder(tmp_path / "flat", images, labels)
    parted = write_folder(tmp_path / "parted", images[:15], labels[:15], "train")
    write_folder(parted, images[15:], labels[15:], "test")
    np.savez(tmp_path / "one.npz", images=images, labels=labels)
    pairs = Counted(
        (Image.fromarray(image), int(label)) for image, label in zip(images, labels, strict=True)
    )
    hub = Hub({"image": image, "label": label} for image, label in pairs)
    needed = 2 * 30 * 3 * 16 * 16
    opened: list[Path] = []

    def noting(picture: Any, *options: Any) -> Any:
        opened.append(picture)
        return read_pixels(picture, *options)

    monkeypatch.setattr(reading, "read_pixels", noting)
    monkeypatch.setattr(reading, "_memory", lambda: needed - 1)
    for given in (folder, parted, tmp_path / "one.npz", pairs, hub):
        opened.clear()
        Counted.read = 0
        with pytest.raises(InvalidInput, match=f"30 pictures of 16×16 take {needed:,} bytes"):
            get_dataset(given)
        assert (len(opened), Counted.read) == (1, int(given is pairs))
    monkeypatch.setattr(reading, "_memory", lambda: needed)
    assert [get_dataset(given).resolution for given in (folder, parted, pairs, hub)] == [16] * 4
    monkeypatch.setattr(reading, "_memory", lambda: needed - 1)
    (tmp_path / "flat" / "class0" / "more.png").write_bytes(
        (tmp_path / "flat" / "class0" / "000.png").read_bytes()
    )
    assert get_dataset(f"{folder}?resolution=15").resolution == 15
    monkeypatch.undo()
    monkeypatch.setattr(reading, "_CONTAINER", tmp_path / "memory.max")
    machine = reading._memory()
    for text, wanted in (("max", machine), ("1000", 1_000), (str(2 * machine), machine)):
        (tmp_path / "memory.max").write_text(text)
        assert reading._memory() == wanted


@pytest.mark.slow
def test_fashion_mnist_where_its_files_are(tmp_path: Path) -> None:
    """A search of real trainings on 2,000 of its images finds networks that tell clothes apart."""
    try:
        data = load_data("fashion-mnist", download=False)
    except MissingData as error:
        pytest.skip(str(error))
    assert {name: len(rows) for name, rows in data.splits.items()} == {
        "train": 50_000,
        "x-valid": 10_000,
        "ori-test": 10_000,
    }
    rows = {"train": data.splits["train"][:1_600], "test": data.splits["ori-test"][:400]}
    arrays = {
        f"{part}_{what}": array
        for part, some in rows.items()
        for what, array in (
            ("images", data.images[some, 0].numpy()),
            ("labels", data.labels[some].numpy()),
        )
    }
    np.savez(tmp_path / "clothes.npz", **arrays, classes=get_dataset("fashion-mnist").classes)
    found = nats_gym.search(
        "sss",
        f"{tmp_path / 'clothes.npz'}?resolution=14",
        agent="random",
        epochs=2,
        evaluations=2,
        workers=2,
        evaluator={"name": "train", "recipe": {"batch_size": 32, "learning_rate": 0.02}},
    )
    assert found.accuracy.shape == (1, 2)
    assert found.accuracy.min() > 35  # of ten classes
