"""What the figures of a search rest on: as it is recorded, and as its table says here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from nats_gym.errors import InvalidInput, NotInTable, UnreadableResult, shown
from nats_gym.results.arguments import SearchArguments
from nats_gym.simulation.schedule import Epochs
from nats_gym.tables import NO_TEST, SURROGATE, Table
from nats_gym.tables.column import MADE_FOR
from nats_gym.tables.prior import open_prior, prior_names, prior_record
from nats_gym.tables.recorded import OBJECTIVE, another_column
from nats_gym.tables.score import open_score, score_record

#: What a result's provenance calls the score that an evaluator told as an accuracy.
OBSERVED = "observed"
#: Provenance of seconds that passed while a supernet was trained.
REAL = "real"


def provenance_of(table: Table, ladder: Sequence[Epochs], real: bool = False) -> dict[str, str]:
    """What a search's figures rest on.

    Args:
        table: the table searched.
        ladder: the schedules searched on.
        real: whether the seconds are real ones, of a supernet's training.
    """
    full = table.full_epochs
    each = [table.accuracy_column("valid", epochs).provenance for epochs in ladder]
    record = {
        "table": table.source,
        "checksum": table.checksum,
        # Measured only if all that was observed is.
        "search_accuracy": SURROGATE if SURROGATE in each else each[-1],
        "seconds": REAL if real else table.seconds_provenance,
        "full_schedule_valid_accuracy": table.provenance("accuracy", "valid", full),
    }
    if len(ladder) > 1:
        by_rung = (f"{rung}: {found}" for rung, found in zip(ladder, each, strict=True))
        record["search_accuracy_by_rung"] = ", ".join(by_rung)
    if table.test_is_validation:
        record["full_schedule_test_accuracy"] = NO_TEST
    elif full in table.epochs("test"):
        record["full_schedule_test_accuracy"] = table.provenance("accuracy", "test", full)
    if table.surrogate_version:
        record["surrogate_version"] = str(table.surrogate_version)
    return record


def provenance_now(
    claimed: Mapping[str, Any], arguments: SearchArguments, table: Table
) -> dict[str, str]:
    """What a saved search rests on by its table as it is now, where it claims nothing else.

    Raises:
        UnreadableResult: if the table is not the one that was searched, or if its figures rest on
            something else than the search claims.
    """
    checksum = str(claimed["checksum"])
    earlier = checksum == table.earlier_checksum
    if checksum not in {table.checksum, *table.former_checksums} and not earlier:
        raise UnreadableResult(
            f"it is a search on the {shown(claimed.get('table'))} table with checksum "
            f"{shown(checksum[:12])}; source {shown(arguments.source)} is now the {table.source} "
            f"table with checksum {table.checksum[:12]}"
        )
    provenance = provenance_of(table, arguments.ladder, arguments.shares_weights)
    searched = arguments.space, arguments.dataset
    if "score" in claimed:
        provenance["score"] = _score_now(str(claimed["score"]), arguments, table)
    if "prior" in claimed:
        names = prior_names(*searched, arguments.options.get("prior"), arguments.source)
        provenance |= prior_record(open_prior(*searched, names, arguments.source, table))
    # What no table tells: validate looks where it can, and columns are compared with their own.
    weighed = (f"{OBJECTIVE}{name}" for name in arguments.weighed)
    provenance |= {name: str(claimed[name]) for name in ("learned_on", *weighed) if name in claimed}
    for name, claim in claimed.items():
        known = name in ("table", "checksum") or provenance.get(name) == claim
        # What an earlier version called a test is none.
        if not known and not (earlier and provenance.get(name) == NO_TEST):
            raise UnreadableResult(
                f"its provenance is not that of its table: {shown(name)} is "
                f"{shown(provenance.get(name))}, it says {shown(claim)}"
            )
    return provenance


def _score_now(told: str, arguments: SearchArguments, table: Table) -> str:
    """What a result records of the score that guided it: ``told``, if it is still that one."""
    searched, name = (arguments.space, arguments.dataset), arguments.options.get("score", "")
    itself = f"{name}: "
    try:
        figure = open_score(*searched, name, table)
    except (InvalidInput, NotInTable):
        if type(name) is not str or not told.startswith(itself):
            raise
        now = ""
    else:
        now = score_record(figure)["score"]
        # An earlier version did not say for whose networks a column was made.
        basis = figure.provenance.partition(MADE_FOR)[0]
        if told in (now, score_record(replace(figure, provenance=basis))["score"]):
            return told
    if told.startswith(itself):
        here = now.removeprefix(itself)
        raise UnreadableResult(another_column(*searched, name, told.removeprefix(itself), here))
    return now
