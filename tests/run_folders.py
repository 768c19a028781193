"""Run folders and rows with known numbers, for tests of tables, figures and pages."""

import numpy as np

from metaplastic.report.records import RunFolder

PROTOCOL = {"selection": "test accuracy after the last epoch", "validation": 0.0}
DATA = {"name": "digits", "sha256": "d774", "licence": "CC BY 4.0", "classes": 10}
OPTIONS = {"data": "digits", "hidden": [16], "epochs": 5, "lr": 0.05, "augment": False}


def metrics(epochs=5, seeds=2):
    """One record an epoch: accuracies climb, angles fall."""
    noise = np.random.default_rng(0).normal(size=(epochs + 1, seeds)) / 100
    records = []
    for n in range(epochs + 1):
        accuracy = (0.1 + 0.8 * n / (1 + n) + noise[n]).tolist()
        record = {
            "step": 20 * n,
            "epoch": n,
            "test_accuracy": accuracy,
            "test_loss": [2 / (1 + n)] * seeds,
            "update_angle": {f"layer {i}": [90.0 / (n + i)] * seeds for i in (1, 2)},
            "delta_angle": {"layer 1": [None] * seeds, "layer 2": [80.0 - n] * seeds},
            "weight_angle": {"W2~B2": [90.0 - n] * seeds},
            "seconds": 1.0 + n,
        }
        if n:
            record |= {"loss": [3 / n] * seeds, "train_accuracy": accuracy}
        records.append(record)
    return records


def accuracy(mean, seeds=2):
    per_seed = [mean - 0.01, mean + 0.01] if seeds == 2 else [mean]
    return {"mean": mean, "std": 0.01 if seeds == 2 else 0.0, "per_seed": per_seed}


def write_run(path, rule="pepita", *, protocol=PROTOCOL, finished=True, control=True, **options):
    """A run of `train`, with its result unless it is unfinished; the path."""
    with RunFolder.create(path, rule) as folder:
        folder.write_config(
            {
                "command": "train",
                "rule": {"name": rule, "spec": rule, "fields": {"feedback_scale": 0.2}},
                "options": {**OPTIONS, **options},
                "seeds": [3, 4],
                "control": control,
                "data": DATA,
                "protocol": protocol,
            }
        )
        folder.append_metrics(metrics() if finished else metrics()[:3])
        if finished:
            shallow = {"rule": "shallow", "test_accuracy": accuracy(0.5)}
            folder.write_result(
                {
                    "rule": rule,
                    "test_accuracy": accuracy(0.8),
                    "control": shallow if control else None,
                    "seconds": 2.0,
                    "samples_per_second": 1234.5,
                }
            )
    return path


def comparison():
    """Rows of a comparison: backpropagation, the control, PEPITA, and one that diverged."""
    rows = []
    best = {"backprop": 0.95, "shallow": 0.6, "pepita:mode=hebbian": 0.85, "drtp": None}
    for i, (rule, mean) in enumerate(best.items()):
        curve = [[None if mean is None else mean * n / (1 + n) for _ in "ab"] for n in range(5)]
        rows.append(
            {
                "rule": rule,
                "best_lr": 0.01,
                "best_at_edge": i == 0,
                "test_accuracy": accuracy(mean)
                if mean
                else {"mean": None, "std": None, "per_seed": [None, 0.2]},
                "diverged": {} if mean else {"0": "the loss is nan at step 7"},
                "curve": {"epoch": list(range(5)), "test_accuracy": curve},
                "grid": [
                    {"lr": lr, "mean": mean and mean - d, "std": mean and 0.01, "diverged": bad}
                    for lr, d, bad in ((0.001, 0.2, 0), (0.01, 0.0, 0), (0.1, 0.1, int(i == 2)))
                ],
            }
        )
    return rows


def reproduction():
    """Rows of a reproduction: one of each kind of verdict."""

    def row(setting, ours, paper, std=0.1, provenance="source", metric="test accuracy, %"):
        number = {"value": paper, "std": std, "source": "Table 1", "provenance": provenance}
        mine = None if ours is None else {"mean": ours, "std": 0.2, "n": 3}
        return {
            "experiment": "fc_mnist",
            "setting": setting,
            "metric": metric,
            "ours": mine,
            "paper": None if paper is None else number,
        }

    return [
        row("BP", 98.6, 98.63),
        row("PEPITA", 97.0, 98.01),
        row("FA", 99.5, 98.4, provenance="memory"),
        {**row("DRTP", None, 95.1), "verdict": "not run: mnist is not there: fetch it"},
    ]
