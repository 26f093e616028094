"""The network of a configuration that ``get_net_config`` returned.

Follows the public behaviour of ``get_cell_based_tiny_net`` of AutoDL-Projects, for the two kinds
of networks that NATS-Bench trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nats_gym.checks import integer
from nats_gym.errors import InvalidInput, shown, unknown_name
from nats_gym.nats_bench.genotype_utils import topology_str2structure
from nats_gym.spaces.size import CELL

if TYPE_CHECKING:
    from nats_gym.networks import Network

#: What the configuration of each kind says besides its name.
_KEYS = {
    "infer.tiny": ("C", "N", "num_classes"),
    "infer.shape.tiny": ("channels", "genotype", "num_classes"),
}


def get_cell_based_tiny_net(config: Mapping[str, Any] | Any) -> Network:
    """Build the network of a configuration, with torch's default initial weights.

    Args:
        config: what ``get_net_config`` returned, as a mapping or an object of its entries.
            ``infer.tiny`` has C, the channels of the first stage, N, the cells of each stage,
            and the cell as ``arch_str`` or ``genotype``; ``infer.shape.tiny`` has channels,
            ``"8:16:24:32:40"`` or five integers. The cell is a string or a structure.

    Returns:
        A module from images ``(B, 3, H, W)`` to logits ``(B, num_classes)``, unlike
        AutoDL-Projects' which returns features beside them. Its parameters have the names of the
        official weights, so that ``load_state_dict`` takes what ``get_net_param`` returns.

    Raises:
        InvalidInput: for any other configuration.
    """
    from nats_gym.networks import build

    found = config if isinstance(config, Mapping) else _entries(config)
    name = found.get("name")
    if name not in _KEYS:
        raise unknown_name("network", name, _KEYS)
    lacking = [key for key in _KEYS[name] if key not in found]
    if lacking:
        raise InvalidInput(f"the configuration of {name} lacks {', '.join(lacking)}")
    classes = integer(found["num_classes"], "num_classes")
    if name == "infer.shape.tiny":
        channels, cell = found["channels"], topology_str2structure(found["genotype"]).tostr()
        if cell != CELL:
            raise InvalidInput(f"the cell of {name} is {CELL}, got {shown(cell)}")
        string = channels if isinstance(channels, str) else ":".join(map(str, channels))
        return build("sss", string, classes)
    structure = found.get("genotype", found.get("arch_str"))
    if structure is None:
        raise InvalidInput(f"the configuration of {name} lacks arch_str or genotype")
    return build(
        "tss",
        topology_str2structure(structure).tostr(),
        classes,
        cells_per_stage=integer(found["N"], "N"),
        stem_width=integer(found["C"], "C"),
    )


def _entries(config: Any) -> dict[str, Any]:
    """The attributes of a named tuple or namespace."""
    as_dict = getattr(config, "_asdict", None)
    try:
        return dict(as_dict() if callable(as_dict) else vars(config))
    except TypeError:
        raise InvalidInput(
            f"a configuration is what get_net_config returns, got {shown(config)}"
        ) from None
