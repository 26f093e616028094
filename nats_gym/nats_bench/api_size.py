"""The API of the size search space."""

from __future__ import annotations

from typing import Any

from nats_gym.nats_bench import printing

# Importable from here as from the module that this one stands for.
from nats_gym.nats_bench.api_utils import (  # noqa: F401
    PICKLE_EXT,
    ArchResults,
    NASBenchMetaAPI,
    get_torch_home,
    nats_is_dir,
    nats_is_file,
    pickle_load,
    time_string,
)

#: Names of the official files, without what follows; the last is in use.
ALL_BASE_NAMES = ["NATS-sss-v1_0-50262"]


def print_information(
    information: ArchResults, extra_info: Any = None, show: bool = False
) -> list[str]:
    """Lines about an architecture's results; printed too if ``show``."""
    return printing.describe(information, extra_info, show, printing.SHOWN_SSS)


class NATSsize(NASBenchMetaAPI):
    """The size search space, 32,768 architectures; schedules ``01``, ``12`` and ``90``."""

    _search_space_name = "size"
    _space_name = "sss"
    _full_train_epochs = 90
    _all_base_names = ALL_BASE_NAMES
    _shown = printing.SHOWN_SSS
