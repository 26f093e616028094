"""Weight-sharing searches: a supernet is trained, and the architecture with it.

By name, one algorithm each:

===========  =====================================================================
``darts``    topology: a softmax mixture of all operations, first order
``darts2``   the same through one unrolled step of the weights, second order
``gdas``     topology: one path sampled by straight-through Gumbel-softmax
``setn``     topology: uniform paths for the weights, a mixture for alpha
``rsps``     topology: random paths, one a cell, the best of 100 at random
``enas``     topology: an LSTM that samples paths, trained by REINFORCE
``tas``      size: widths sampled in pairs, interpolated channel by channel
``fbnetv2``  size: channel masks weighted by Gumbel-softmax
``tunas``    size: sampled channel masks, trained by REINFORCE
===========  =====================================================================

:class:`~nats_gym.agents.weight_sharing.supernet_search.SupernetSearch` is the loop that they
share, :class:`~nats_gym.agents.weight_sharing.method.Method` what each has to say to it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from nats_gym.checks import word

if TYPE_CHECKING:
    from .method import Method

_HOMES = {
    "darts": ".darts:DARTS",
    "darts2": ".darts:DARTS2",
    "gdas": ".gdas:GDAS",
    "setn": ".setn:SETN",
    "rsps": ".rsps:RSPS",
    "enas": ".enas:ENAS",
    "tas": ".tas:TAS",
    "fbnetv2": ".fbnetv2:FBNetV2",
    "tunas": ".tunas:TuNAS",
}

#: Names of the weight-sharing searches.
METHODS: tuple[str, ...] = tuple(_HOMES)


def get_method(name: str) -> type[Method]:
    """Return the class of the search called ``name``.

    Raises:
        InvalidInput: for an unknown name; it lists the known ones.
    """
    module, cls = _HOMES[word(name, "weight-sharing search", _HOMES)].split(":")
    method: type[Method] = getattr(import_module(module, __name__), cls)
    return method


__all__ = ["METHODS", "get_method"]
