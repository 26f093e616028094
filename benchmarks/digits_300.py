"""What the shipped table of choices says: its spread, its trials, its size, and a fit's errors."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.stats import kendalltau, spearmanr

from nats_gym import load_table
from nats_gym.building import fit_table


def main() -> None:
    for name in ("tss", "sss"):
        table = load_table(name, "digits", "digits-300")
        trials = table.accuracy("valid")  # (arch, trial)
        held = np.flatnonzero(~np.isnan(trials).any(axis=1))
        trials, mean = trials[held], table.mean_accuracy("valid")[held]
        choices = table.space.choices(held)
        figures = {
            "params": table.space.params(choices, "digits"),
            "FLOPs": table.space.flops(choices, "digits"),
            "test accuracy": table.mean_accuracy("test")[held],
        }
        spread = " ".join(
            f"{value:.1f}" for value in np.percentile(mean, (0, 5, 25, 50, 75, 95, 100))
        )
        print(f"{name}: {len(held)} architectures, from {table.columns[0].source}")
        print(f"  accuracy [%], percentiles 0 5 25 50 75 95 100: {spread}")
        print(f"  between two trials: {_correlation(*trials.T)}")
        for what, values in figures.items():
            print(f"  {what} and accuracy: {_correlation(values, mean)}")
        seconds = np.median(table.query_seconds(4)[held])
        print(f"  median seconds of an evaluation: {seconds:.2f}")
        with TemporaryDirectory() as folder:
            fitted = fit_table(table.folder, Path(folder, "fitted"))
            print(f"  a fit's errors, held out: {fitted.accuracy_column('valid', 4).held_out}")


def _correlation(x: np.ndarray, y: np.ndarray) -> str:
    return f"Spearman {spearmanr(x, y)[0]:.2f}, Kendall {kendalltau(x, y)[0]:.2f}"


if __name__ == "__main__":
    main()
