"""Ranks, in the shipped table of choices, of what weight-sharing searches and Random found.

``python benchmarks/weight_sharing.py [FOLDER]`` runs studies/weight-sharing-digits.toml, about 14
minutes on two cores, or what a folder of its results lacks.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from nats_gym.study import load_study, read_study, run_study

STUDY = Path(__file__).parent.parent / "studies" / "weight-sharing-digits.toml"


def main(folder: Path) -> None:
    study = load_study(run_study(read_study(STUDY), folder))
    print(f"{study.name}, {study.record['machine']}")
    for group, searches in study.groups().items():
        table = next(iter(searches.values())).table
        accuracy = table.mean_accuracy()
        known = accuracy[~np.isnan(accuracy)]
        print(f"{group.space}, {group.budget:g} s: rank among {len(known)}, 1 the best")
        for label, result in searches.items():
            found = accuracy[result.recommended]
            ranks = 1 + (known > found[:, None]).sum(axis=1)
            shown = ", ".join(map(str, ranks)) if len(ranks) < 10 else f"of {len(ranks)} runs"
            print(
                f"  {label:<8} median rank {np.median(ranks):5.0f} ({shown}), "
                f"accuracy {found.mean():.1f} ± {found.std():.1f} %, "
                f"{result.evaluations.mean():.1f} evaluations or epochs, "
                f"{np.nanmax(result.clock, axis=1).mean():.0f} s"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "results/weight-sharing-digits"))
