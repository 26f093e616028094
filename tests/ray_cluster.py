"""A Ray cluster of the tests' own, on loopback alone."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# 127.0.0.1 will not do: ray.init takes it for the machine's outer address.
HEAD, OTHER = "127.0.0.2", "127.0.0.3"
# Ray reads these once a process: before any test imports it.
os.environ.update(
    RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0",  # else a FutureWarning
    RAY_USAGE_STATS_ENABLED="0",
    # Ray listens on every interface; strangers lack this.
    RAY_AUTH_MODE="token",
    RAY_AUTH_TOKEN=secrets.token_hex(32),
)
SMALL = {"num_gpus": 0, "object_store_memory": 80_000_000, "include_dashboard": False}
NODE_LOST_AFTER = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 1000,
    "health_check_failure_threshold": 5,
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One node of two processors, and this process its driver."""
    if sys.platform != "linux":
        pytest.skip("needs /proc, and 127.0.0.2 without further ado")
    pytest.importorskip("ray")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: Unix sockets lie in it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.delenv("RAY_ADDRESS", raising=False)
        # Of the workers, for the toys.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        import ray
        from ray.cluster_utils import Cluster

        started = Cluster()
        try:
            (Path(folder) / "ray").mkdir()
            started.add_node(
                node_ip_address=HEAD, num_cpus=2, _system_config=NODE_LOST_AFTER, **SMALL
            )
            ray.init(address=started.address, _node_ip_address=HEAD, log_to_driver=False)
            yield started
        finally:
            ray.shutdown()
            started.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
