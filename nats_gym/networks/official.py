"""Networks with the weights of the official ``-full`` archives.

Source: NATS-Bench (arXiv 2009.00437).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from nats_gym import checks
from nats_gym.datasets import dataset_of
from nats_gym.errors import SHOWN, InvalidInput, MissingTable, NotInTable, said, shown
from nats_gym.networks.network import Network, build
from nats_gym.networks.weights import check_fit
from nats_gym.spaces import get_space
from nats_gym.tables import official
from nats_gym.tables.official import OfficialArchive
from nats_gym.tables.official.archive import ARCHIVE_FILE
from nats_gym.tables.official.entries import list_archive
from nats_gym.tables.official.runs import KEYS
from nats_gym.tables.official.unpickling import UnreadableFile, load_bytes


def load_official(
    architecture: int | str | ArrayLike,
    dataset: str,
    seed: int,
    *,
    space: str = "tss",
    source: str | os.PathLike[str] | None = None,
    hp: str | None = None,
) -> Network:
    """Build an architecture's network with the weights of one of its official trainings.

    Args:
        architecture: official index, official string or choices.
        dataset: the training's official key: ``"cifar10-valid"`` (trained on half of CIFAR-10),
            ``"cifar10"`` (on all of it), ``"cifar100"`` or ``"ImageNet16-120"``.
        seed: the training's: 777, 888, 999 or, after 12 epochs in tss, 111.
        space: ``"tss"`` or ``"sss"``.
        source: a ``-full`` archive, which is imported on first use, or the folder of its import;
            default the newest import of one.
        hp: schedule as the files spell it: ``"12"`` or ``"200"`` (tss), ``"01"``, ``"12"`` or
            ``"90"`` (sss); default the longest.

    Returns:
        The network on the CPU, in evaluation mode.

    Raises:
        InvalidInput: for an unknown name or architecture, or a seed that was not run.
        MissingTable: if there is no archive with weights.
        NotInTable: if the archive has no weights, or not those.
        UnreadableFile, ForbiddenPickle: if the record is damaged, or its weights do not fit.
    """
    space = get_space(space).name
    index = get_space(space).resolve(architecture)
    dataset = checks.word(dataset, "dataset", KEYS)
    seed = checks.seed(seed)
    if source is None:
        archive = _newest(space)
    else:
        archive = _opened(checks.path(source, "source", expand=True), space)
    if archive.weights is None:
        raise NotInTable(
            f"the archive imported from {shown(archive.source)} holds no weights; "
            "those of NATS-Bench are in its -full archives"
        )
    hp = archive.hps[-1] if hp is None else hp
    _check_run(archive, index, dataset, hp, seed)
    entry = next((e for e in list_archive(archive.weights).entries if e.index == index), None)
    if entry is None:
        raise NotInTable(f"{shown(str(archive.weights))} has no record of architecture {index} now")
    weights = _weights(load_bytes(entry.read(), entry.name, weights=True), hp, dataset, seed)
    if weights is None:
        raise NotInTable(f"{entry.name}: no weights of {dataset}, hp {hp}, seed {seed}")
    classes = dataset_of(dataset).num_classes
    network = build(space, index, classes)
    try:
        check_fit(network.state_dict(), weights)
    except ValueError as error:
        raise UnreadableFile(f"{entry.name}: {said(error, 2 * SHOWN)}") from error
    network.load_state_dict(weights, strict=True)
    return network.eval()


def _newest(space: str) -> OfficialArchive:
    for archive in official.archives():
        if archive.space.name == space and archive.official and archive.weights is not None:
            return archive
    raise MissingTable(
        f"no archive of {space} with weights was imported on this machine; "
        "import a -full one: nats-gym data import PATH"
    )


def _opened(path: Path, space: str) -> OfficialArchive:
    if (path / ARCHIVE_FILE).is_file():
        archive = OfficialArchive(path)
    else:
        archive = official.find_archive(path) or official.import_archive(path, space)
    if archive.space.name != space:
        raise InvalidInput(
            f"{shown(str(path))} is an archive of {archive.space.name}, asked for was {space}"
        )
    return archive


def _check_run(archive: OfficialArchive, index: int, key: str, hp: str, seed: int) -> None:
    """Raise unless the archive has this training."""
    checks.word(hp, "hp", archive.hps)
    if key not in archive.keys(hp):
        raise NotInTable(
            f"the archive imported from {shown(archive.source)} has no {key} at hp {hp}"
        )
    if not archive.held[index]:
        raise NotInTable(f"the archive imported from {shown(archive.source)} has no index {index}")
    runs = archive.runs(key, hp)
    seeds = [runs.seeds[trial] for trial in runs.trials(index)]
    if seed not in seeds:
        allowed = ", ".join(map(str, seeds))
        raise InvalidInput(
            f"architecture {index} was not trained on {key} at hp {hp} with seed {seed}; "
            f"allowed: {allowed}"
        )


def _weights(record: Any, hp: str, key: str, seed: int) -> Any:
    try:
        return record[hp]["all_results"][key, seed]["net_state_dict"]
    except (KeyError, TypeError):
        return None
