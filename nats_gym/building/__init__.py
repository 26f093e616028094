"""A benchmark of your own: train a range of architectures, keep what came out, make a table of it.

``architectures`` reads which are meant, ``plan`` says what one training is, ``trainings`` keeps the
finished ones in a file, ``worker`` is what a process does, ``building`` runs them all,
``columns`` turns them into a table, ``official_files`` into files that the public ``nats_bench``
reads, ``fitting`` estimates the architectures that were not trained.
"""

from __future__ import annotations

from nats_gym.building.architectures import parse_architectures
from nats_gym.building.building import TABLE, Built, TrainingsMissing, build, open_build
from nats_gym.building.fitting import fit_table
from nats_gym.building.official_files import check_export, export_official
from nats_gym.building.plan import Plan

__all__ = [
    "TABLE",
    "Built",
    "Plan",
    "TrainingsMissing",
    "build",
    "check_export",
    "export_official",
    "fit_table",
    "open_build",
    "parse_architectures",
]
