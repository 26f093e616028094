"""A figure of a search's architectures that an agent is told beforehand, to go by."""

from __future__ import annotations

from nats_gym import checks
from nats_gym.datasets import get_dataset
from nats_gym.errors import InvalidInput
from nats_gym.spaces import get_space
from nats_gym.spaces.figure import Figure
from nats_gym.tables.figure_names import check_figure
from nats_gym.tables.table import Table, known_without_table, named_figure

#: What is searched for.
SEARCHED = "accuracy"


def open_score(space: str, dataset: str, name: str, table: Table | None = None) -> Figure:
    """Look a score up: any figure but the accuracy.

    Args:
        space, dataset: what is searched.
        name: a closed form, a named column, or what the table holds beside accuracies.
        table: the table searched; None for an evaluator's search, which has none.

    Raises:
        InvalidInput: for another name; it lists what there is.
        NotInTable: for what no table holds.
    """
    of, dataset = get_space(space), get_dataset(dataset).name
    if table is not None:
        table = checks.instance(table, Table, "the searched table")
    known = known_without_table(of, dataset) if table is None else table.known_figures
    if type(name) is str and name == SEARCHED:
        raise InvalidInput(f"{SEARCHED} is what is searched for, and no score")
    name = check_figure(name, "score", {one: of for one, of in known.items() if one != SEARCHED})
    return named_figure(of, dataset, name) if table is None else table.figure(name)


def score_record(score: Figure | None) -> dict[str, str]:
    """What a result says of the score that guided it: name, provenance, the column's digest."""
    if score is None:
        return {}
    score = checks.instance(score, Figure, "a score")
    digest = f", {score.digest[:16]}" if score.digest else ""
    return {"score": f"{score.name}: {score.provenance}{digest}"}
