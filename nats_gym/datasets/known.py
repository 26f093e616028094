"""A row for each data set.

Source: NATS-Bench (arXiv 2009.00437), sections 3.3 and 5, and AutoDL-Projects, which it was trained
with. ``cifar10`` here means what its search protocol means by it: trained on 25,000 images and
validated on the other 25,000.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from nats_gym.checks import instance, path, switch, text, word
from nats_gym.errors import InvalidInput, said, shown, unknown_name

from .dataset import Archive, Dataset, Images
from .own import find_kept, nearest_to, read_dataset, read_text, row_of, title_of_kept

# Loaders of what the public archives hold, by how they part it; and of scikit-learn's images.
_HALVED, _WHOLE, _TEST_HALVED, _DIGITS = (
    f"nats_gym.training.loaders:{name}"
    for name in ("load_training_halves", "load_whole", "load_test_halves", "load_digits")
)
_CIFAR_HOME = "https://www.cs.toronto.edu/~kriz/"
_PARTED = ("train", "x-valid", "x-test", "ori-test")

# Names of CIFAR-100's classes, by label.
_CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch
    crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house
    kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree
    plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
    shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table
    tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """.split()
)

CIFAR10 = Dataset(
    "cifar10",
    num_classes=10,
    resolution=32,
    train_images=25_000,
    valid_images=25_000,
    test_images=10_000,
    title="CIFAR-10",
    in_nats_bench=True,
    budgets={"tss": 20_000.0, "sss": 20_000.0},
    images=(
        Images("cifar10-valid", ("train", "x-valid", "ori-test"), _HALVED),
        Images("cifar10", ("train", "ori-test"), _WHOLE),
    ),
    mean=(125.3, 123.0, 113.9),
    std=(63.0, 62.1, 66.7),
    crop_padding=4,
    archive=Archive(
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "40351d587109b95175f43aff81a1287e"},
        counts=(50_000, 10_000),
        url=_CIFAR_HOME + "cifar-10-python.tar.gz",
        file="cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
    ),
    embedded="cifar10",
    classes=(
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ),
)

CIFAR100 = Dataset(
    "cifar100",
    num_classes=100,
    resolution=32,
    train_images=50_000,
    valid_images=5_000,
    test_images=5_000,
    title="CIFAR-100",
    in_nats_bench=True,
    budgets={"tss": 40_000.0, "sss": 40_000.0},
    images=(Images("cifar100", _PARTED, _TEST_HALVED),),
    mean=(129.3, 124.1, 112.4),
    std=(68.2, 65.4, 70.4),
    crop_padding=4,
    archive=Archive(
        folder="cifar-100-python",
        train={"train": "16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
        counts=(50_000, 10_000),
        url=_CIFAR_HOME + "cifar-100-python.tar.gz",
        file="cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        labels="fine_labels",
    ),
    split_files=("cifar100-test-split.txt",),
    embedded="cifar100",
    classes=_CIFAR100_CLASSES,
)

#: The first 120 classes of ImageNet at 16×16 (Chrabaszcz, Loshchilov & Hutter, arXiv 1707.08819).
IMAGENET16_120 = Dataset(
    "ImageNet16-120",
    num_classes=120,
    resolution=16,
    train_images=151_700,
    valid_images=3_000,
    test_images=3_000,
    in_nats_bench=True,
    budgets={"tss": 120_000.0, "sss": 60_000.0},
    images=(Images("ImageNet16-120", _PARTED, _TEST_HALVED),),
    mean=(122.68, 116.66, 104.01),
    std=(63.22, 61.26, 65.09),
    crop_padding=2,
    archive=Archive(
        folder="ImageNet16",
        train={
            "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
            "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
            "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
            "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
            "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
            "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
            "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
            "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
            "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
            "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
        },
        test={"val_data": "3410e3017fdaefba8d5073aaa65e4bd6"},
        counts=(151_700, 6_000),
        url="https://image-net.org/download-images",
        first_label=1,
        further_classes=True,
    ),
    split_files=("ImageNet16-120-test-split.txt", "imagenet-16-120-test-split.txt"),
    embedded="ImageNet16-120",
    licence="ImageNet's terms of access: non-commercial research and education",
)

#: Scikit-learn's digits, 8×8: networks are trained on them in seconds. In four epochs of
#: NATS-Bench's recipe every network stays near chance; this one takes one to two seconds on an idle
#: core, and spreads random architectures out. With one cell a stage, topologies hardly differ by
#: more than their trials do.
DIGITS = Dataset(
    "digits",
    num_classes=10,
    resolution=8,
    train_images=897,
    valid_images=500,
    test_images=400,
    full_epochs=4,
    budget=120.0,  # about as many architectures as the paper's hold
    budget_epochs=4,
    recipe={"epochs": 4, "batch_size": 24, "learning_rate": 0.005, "horizontal_flip": False},
    cells_per_stage={"tss": 3, "sss": 1, "nb101": 1},
    stem_width={"nb101": 16},
    norm_momentum={"nb101": 0.1},
    supernet={"epochs": 3, "batch_size": 24},
    small=True,
    images=(Images("digits", ("train", "x-valid", "x-test"), _DIGITS),),
    mean=(77.64, 77.64, 77.64),  # of all 1,797 images
    std=(95.87, 95.87, 95.87),
    crop_padding=1,
    package="sklearn",
    embedded="digits-300",
    evaluator="train",
    classes=tuple("0123456789"),
    licence="CC BY 4.0 (Alpaydin & Kaynak, UCI Machine Learning Repository)",
)

#: 28×28 pictures of clothes (Xiao, Rasul & Vollgraf, arXiv 1708.07747), with NATS-Bench's recipe.
FASHION_MNIST = Dataset(
    "fashion-mnist",
    num_classes=10,
    resolution=28,
    train_images=50_000,
    valid_images=10_000,
    test_images=10_000,
    title="Fashion-MNIST",
    images=(Images("fashion-mnist", ("train", "x-valid", "ori-test"), _HALVED),),
    mean=(72.94, 72.94, 72.94),  # of all 60,000 training images
    std=(90.02, 90.02, 90.02),
    crop_padding=3,
    archive=Archive(
        folder="fashion-mnist",
        train={
            "train-images-idx3-ubyte": (
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
            ),
            "train-labels-idx1-ubyte": (
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
            ),
        },
        test={
            "t10k-images-idx3-ubyte": (
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
            ),
            "t10k-labels-idx1-ubyte": (
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
            ),
        },
        counts=(60_000, 10_000),
        url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        files={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
        installed=("/usr/share/datasets/fashion-mnist",),  # Debian's dataset-fashion-mnist
        reader="nats_gym.training.archives:read_idx_files",
    ),
    evaluator="train",
    classes=(
        *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
        *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
    licence="MIT (Zalando SE)",
)

#: All, by name.
EVERY_DATASET: dict[str, Dataset] = {
    dataset.name: dataset for dataset in (CIFAR10, CIFAR100, IMAGENET16_120, DIGITS, FASHION_MNIST)
}
#: NATS-Bench's.
DATASETS: dict[str, Dataset] = {
    name: dataset for name, dataset in EVERY_DATASET.items() if dataset.in_nats_bench
}


#: Entry points of packages that bring data sets: each a :class:`Dataset`, or what is read as one.
GROUP = "nats_gym.datasets"

_registered: dict[str, Dataset] = {}


def register_dataset(name: str, images: Any, *, replace: bool = False, **options: Any) -> Dataset:
    """Make images known by a name, in this process, wherever a data set is asked for.

    Args:
        name: up to 64 letters, digits, ``-``, ``_`` and ``.``.
        images: a :class:`Dataset`, or whatever :func:`get_dataset` takes.
        replace: whether it takes the place of another of its name.
        options: how a path or sequence is read: see
            :func:`nats_gym.datasets.own.read_dataset`.

    Returns:
        What is known of it; its own name holds a digest of the images.

    Raises:
        InvalidInput: for a name that another one has, and for images that cannot be read.
    """
    name = text(name, "a data set's name", 64)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise InvalidInput(
            "a data set's name is up to 64 letters, digits, '-', '_' and '.', and begins with a "
            f"letter or digit, got {shown(name)}"
        )
    known = ("resolution", "strict", "seed", "valid", "test")
    for option in options:
        word(option, "option of a data set", known)
    if _place(images) is not None:
        row = read_text(images, name, **options)
    elif options and _is_sequence(images):
        row = read_dataset(images, name, **options)
    else:
        row = get_dataset(images)
        if options:
            raise InvalidInput(f"options are of images at a path or in a sequence, not {row.name}")
    other = EVERY_DATASET.get(name) or _registered.get(name)
    if (
        other is not None
        and other != row
        and (name in EVERY_DATASET or not switch(replace, "replace"))
    ):
        raise InvalidInput(f"a data set called {shown(name)} is known already")
    _registered[name] = _registered[row.name] = row
    return row


def known_datasets() -> tuple[str, ...]:
    """Names of all data sets: the package's, those registered, those of other packages."""
    return tuple(dict.fromkeys([*EVERY_DATASET, *_registered, *_brought()]))


def get_dataset(given: Any) -> Dataset:
    """Return what is known of a data set.

    Args:
        given: a name; a :class:`Dataset`; an ``ImageData``; the path of images, ``"photos"`` or
            ``"photos?resolution=32"``; in Python also a sequence of ``(image, label)`` or a
            Hugging Face data set: see :func:`nats_gym.datasets.own.read_dataset`.

    Returns:
        Its row. That of images of one's own is called by a name with a digest of them, and is
        found by it from then on, in other processes too.

    Raises:
        InvalidInput: for an unknown name, which names the allowed ones, and for images that
            cannot be read.
    """
    if issubclass(type(given), str):
        name = str.__str__(given)
        found = EVERY_DATASET.get(name) or _registered.get(name)
        if found is not None:
            return found
        if name in _brought():
            return register_dataset(name, _load(name))
        if (kept := find_kept(name)) is not None:
            _registered[name] = kept
            return kept
        if _place(name) is not None:
            return _remember(read_text(name))
        raise _unknown(name)
    if type(given) is Dataset:
        return _remember(given)
    if hasattr(type(given), "described"):
        return _remember(instance(given.described(), Dataset, "what described() returns"))
    if hasattr(type(given), "__fspath__"):
        return _remember(read_text(given))
    if _is_sequence(given):
        return _remember(read_dataset(given))
    raise InvalidInput(
        "a dataset is a name, the path of images, an ImageData, a sequence of (image, label) or a "
        f"Hugging Face data set, got {shown(given)}; names: {', '.join(known_datasets())[:1_000]}"
    )


def _is_sequence(given: Any) -> bool:
    kind = type(given)
    several = hasattr(kind, "__getitem__") and hasattr(kind, "__len__")
    return several and not issubclass(kind, (str, bytes, bytearray, Mapping))


def _unknown(name: str) -> InvalidInput:
    """The exception for a text that is neither the name of a data set nor the path of images."""
    error = unknown_name("dataset", name, known_datasets())
    plain, question, _ = name.partition("?")
    if question and is_known(plain):
        return InvalidInput(
            f"{error} Options after '?' are of images at a path, and {plain} is a name"
        )
    try:
        near = nearest_to(path(plain, "dataset", expand=True))
    except InvalidInput:
        return error
    return InvalidInput(
        f"{error} Or give the path of images: there is no file or folder {shown(plain)}.{near}"
    )


def learn(facts: Mapping[str, Any]) -> Dataset:
    """Make images of one's own known by what a file says of them, wherever they lie.

    Raises:
        ValueError, KeyError, TypeError: as :func:`nats_gym.datasets.own.row_of`.
    """
    return _remember(row_of(facts))


def is_known(name: str) -> bool:
    """Whether a text names a data set: a known one, or images of one's own, here or elsewhere."""
    return find_dataset(name) is not None or title_of_kept(name) is not None


def full_name(name: str) -> str:
    """A data set's own name, of a shorter one that it is registered by or of its images' key."""
    known = find_dataset(name)
    return known.name if known else name


def title_of(name: str) -> str:
    """What readers call a data set, which need not be on this machine."""
    known = find_dataset(name)
    return known.title if known else title_of_kept(name) or name


def _remember(row: Dataset) -> Dataset:
    other = EVERY_DATASET.get(row.name) or _registered.get(row.name)
    if other is not None and other != row:
        raise InvalidInput(f"a data set called {shown(row.name)} is known already")
    _registered.setdefault(row.name, row)
    return row


def _place(given: Any) -> Path | None:
    """The path that is meant; None for what looks like none."""
    if hasattr(type(given), "__fspath__"):
        return path(given, "dataset", expand=True)
    if not issubclass(type(given), str):
        return None
    plain = str.__str__(given)
    try:
        found = path(plain.partition("?")[0], "dataset", expand=True)
        return found if "/" in plain or os.sep in plain or found.exists() else None
    except (InvalidInput, OSError):
        return None


def _load(name: str) -> Any:
    try:
        return _brought()[name].load()
    except Exception as error:
        raise InvalidInput(f"the data set {shown(name)} cannot be loaded: {said(error)}") from error


@cache
def _brought() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _rows() -> list[Dataset]:
    return [*EVERY_DATASET.values(), *_registered.values()]


def dataset_of(key: str) -> Dataset:
    """The data set whose images a key is of: CIFAR-10 of ``"cifar10-valid"`` and ``"cifar10"``.

    Raises:
        InvalidInput: for an unknown key.
    """
    known = {images.key: one for one in _rows() for images in one.images}
    plain = str.__str__(key) if issubclass(type(key), str) else ""
    if plain not in known and (kept := find_kept(plain)) is not None:
        return _remember(kept)
    return known[word(key, "data set", known)]


def get_images(key: str) -> Images:
    """Return the images of a key, e.g. ``"cifar10-valid"``; ``InvalidInput`` names the allowed."""
    key = word(key, "data set", [images.key for images in dataset_of(key).images])
    return next(images for images in dataset_of(key).images if images.key == key)


def searched_key(name: str) -> str:
    """Key of the images that a search on a data set trains on; of images' key, itself.

    Raises:
        InvalidInput: for what is neither.
    """
    keys = {images.key: images.key for one in _rows() for images in one.images}
    keys |= {one.name: one.data_key for one in _rows() if one.images}
    return keys[word(name, "data set", keys)]


def find_dataset(name: str) -> Dataset | None:
    """The data set of a name or of images' key; None where nobody has described it."""
    keys = {images.key: one for one in _rows() for images in one.images}
    return (keys | _registered | EVERY_DATASET).get(name) or find_kept(name)
