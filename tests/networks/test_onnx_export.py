"""Networks as ONNX files, computed by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nats_gym
from nats_gym.errors import InvalidInput
from nats_gym.networks import TrainedNetwork, build, export_onnx, onnx_export
from nats_gym.networks.card import Card
from nats_gym.networks.onnx_export import ExportFailed
from nats_gym.networks.preprocessing import Preprocessing

NAMES = ("ant", "bee", "cat")


def network(space: str, index: int, **options: Any) -> TrainedNetwork:
    made = build(space, index, 3, **options)
    generator = torch.Generator().manual_seed(index)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if "running" in name:
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    seen = Preprocessing(8, (0.2, 0.3, 0.4), (0.5, 0.25, 0.1))
    name = nats_gym.get_space(space).name_of(index)
    return TrainedNetwork(made.eval(), Card(space, name, index, NAMES, seen, network=options))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "index", "options"),
    [
        ("sss", 5, {}),
        ("tss", 1_462, {"cells_per_stage": 1}),
        ("tss", 0, {"cells_per_stage": 1}),  # reads no image
        ("tss", 7, {"cells_per_stage": 2}),  # computes what is zero on two pixels
        ("nb101", 77, {"cells_per_stage": 1, "stem_width": 16}),
    ],
)
def test_another_runtime_says_the_same(
    space: str, index: int, options: dict[str, int], tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    trained = network(space, index, **options)
    path = tmp_path / "deep" / "net.onnx"
    export_onnx(trained, path)
    session = runtime.InferenceSession(path.read_bytes())
    for count in (1, 2, 7):
        pictures = [
            np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
            for seed in range(count)
        ]
        images = np.stack([one.transpose(2, 0, 1) for one in pictures])
        (found,) = session.run(["probabilities"], {"images": images})
        assert np.abs(found - trained.predict(pictures).probabilities).max() < 1e-5
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == [*NAMES]
    assert not trained.network.training


@pytest.mark.slow
def test_what_differs_or_cannot_be_said_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    trained = network("sss", 0)
    for wrong in (0.01, float("nan")):
        monkeypatch.setattr(onnx_export, "_difference", lambda *_, wrong=wrong: wrong)
        with pytest.raises(ExportFailed, match="differ from torch's by"):
            export_onnx(trained, tmp_path / "net.onnx")

    class Odd(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(images.numpy().mean((2, 3)))

    with pytest.raises(ExportFailed, match="no ONNX file of TrainedNetwork"):
        export_onnx(TrainedNetwork(Odd(), trained.card), tmp_path / "net.onnx")
    assert not [*tmp_path.iterdir()]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    trained = network("sss", 0)
    for wrong in (None, trained.network, "folder"):
        with pytest.raises(InvalidInput, match="TrainedNetwork"):
            export_onnx(wrong, tmp_path / "net.onnx")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="is a folder"):
        export_onnx(trained, tmp_path)
    with pytest.raises(InvalidInput, match="path"):
        export_onnx(trained, 5)  # type: ignore[arg-type]
