"""nats-gym: neural architecture search as reinforcement learning.

``import nats_gym`` registers the environments with Gymnasium, and imports neither torch,
Stable-Baselines3 nor matplotlib; the names below load what they need on first use.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# An installed package holds envs and agents; in a checkout they lie beside this folder.
if not (Path(__file__).parent / "envs").is_dir():
    __path__.append(str(Path(__file__).resolve().parent.parent))

from nats_gym.registration import register_environments

if TYPE_CHECKING:
    from nats_gym.datasets import register_dataset
    from nats_gym.protocol import search
    from nats_gym.results import SearchResult
    from nats_gym.spaces import (
        ArchitectureSpace,
        SizeSpace,
        TopologySpace,
        get_space,
        register_space,
    )
    from nats_gym.tables import load_table

__version__ = "0.1.0"

_HOMES = {
    "ArchitectureSpace": "nats_gym.spaces",
    "SearchResult": "nats_gym.results",
    "search": "nats_gym.protocol",
    "SizeSpace": "nats_gym.spaces",
    "TopologySpace": "nats_gym.spaces",
    "get_space": "nats_gym.spaces",
    "load_table": "nats_gym.tables",
    "register_dataset": "nats_gym.datasets",
    "register_space": "nats_gym.spaces",
}

__all__ = [
    "ArchitectureSpace",
    "SearchResult",
    "SizeSpace",
    "TopologySpace",
    "__version__",
    "get_space",
    "load_table",
    "register_dataset",
    "register_space",
    "search",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register_environments()
