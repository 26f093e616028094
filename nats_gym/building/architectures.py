"""Which architectures are meant: ``"0-199,300"``, ``"random:300:seed0"``, ``"all"``."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from nats_gym import checks
from nats_gym.errors import InvalidInput, shown
from nats_gym.spaces import ArchitectureSpace
from nats_gym.streams import combine, seed_key

_ALLOWED = "'0-199,300', 'random:300:seed0' or 'all'"

#: Of a text: every index of a space, one by one, is shorter.
LONGEST_TEXT = 1_000_000


def parse_architectures(text: str, space: ArchitectureSpace) -> NDArray[np.int64]:
    """Official indices that a text names, ascending, each once, ``(architecture,)``.

    Args:
        text: indices and ranges with both ends, separated by commas; ``random:N`` or
            ``random:N:seedS`` for a uniform sample of N, of seed 0 unless another is given; or
            ``all``. A larger sample of one seed holds the smaller ones.
        space: whose they are.

    Raises:
        InvalidInput: for another text, or an index that the space does not have.
    """
    space = checks.instance(space, ArchitectureSpace, "space")
    chosen: list[NDArray[np.int64]] = []
    for part in checks.text(text, "a text of architectures", LONGEST_TEXT).split(","):
        number = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", part)
        sample = re.fullmatch(r"\s*random:([0-9]{1,9})(?::seed([0-9]{1,18}))?\s*", part)
        if part.strip() == "all":
            chosen.append(np.arange(space.size))
        elif sample:
            chosen.append(_sample(space, int(sample[1]), int(sample[2] or 0)))
        elif number:
            first, last = int(number[1]), int(number[2] or number[1])
            if first > last:
                raise InvalidInput(f"a range of architectures ascends, got {shown(part)}")
            space.check_index(np.array([first, last]))
            chosen.append(np.arange(first, last + 1))
        else:
            raise InvalidInput(f"architectures are given as {_ALLOWED}, got {shown(text)}")
    return np.unique(np.concatenate(chosen))


def _sample(space: ArchitectureSpace, count: int, seed: int) -> NDArray[np.int64]:
    if not 0 < count <= space.size:
        raise InvalidInput(f"a sample is of 1 to {space.size:,} architectures, got {count:,}")
    # The architectures of lowest hash: samples of one seed are nested.
    hashes = combine(seed_key(seed), np.arange(space.size))
    return np.argsort(hashes, kind="stable")[:count].astype(np.int64)
