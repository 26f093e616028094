"""The pages on environments are what the docstrings say, in Gymnasium's order of sections."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nats_gym.envs
from nats_gym.registration import FAMILIES, TASK_FAMILIES

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))

from document_environments import PAGES  # noqa: E402

CLASSES = [*FAMILIES.values(), *TASK_FAMILIES.values()]
SECTIONS = [
    *("Description", "Action Space", "Observation Space", "Rewards"),
    *("Starting State", "Episode End", "Arguments", "Version History"),
]


@pytest.mark.parametrize("name", [scalar for scalar, _ in CLASSES])
def test_docstrings_follow_gymnasiums_page(name: str) -> None:
    text = inspect.cleandoc(getattr(nats_gym.envs, name).__doc__)
    assert re.findall(r"^## (.*)", text, re.M) == SECTIONS


@pytest.mark.parametrize("name", [vector for _, vector in CLASSES])
def test_vector_docstrings_keep_its_order(name: str) -> None:
    found = re.findall(r"^## (.*)", inspect.cleandoc(getattr(nats_gym.envs, name).__doc__), re.M)
    assert found == [section for section in SECTIONS if section in found]
    assert {"Description", "Version History"} <= {*found}


def test_every_family_is_exported_and_has_a_page() -> None:
    for pair in CLASSES:
        lacking = {*pair} - {*nats_gym.envs.__all__}
        assert not lacking, f"import {lacking} in envs/__init__.py and name them in __all__"
    lacking = {**FAMILIES, **TASK_FAMILIES}.keys() ^ PAGES.keys()
    assert not lacking, f"PAGES of scripts/document_environments.py: a line each for {lacking}"


def test_the_pages_are_current() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "document_environments.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
