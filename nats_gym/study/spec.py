"""What a study is to run: agents × spaces × data sets × budgets × runs, as a TOML file says it."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nats_gym import checks
from nats_gym.agents import find_agent
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput, MissingStudy, said, shown
from nats_gym.files.untrusted import open_file, read_json
from nats_gym.files.writing import check_source
from nats_gym.protocol import find_kind, search_arguments
from nats_gym.results.arguments import SearchArguments
from nats_gym.spaces import find_space, get_space

#: What a study says, and what each says besides.
KEYS = ("name", "runs", "seed", "source", "trial", "searches", "agents")
SEARCH_KEYS = (
    "space",
    "dataset",
    "datasets",
    "epochs",
    "budget",
    "evaluations",
    "source",
    "evaluator",
)
AGENT_KEYS = (
    *("agent", "spaces", "options", "rungs", "workers", "continuing"),
    *("epochs", "budget", "evaluations", "runs"),
)
LONGEST_LABEL = 100
#: Bytes of a study's file, and of what a run of it records.
LARGEST, LARGEST_RECORD = 1 << 20, 64 << 20
DEFAULTS: dict[str, Any] = {"runs": 500, "seed": 0, "source": "auto", "trial": "random"}


@dataclass(frozen=True)
class StudyCell:
    """One agent in one space, on one data set, at one budget: what one search runs.

    Attributes:
        name: of its folder; no two cells of a study share it.
        label: what the study calls the agent.
        agent: a name of ``nats_gym.agents.AGENTS``, or what makes an agent.
        search: what the search of all its runs is called with.
    """

    name: str
    label: str
    agent: str | Callable[..., Any]
    search: SearchArguments

    @property
    def arguments(self) -> dict[str, Any]:
        """Of :func:`nats_gym.search`, but for the agent."""
        return {name: value for name, value in self.search.items() if name != "agent"}

    @property
    def group(self) -> tuple[str, str, int | str, float, int | None, str]:
        """Space, data set, schedule, budget, evaluations, who answers: what agents share."""
        ran = self.search
        return ran.space, ran.dataset, ran.epochs, ran.budget, ran.evaluations, ran.answered_by


@dataclass(frozen=True)
class Study:
    """A study: its cells in order.

    Attributes:
        name: what to call it.
        cells: what it runs.
        text: the file that it was read from, or what stands for it; kept with the results.
        places: folders where its own agents' modules lie.
    """

    name: str
    cells: tuple[StudyCell, ...]
    text: str = ""
    places: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, spec: Mapping[str, Any], text: str = "", places: Sequence[str] = ()) -> Study:
        """Make a study of what a file says, as plain values.

        Args:
            spec: ``searches`` (a list: each a ``space``, ``datasets``, ``epochs`` and, if it is
                not the paper's × epochs/12, a ``budget`` in seconds, or ``evaluations``; by real
                training an ``evaluator``, its name or a table of its ``name`` and options) and
                ``agents`` (label → options: ``agent`` if it is not the label, ``options`` of its
                own, ``rungs``, ``workers``, ``continuing``; ``spaces`` if not all; ``epochs``,
                ``budget``, ``evaluations``, ``runs`` other than the rest's, where a weight-sharing
                search takes no other epochs, since they are its supernet's, and no evaluations);
                ``name``, ``runs``, ``seed``, ``source``, ``trial``.
            text: the file itself.
            places: folders where modules of ``agent = "module:Class"``, and of spaces named so,
                are looked for.

        Raises:
            InvalidInput: for anything that is not so, naming the search or agent.
        """
        spec = checks.mapping(spec, "a study is a dictionary of its agents and searches")
        text = checks.text(text, "a study's text", LARGEST)
        places = [str(checks.path(one, "a place")) for one in _list_words(places)]
        _known("a study", spec, KEYS)
        needed = 'a study has [agents.NAME] tables, one at least, such as "random"'
        agents = checks.mapping(spec.get("agents", {}), needed)
        searches = checks.as_list(spec.get("searches"))
        if not agents:
            raise InvalidInput(needed)
        if not searches:
            raise InvalidInput('a study has [[searches]], one at least, with space = "tss"')
        searches = [
            _by_name(checks.mapping(search, "a search of the study is a table"))
            for search in searches
        ]
        agents = {
            label: checks.mapping(options, f"agent {shown(label)} of the study is a table")
            for label, options in agents.items()
        }
        shared = {name: spec.get(name, default) for name, default in DEFAULTS.items()}
        check_source(shared["source"])
        cells = [
            _cell(label, options, search, dataset, shared)
            for search in searches
            for dataset in _datasets(search)
            for label, options in agents.items()
            if _searched(label, options, search["space"])
        ]
        if not cells:
            raise InvalidInput("a study runs one agent at least in one of its searches' spaces")
        named: dict[str, StudyCell] = {}
        for cell in cells:
            first, by = named.get(cell.name), cell.search.answered_by
            if first is not None and first.search.answered_by != by:
                # The first keeps its name, so that others can be added to what has run.
                told = hashlib.sha256(by.encode()).hexdigest()[:8]
                cell = replace(cell, name=f"{cell.name}-{told}")
            if cell.name in named:
                raise InvalidInput(f"two cells of the study are one: {cell.name}")
            named[cell.name] = cell
        name = spec.get("name", "study")
        if not checks.text(name, "a study's name"):
            raise InvalidInput("a study's name is text, got ''")
        text = text or _written({**spec, "searches": searches})  # images by their names
        return cls(name, tuple(named.values()), text, tuple(places))


def read_study(path: str | Path) -> Study:
    """Read a study's TOML file; see :meth:`Study.of`.

    Raises:
        MissingStudy: if there is none. InvalidInput: if it is no TOML, or says what it must not.
    """
    path = checks.path(path, "a study")
    try:
        with open_file(path, LARGEST) as file:
            text = file.read(LARGEST + 1).decode()
    except FileNotFoundError:
        raise MissingStudy(f"no study at {shown(str(path))}; see studies/nats-bench.toml") from None
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: no study is read from it: {said(error)}") from None
    try:
        spec = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # 5,000 digits, or lists in lists in lists
        raise InvalidInput(f"{path} is no TOML: {said(error)}") from None
    places = (str(path.parent.absolute()), *_places_of_results(path.parent))
    sys.path.extend(place for place in places if place not in sys.path)
    return Study.of({"name": path.stem, **spec}, text, places)


def _list_words(places: Sequence[str]) -> list[str]:
    found = checks.as_list(places)
    if found is None:
        raise InvalidInput(f"places are a list of folders, got {shown(places)}")
    return found


def _places_of_results(folder: Path) -> list[str]:
    """Where the agents of a study lay whose results are in a folder, if they are."""
    try:
        record = read_json(folder / "study.json", LARGEST_RECORD, nan=True)
        return [str(place) for place in record["places"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _cell(
    label: str, options: Any, search: Mapping[str, Any], dataset: Any, shared: Mapping[str, Any]
) -> StudyCell:
    told = {**shared, **search, "space": _space(search["space"]), "dataset": dataset}
    told.pop("datasets", None)
    own = {name: value for name, value in options.items() if name not in ("agent", "spaces")}
    agent = options.get("agent", label)
    try:
        ran = search_arguments(agent=agent, **find_kind(agent).in_study(told, own))
    except InvalidInput as error:
        raise InvalidInput(f"agent {shown(label)} of the study: {error}") from None
    name = "-".join(
        (
            ran.space,
            ran.dataset,
            str(ran.epochs).replace("/", "of"),
            ran.bound_in_names,
            _slug(label) or "agent",
        )
    )
    return StudyCell(name, str(label), agent, ran)


def _slug(text: object) -> str:
    """Text as the name of a folder has it."""
    return re.sub(r"[^\w.=-]+", "-", str(text)).strip("-")


def _searched(label: str, options: Mapping[str, Any], space: str) -> bool:
    """Whether an agent is to search a space; ``InvalidInput`` if its table says no such thing."""
    if not checks.text(label, "an agent's label", LONGEST_LABEL):
        raise InvalidInput(
            f"an agent's label has 1 to {LONGEST_LABEL} characters, got {shown(label)}"
        )
    _known(f"agent {shown(label)}", options, AGENT_KEYS)
    spaces = checks.as_list(options.get("spaces", [space]))
    if spaces is None:
        raise InvalidInput(
            f"spaces of agent {shown(label)} are a list, got {shown(options['spaces'])}"
        )
    return _space(space) in {_space(name) for name in spaces}


def _space(named: Any) -> str:
    """The name of a space; one of the study's own, ``"module:Class"``, is known by it then."""
    return (find_space(named) if type(named) is str else get_space(named)).name


def _by_name(search: Mapping[str, Any]) -> dict[str, Any]:
    """A search whose data sets that Python gave as objects are named."""
    plain = dict(search)
    if hasattr(type(plain.get("dataset")), "described"):
        plain["dataset"] = get_dataset(plain["dataset"]).name
    if (several := checks.as_list(plain.get("datasets"))) is not None:
        plain["datasets"] = [
            get_dataset(one).name if hasattr(type(one), "described") else one for one in several
        ]
    return plain


def _datasets(search: Mapping[str, Any]) -> list[Any]:
    _known("a search", search, SEARCH_KEYS)
    if not isinstance(search.get("evaluator", ""), (str, Mapping)):
        raise InvalidInput(
            "the evaluator of a study's search is made anew by every process: a name, or a "
            f"table with a name and options, got {shown(search['evaluator'])}"
        )
    if "space" not in search:
        raise InvalidInput(f"a search of the study lacks its space: {shown(dict(search))}")
    if ("datasets" in search) == ("dataset" in search):
        raise InvalidInput(f"a search of the study names its datasets: {shown(dict(search))}")
    named = search.get("datasets", search.get("dataset"))
    datasets = [named] if isinstance(named, str) else checks.as_list(named)
    if not datasets:
        raise InvalidInput(f"datasets are a list of one name at least, got {shown(named)}")
    return datasets


def _known(what: str, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name in given:
        checks.word(name, f"key of {what}", allowed)


def _written(spec: Mapping[str, Any]) -> str:
    """A study made in Python as a file would say it; agents made there by their names."""
    return "".join(f"{name} = {_toml(value)}\n" for name, value in spec.items())


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        items = (f"{json.dumps(str(name))} = {_toml(item)}" for name, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if callable(value):
        return json.dumps(find_agent(value)[0])
    plain = value if isinstance(value, (bool, int, float, str)) else str(value)
    return json.dumps(plain, ensure_ascii=False)
