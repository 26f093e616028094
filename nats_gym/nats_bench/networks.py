"""The network of a configuration that ``get_net_config`` returned.

Follows the public behaviour of ``get_cell_based_tiny_net`` of AutoDL-Projects, for the two kinds
of networks that NATS-Bench trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nats_gym.checks import as_integers, integer, mapping, text, word
from nats_gym.errors import InvalidInput, said, shown
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

    what = "a configuration is what get_net_config returns"
    given = config if issubclass(type(config), Mapping) else _entries(config, what)
    found = mapping(given, what)
    name = word(found.get("name"), "network", _KEYS)
    lacking = [key for key in _KEYS[name] if key not in found]
    if lacking:
        raise InvalidInput(f"the configuration of {name} lacks {', '.join(lacking)}")
    classes = integer(found["num_classes"], "num_classes")
    if name == "infer.shape.tiny":
        channels, cell = found["channels"], topology_str2structure(found["genotype"]).tostr()
        if cell != CELL:
            raise InvalidInput(f"the cell of {name} is {CELL}, got {shown(cell)}")
        widths = None if isinstance(channels, str) else as_integers(channels)
        if widths is not None:
            channels = ":".join(map(str, widths))
        string = text(channels, "channels, if no five integers,")
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


def _entries(config: Any, what: str) -> Any:
    """The attributes of a named tuple or namespace."""
    try:
        as_dict = getattr(config, "_asdict", None)
        entries = as_dict() if callable(as_dict) else getattr(config, "__dict__", None)
    except Exception as error:  # an object of others
        raise InvalidInput(f"{what}, got {shown(config)}: {said(error)}") from error
    if entries is None:
        raise InvalidInput(f"{what}, got {shown(config)}")
    return entries
