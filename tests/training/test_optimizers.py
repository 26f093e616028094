"""Our optimizers are torch's, but for what torch loads to keep them from its compiler."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nats_gym.training.optimizers import SGD, Adam, make_sgd  # noqa: E402


def trained(kind: Any, **options: Any) -> tuple[list[Any], dict[str, Any]]:
    """Weights after ten steps from the same beginning, and the optimizer's state."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.ReLU(), torch.nn.Linear(30, 5))
    optimizer = kind(network.parameters(), **options)
    for step in range(10):
        if step == 5:
            resumed = kind(network.parameters(), **options)
            resumed.load_state_dict(optimizer.state_dict())
            optimizer = resumed
        optimizer.zero_grad()
        network(torch.randn(16, 20)).square().mean().backward()
        optimizer.step()
    return list(network.parameters()), optimizer.state_dict()


NESTEROV = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3}


@pytest.mark.parametrize(
    ("ours", "of_torch", "options"),
    [
        (SGD, torch.optim.SGD, {"lr": 0.01}),
        (SGD, torch.optim.SGD, NESTEROV),
        (Adam, torch.optim.Adam, {"lr": 0.01, "weight_decay": 1e-3}),
    ],
)
def test_they_are_torchs_to_the_bit(ours: Any, of_torch: Any, options: dict[str, Any]) -> None:
    (weights, state), (wanted, wanted_state) = (
        trained(ours, **options),
        trained(of_torch, **options),
    )
    for one, other in zip(weights, wanted, strict=True):
        assert torch.equal(one, other)
    assert state["param_groups"] == wanted_state["param_groups"]
    for number, values in wanted_state["state"].items():
        assert list(state["state"][number]) == list(values)
        for name, value in values.items():
            assert value is None or torch.equal(state["state"][number][name], value)


def test_nesterov_is_on_where_there_is_momentum() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    for momentum in (0.0, 0.9):
        (options,) = make_sgd([weight], 0.1, momentum, 5e-4).param_groups
        found = {name: options[name] for name in ("lr", "momentum", "weight_decay", "nesterov")}
        assert found == {
            "lr": 0.1,
            "momentum": momentum,
            "weight_decay": 5e-4,
            "nesterov": momentum > 0,
        }


@pytest.mark.slow
def test_nothing_that_trains_loads_torchs_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from nats_gym.training.optimizers import Adam, make_sgd\n"
        "weight = torch.nn.Parameter(torch.zeros(1))\n"
        "for optimizer in make_sgd([weight], 0.1, 0.9, 0), Adam([weight]):\n"
        "    optimizer.zero_grad(); weight.sum().backward(); optimizer.step()\n"
        "    optimizer.load_state_dict(optimizer.state_dict())\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
