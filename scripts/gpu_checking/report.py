"""What ``scripts/gpu_check.py`` writes: one JSON, whose shape is here, and Markdown made of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from nats_gym.files.writing import make_folder, write_file

#: Of the JSON; another number means other fields.
VERSION = 1

#: Fields and what they hold: a type, several, a list of one shape, or fields again.
TEXT, NUMBER, COUNT, MAYBE_TEXT, MAYBE_NUMBER = (
    (str,),
    (int, float),
    (int,),
    (str, type(None)),
    (int, float, type(None)),
)
_NETWORK = {"space": TEXT, "index": COUNT}
SHAPE: dict[str, Any] = {
    "version": COUNT,
    "miniature": (bool,),
    "machine": {
        "device": TEXT,
        "kind": TEXT,
        "devices": COUNT,
        "memory_gib": MAYBE_NUMBER,
        "processor": TEXT,
        "cores": COUNT,
        "driver": MAYBE_TEXT,
        "cuda": MAYBE_TEXT,
        "cudnn": MAYBE_NUMBER,
        "python": TEXT,
        "torch": TEXT,
        "triton": MAYBE_TEXT,
        "numpy": MAYBE_TEXT,
        "gymnasium": MAYBE_TEXT,
        "nats_gym": TEXT,
        "commit": MAYBE_TEXT,
        "date": TEXT,
    },
    "budget_seconds": NUMBER,
    # By part: the proof, then each figure's name.
    "seconds": {...: NUMBER},
    "proof": [
        {"check": TEXT, "outcome": TEXT, "reason": TEXT, "seconds": NUMBER, "detail": TEXT},
    ],
    "figures": {
        # What the device can do, measured and, of cards known here, as the maker says.
        "ceilings": [{"what": TEXT, "value": NUMBER, "unit": TEXT, "card": MAYBE_NUMBER}],
        # One network at a time. GFLOP of forward and backward an image, as torch counts them in
        # our network; utilisation of the measured matrix product in this precision, and of_card.
        "alone": [
            {
                **_NETWORK,
                "way": TEXT,
                "batch": COUNT,
                "precision": TEXT,
                "gflop_per_image": NUMBER,
                "images_per_second": NUMBER,
                "utilisation": MAYBE_NUMBER,
                "of_card": MAYBE_NUMBER,
                "peak_mib": MAYBE_NUMBER,
            }
        ],
        # So many at once, in a group of which class; the plain loop's images a second are of the
        # same, one after another.
        "together": [
            {
                "space": TEXT,
                "what": TEXT,
                "group": TEXT,
                "count": COUNT,
                "index": [COUNT],
                "batch": COUNT,
                "images_per_second": NUMBER,
                "plain_images_per_second": MAYBE_NUMBER,
                "times_plain": MAYBE_NUMBER,
                "utilisation": MAYBE_NUMBER,
                "peak_mib": MAYBE_NUMBER,
            }
        ],
        # A training of CIFAR-10's size, from set-up to validation; seconds are of all at once.
        "schedules": [
            {
                "space": TEXT,
                "index": [COUNT],
                "count": COUNT,
                "images": COUNT,
                "epochs": COUNT,
                "measured_epochs": COUNT,
                "seconds": NUMBER,
                "evaluations_per_hour": NUMBER,
            }
        ],
        # A step of weights and architecture, with the end of an epoch parted among its steps.
        "supernets": [{"method": TEXT, "space": TEXT, "batch": COUNT, "seconds_per_step": NUMBER}],
        # A forward pass in float32.
        "latencies": [{**_NETWORK, "batch": COUNT, "milliseconds": NUMBER}],
    },
    "left_out": [{"what": TEXT, "reason": TEXT}],
    "failed": [{"what": TEXT, "reason": TEXT}],
}


def check_shape(value: Any, shape: Any = SHAPE, where: str = "report") -> None:
    """Raise ``ValueError`` unless a value has a shape; says where it has not."""
    if isinstance(shape, tuple):
        if type(value) not in shape:
            names = " or ".join(kind.__name__ for kind in shape)
            raise ValueError(f"{where} is {value!r}, not {names}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise ValueError(f"{where} is no list")
        for number, one in enumerate(value):
            check_shape(one, shape[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        raise ValueError(f"{where} has no fields")
    elif ... in shape:
        for name, one in value.items():
            check_shape(one, shape[...], f"{where}.{name}")
    else:
        if value.keys() != shape.keys():
            differing = sorted(value.keys() ^ shape.keys())
            raise ValueError(f"{where} lacks or has too much: {', '.join(differing)}")
        for name, one in value.items():
            check_shape(one, shape[name], f"{where}.{name}")


class Report:
    """What is known so far, on disk after every part.

    Args:
        folder: where ``gpu.json`` and ``gpu.md`` are written.
        machine: what it is measured on.
        miniature: whether on a CPU, small.
        budget: seconds.

    Attributes:
        content: as :data:`SHAPE` says.
    """

    def __init__(
        self, folder: Path, machine: Mapping[str, Any], miniature: bool, budget: float
    ) -> None:
        self._folder = folder
        self.content: dict[str, Any] = {
            "version": VERSION,
            "miniature": miniature,
            "machine": dict(machine),
            "budget_seconds": budget,
            "seconds": {},
            "proof": [],
            "figures": {name: [] for name in SHAPE["figures"]},
            "left_out": [],
            "failed": [],
        }

    def save(self) -> None:
        """Write both files, each whole or not at all."""
        make_folder(self._folder)
        texts = {
            "gpu.json": json.dumps(self.content, indent=1),
            "gpu.md": to_markdown(self.content),
        }
        for name, text in texts.items():
            write_file(self._folder / name, text + "\n")

    @property
    def failures(self) -> int:
        """How many checks and figures have failed."""
        failed = [one for one in self.content["proof"] if one["outcome"] == "failed"]
        return len(failed) + len(self.content["failed"])


# ── Markdown ─────────────────────────────────────────────────────────────────────────────────

#: Columns of the tables of single networks, in their order.
WAYS = (
    "plain loop, DataLoader",
    "plain loop, images on the device",
    "ours, eager",
    "ours, not fused",
    "ours",
    "ours, bfloat16",
    "ours, compiled",
)

#: What the others are compared with.
PLAIN = WAYS[1]


def to_markdown(content: Mapping[str, Any]) -> str:
    """The tables of a report, as ``docs/gpu.md`` takes them."""
    parts = [_machine(content), _proof(content)]
    figures = content["figures"]
    tables = _ceilings, _alone, _gain, _use, _together, _schedules, _supernets, _latencies
    for table in tables:
        parts.append(table(figures))
    parts.append(_missing(content))
    return "\n\n".join(part for part in parts if part)


def _machine(content: Mapping[str, Any]) -> str:
    machine = content["machine"]
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    versions = [
        f"{name} {machine[name]}"
        for name in ("driver", "cuda", "cudnn", "torch", "triton", "python", "nats_gym")
        if machine[name] is not None
    ]
    seconds = sum(content["seconds"].values())
    small = " In miniature: these figures prove that the script runs, and measure nothing."
    return (
        f"{machine['device']}{memory}, {machine['processor']} with {machine['cores']} cores; "
        f"{', '.join(versions)}; {machine['date'][:10]}, commit {machine['commit'] or 'unknown'}; "
        f"{seconds:.0f} s in all.{small if content['miniature'] else ''}"
    )


def _proof(content: Mapping[str, Any]) -> str:
    proof = content["proof"]
    if not proof:
        return ""
    counts = {
        outcome: sum(one["outcome"] == outcome for one in proof)
        for outcome in ("passed", "failed", "left out")
    }
    lines = [f"Proof: {', '.join(f'{count} {name}' for name, count in counts.items())}."]
    lines += [
        f"- {one['check']} {one['outcome']}: {one['reason']}"
        for one in proof
        if one["outcome"] != "passed"
    ]
    return lines[0] + ("\n\n" + "\n".join(lines[1:]) if lines[1:] else "")


def _ceilings(figures: Mapping[str, Any]) -> str:
    rows = [
        [one["what"], f"{_number(one['value'])} {one['unit']}", _number(one["card"])]
        for one in figures["ceilings"]
    ]
    return _table(["what the device can do", "measured", "the maker says"], rows)


def _alone(figures: Mapping[str, Any]) -> str:
    return _by_network("images a second", figures["alone"], lambda row: row["images_per_second"])


def _gain(figures: Mapping[str, Any]) -> str:
    """Each way against the plain loop whose images are on the device."""
    speeds: dict[tuple[str, str], dict[int, float]] = {}
    for row in figures["alone"]:
        speeds.setdefault((row["space"], row["way"]), {})[row["index"]] = row["images_per_second"]
    rows = []
    for (space, way), found in speeds.items():
        plain = speeds.get((space, PLAIN), {})
        ratios = [speed / plain[index] for index, speed in found.items() if index in plain]
        if ratios and way != PLAIN:
            low, mean, high = min(ratios), geometric_mean(ratios), max(ratios)
            rows.append([space, way, f"{mean:.2f}×", f"{low:.2f}× to {high:.2f}×"])
    rows.sort()
    head = [f"against: {PLAIN}, in float32", "way", "geometric mean", "of all networks"]
    return _table(head, rows) if rows else ""


def _use(figures: Mapping[str, Any]) -> str:
    return _by_network(
        "percent of the measured matrix product / of the maker's figure / MiB",
        figures["alone"],
        lambda row: row["utilisation"] and 100 * row["utilisation"],
        lambda row: row["of_card"] and 100 * row["of_card"],
        lambda row: row["peak_mib"],
    )


def _by_network(what: str, rows: list[dict[str, Any]], *values: Any) -> str:
    """A line for each network, a column for each way."""
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    networks: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        networks.setdefault((row["space"], row["index"]), {})[row["way"]] = row
    sized = sorted(
        networks.items(),
        key=lambda item: (item[0][0] != "tss", next(iter(item[1].values()))["gflop_per_image"]),
    )
    lines = []
    for (space, index), by_way in sized:
        gflop = next(iter(by_way.values()))["gflop_per_image"]
        cells = [
            " / ".join(_number(value(by_way[way])) for value in values) if way in by_way else "–"
            for way in ways
        ]
        lines.append([f"{space} {index}", f"{gflop:.3g}", *cells])
    return _table([what, "GFLOP an image", *ways], lines)


def _together(figures: Mapping[str, Any]) -> str:
    order = {"random": 0, "trials": 1}
    rows = sorted(
        figures["together"],
        key=lambda row: (row["space"] != "tss", order.get(row["what"], 2), row["count"]),
    )
    return _table(
        ["at once", "images a second", "plain loop, one by one", "ratio", "percent used", "MiB"],
        [
            [
                f"{row['count']} {row['space']}, {row['what']}, {row['group']}",
                _number(row["images_per_second"]),
                _number(row["plain_images_per_second"]),
                "–" if row["times_plain"] is None else f"{row['times_plain']:.2f}×",
                _number(row["utilisation"] and 100 * row["utilisation"]),
                _number(row["peak_mib"]),
            ]
            for row in rows
        ],
    )


def _schedules(figures: Mapping[str, Any]) -> str:
    return _table(
        ["a training", "epochs", "of them measured", "seconds", "evaluations an hour"],
        [
            [
                f"{row['space']}, {row['count']} at once, {row['images']:,} images",
                str(row["epochs"]),
                str(row["measured_epochs"]),
                _number(row["seconds"]),
                _number(row["evaluations_per_hour"]),
            ]
            for row in figures["schedules"]
        ],
    )


def _supernets(figures: Mapping[str, Any]) -> str:
    return _table(
        ["weight-sharing search", "batch", "ms a step"],
        [
            [row["method"], str(row["batch"]), _number(1000 * row["seconds_per_step"])]
            for row in figures["supernets"]
        ],
    )


def _latencies(figures: Mapping[str, Any]) -> str:
    batches = sorted({row["batch"] for row in figures["latencies"]})
    found: dict[tuple[str, int], dict[int, float]] = {}
    for row in figures["latencies"]:
        found.setdefault((row["space"], row["index"]), {})[row["batch"]] = row["milliseconds"]
    return _table(
        ["ms of a forward pass", *(f"batch {batch}" for batch in batches)],
        [
            [f"{space} {index}", *(_number(by_batch.get(batch)) for batch in batches)]
            for (space, index), by_batch in found.items()
        ],
    )


def _missing(content: Mapping[str, Any]) -> str:
    lines = [f"- failed: {one['what']}: {one['reason']}" for one in content["failed"]]
    reasons: dict[str, list[str]] = {}
    for one in content["left_out"]:
        reasons.setdefault(one["reason"], []).append(one["what"])
    lines += [f"- left out ({reason}): {'; '.join(what)}" for reason, what in reasons.items()]
    return "\n".join(lines)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _number(value: float | None) -> str:
    """Three figures, and all before the point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
