"""The public ``nasbench`` API of NAS-Bench-101, without TensorFlow.

``from nats_gym.nasbench import api`` in place of ``from nasbench import api``: same calls, same
answers, from an imported file or the figures inside the package. ``docs/nasbench-users.md`` says
what differs.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["api"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
