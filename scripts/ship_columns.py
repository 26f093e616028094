"""Ship named columns that were added on this machine with the package, as float32.

    nats-gym measure --space tss --device cpu --batch 1 --threads 1 --licence MIT
    python scripts/ship_columns.py tss cifar10 measured latency/cpu-1-thread-batch1

They become ``nats_gym/data/<space>-columns-<group>``, all of that folder.
"""

from __future__ import annotations

import argparse

import numpy as np

from nats_gym.spaces import get_space
from nats_gym.tables import write_table
from nats_gym.tables.folder import open_column
from nats_gym.tables.named_columns import SHIPPED, named_columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("space")
    parser.add_argument("dataset")
    parser.add_argument("group")
    parser.add_argument("names", nargs="+")
    given = parser.parse_args()
    space = get_space(given.space)
    known = [named_columns(space, given.dataset)[name] for name in given.names]
    stored = [
        (one.column, open_column(one.folder, one.column, space.size).astype(np.float32))
        for one in known
    ]
    folder = SHIPPED / f"{space.name}-columns-{given.group}"
    write_table(folder, space.name, given.dataset, stored)
    print(f"{folder}: {sum(path.stat().st_size for path in folder.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
