"""Latencies on devices: right inference, honest errors, quality on the public figures."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pytest

from nats_gym.errors import InvalidInput
from nats_gym.spaces import get_space
from nats_gym.tables import devices
from nats_gym.tables.devices import DEVICES, DeviceSurrogate, device_latency, known_devices
from nats_gym.tables.surrogates import FOLDER, topology_structure

FIGURES = Path(__file__).resolve().parents[3] / "shared" / "figures" / "tss_latency.npz"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
# What a linear model on one-hot operations reaches on unseen cells.
R2, LEAST_R2, TAU = 0.977, 0.77, 0.90


def test_the_settings_are_those_that_were_published():
    gpus = [
        f"latency/{gpu}_{batch}"
        for gpu in ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp")
        for batch in (1, 32, 256)
    ]
    hw_nas_bench = ["latency/pixel3", "latency/raspi4", "latency/eyeriss", "latency/fpga"]
    assert len(DEVICES) == 27
    assert set(DEVICES) > {*gpus, *hw_nas_bench}
    assert [name for name in DEVICES if "HW-NAS" in DEVICES[name].source] == hw_nas_bench
    for name, device in DEVICES.items():
        assert device.name == name
        assert device.quantity.unit == "milliseconds"
        assert device.quantity.lower_is_better
    assert len({device.title for device in DEVICES.values()}) == 27
    assert len(known_devices("tss")) == 27
    assert known_devices("sss") == known_devices("nb101") == ()


def test_latencies_equal_a_plain_reference():
    surrogate = DeviceSurrogate.load()
    model = surrogate.model
    for index in (0, 11, 1462, 6111, 15_624):
        features = topology_structure(get_space("tss").choices([index]))[:, 0].tolist()
        signal = features
        for depth, (weight, bias) in enumerate(model.network.layers):
            rows = zip(weight.tolist(), bias.tolist(), strict=True)
            signal = [sum(w * x for w, x in zip(row, signal, strict=True)) + b for row, b in rows]
            if depth < len(model.network.layers) - 1:
                signal = [x / (1 + math.exp(-x)) for x in signal]
        for k, name in enumerate(DEVICES):
            line = zip(model.weights[k].tolist(), features, strict=True)
            linear = sum(w * x for w, x in line) + float(model.intercepts[k])
            expected = round(max(linear + signal[k], float(surrogate.least[k])), 4)
            assert device_latency("tss", name)[index] == pytest.approx(expected, abs=1.01e-4)


def test_a_latency_is_a_positive_column_that_nobody_changes():
    for name in DEVICES:
        column = device_latency("tss", name)
        assert column.shape == (15_625,)
        assert column.dtype == np.float64
        assert column.min() > 0
        assert not column.flags.writeable
    assert device_latency(get_space("tss"), "latency/fpga") is not None


def test_more_work_takes_longer():
    space = get_space("tss")
    convolutions, skips = space.index([3] * 6), space.index([1] * 6)
    for name in DEVICES:
        latency = device_latency("tss", name)
        assert latency[convolutions] > 1.3 * latency[skips]
    for gpu in ("1080ti", "2080ti", "titan_rtx", "titanx", "titanxp"):
        one, many = (device_latency("tss", f"latency/{gpu}_{n}") for n in (1, 256))
        assert many.mean() > one.mean()


def test_all_rows_of_a_device_take_milliseconds():
    get_space("tss").all_choices()
    seconds = []  # of the processor, which others may keep from us
    for _ in range(5):
        devices._latencies.cache_clear()
        started = time.process_time()
        device_latency("tss", "latency/raspi4")
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.05


def test_other_names_and_spaces_are_refused():
    with pytest.raises(InvalidInput, match="Did you mean 'latency/raspi4'"):
        device_latency("tss", "latency/raspi")
    with pytest.raises(InvalidInput, match="devices are of tss, asked for was sss"):
        device_latency("sss", "latency/raspi4")
    for name in (None, -1, "raspi4", b"latency/raspi4"):
        with pytest.raises(InvalidInput):
            device_latency("tss", name)


def test_held_out_errors_reach_the_bars():
    errors = [device.held_out for device in DEVICES.values()]
    assert all(error["rows"] == 12_500 for error in errors)
    assert np.median([error["r2"] for error in errors]) >= R2
    assert min(error["r2"] for error in errors) >= LEAST_R2
    assert np.median([error["tau"] for error in errors]) >= TAU


def test_coefficients_are_small_and_checked(tmp_path):
    content = (FOLDER / devices.FILE).read_bytes()
    assert len(content) < 100_000
    with np.load(FOLDER / devices.FILE) as arrays:
        parts = dict(arrays)
    for name, array in parts.items():
        for wrong in (array[:-1], np.full_like(array, np.nan)):
            np.savez(tmp_path / devices.FILE, **{**parts, name: wrong})
            with pytest.raises(ValueError, match=r"layer|outputs|coefficients|finite|least"):
                DeviceSurrogate.load(tmp_path)


def test_the_document_names_every_setting():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, device in DEVICES.items():
        errors = f"{device.held_out['r2']:.3f} | {device.held_out['tau']:.3f}"
        assert f"| `{name}` | {device.title} | {errors} |" in text


@pytest.mark.skipif(not FIGURES.exists(), reason="the public figures are absent")
def test_latencies_on_the_public_figures():
    stats = pytest.importorskip("scipy.stats")
    with np.load(FIGURES) as measured:
        index = measured["index"]
        r2, tau = [], []
        for name, device in DEVICES.items():
            truth, expected = measured[device.key], device_latency("tss", name)[index]
            r2.append(1 - np.mean((truth - expected) ** 2) / truth.astype(float).var())
            tau.append(stats.kendalltau(truth, expected)[0])
    assert np.median(r2) >= R2
    assert min(r2) >= LEAST_R2
    assert np.median(tau) >= TAU
