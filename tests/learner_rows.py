"""Rows, records and portraits of meta-trained learners with known numbers."""

import numpy as np

from metaplastic.report.records import RunFolder

DESIGN = {
    "learner": {
        "name": "online",
        "spec": "online",
        "fields": {"hidden": [4], "bias": True, "rate": 0.1},
    },
    "rule": {"name": "backprop", "spec": "backprop", "fields": {}},
    "task": {"name": "sinusoid", "spec": "sinusoid", "fields": {"shots": 5, "repeat": True}},
    "estimator": {"name": "unrolled", "spec": "unrolled", "fields": {"rematerialise": "auto"}},
}
TEST = {
    "metric": "mean squared error",
    "higher_is_better": False,
    "mean": 0.5,
    "std": 0.1,
    "n": 2,
    "per_seed": [0.4, 0.6],
    "lifetimes": 20,
    "interval": [0.45, 0.55],
    "before": 40.0,
}


def tested(mean, metric="accuracy", better=True):
    own = {"metric": metric, "higher_is_better": better, "before": 0.2, "lifetimes": 20}
    spread = {"mean": mean, "std": 0.01, "n": 2, "per_seed": [mean - 0.01, mean + 0.01]}
    return {**own, **spread, "interval": [mean - 0.005, mean + 0.005]}


def learners(experiment=None):
    """Rows of a comparison: two that learned, one of them at the edge of its grid, one lost."""
    rows = []
    for label, mean, best in (("FLP", 0.9, 0.1), ("OML (first order)", 0.8, 1.0)):
        values = [[mean * n / (n + 10) + d for d in (0.0, 0.01)] for n in range(10, 60, 10)]
        rows.append(
            {
                "label": label,
                "learner": "online",
                "rule": "backprop",
                "task": "few_shot",
                "estimator": "unrolled",
                "rate_of": "the lifetime",
                "best_rate": best,
                "grid": [
                    {"rate": 0.1, "metric": mean},
                    {"rate": 1.0, "metric": mean},
                    {"rate": 0.01, "metric": None if best == 1 else 0.5},
                ],
                "test": tested(mean),
                "measure": None,
                "curve": {
                    "step": list(range(10, 60, 10)),
                    "meta_metric": values,
                    "meta_loss": (2 - np.asarray(values)).tolist(),
                },
                "skipped": [0, 3] if best == 1 else [0, 0],
                "seconds": 12.34,
                "lifetimes_per_second": 5678.9,
                "diverged": None,
            }
        )
    lost = {"best_rate": 0.1, "grid": [], "test": None, "measure": None, "curve": None}
    rows.append({"label": "MAML", **lost, "diverged": "MAML diverged at meta-step 3"})
    return rows if experiment is None else [{**row, "experiment": experiment} for row in rows]


def reproduced(experiment="e"):
    """Rows of the table of a reproduction of `learners`."""
    paper = {"value": 91.0, "std": 0.5, "source": "Table 1", "provenance": "source"}
    numbers = {"FLP": paper, "OML (first order)": {**paper, "provenance": "memory"}, "MAML": None}
    return [
        {
            "experiment": experiment,
            "setting": setting,
            "metric": "test accuracy, %",
            "ours": None,
            "paper": number,
            "verdict": None,
        }
        for setting, number in numbers.items()
    ]


def records(seeds=2, steps=5):
    """Records of a run on a task whose loss is its metric."""
    start = {"step": 0, "test_loss": [40.0] * seeds, "test_metric": [40.0] * seeds, "seconds": 1.0}
    found = [start]
    for n in range(1, steps + 1):
        loss = [40.0 / n + seed for seed in range(seeds)]
        found.append({"step": 10 * n, "meta_loss": loss, "meta_metric": loss, "skipped": [0, 0]})
    found[-1] |= {"test_loss": [0.4, 0.6][:seeds], "test_metric": [0.4, 0.6][:seeds]}
    return found


def write_meta_run(path, *, finished=True, shots=5, portrait=None):
    """A run of `meta`, with its result unless it is unfinished; the path."""
    task = {**DESIGN["task"], "fields": {"shots": shots, "repeat": True}}
    with RunFolder.create(path, "meta") as folder:
        folder.write_config(
            {
                "command": "meta",
                "design": {**DESIGN, "task": task},
                "options": {"steps": 50, "lr": 0.01, "group": [], "clip": None},
                "seeds": [0, 1],
                "data": None,
                "protocol": {"test": "20 lifetimes a seed"},
            }
        )
        folder.append_metrics(records() if finished else records()[:3])
        if portrait is not None:
            np.savez(folder.path / "portrait.npz", **portrait)
        if finished:
            result = {"learner": "online", "rule": "backprop", "task": "sinusoid", "test": TEST}
            folder.write_result({**result, "seconds": 2.0, "meta_parameters": 1234})
    return path


def lifetime(moments=6):
    """Arrays of a lifetime with labels, traces that start at zero and weights that do not."""
    generator = np.random.default_rng(0)
    y = np.eye(2)[np.arange(moments) % 2][:, None]
    state = generator.normal(size=(moments + 1, 3, 2))
    return {
        "x": generator.normal(size=(moments, 1, 3)),
        "target": y,
        "output": 9 * y[::-1],
        "loss": np.linspace(1, 0, moments),
        "weight": (np.arange(moments) > 1).astype(float),
        "kept": np.arange(moments + 1),
        "state/0.trace": state - state[:1],
        "state/model.nodes.1.weight": state,
    }


def curves(count=4):
    x = np.tile(np.linspace(-1, 1, 9), (count, 1))
    few = np.full((count, 5), np.nan)
    few[:, :3] = 0.5
    return {
        "x": x,
        "target": np.sin(x),
        "before": 0 * x,
        "after": x,
        "support_x": few,
        "support_y": few,
    }


def changes(tasks=4, lifetimes=3):
    """`retention`, `interference`, `alignment`: each task is known when learned and half
    forgotten."""
    retention = np.tril(np.full((tasks, tasks), 0.5)) + 0.5 * np.eye(tasks)
    square = np.broadcast_to(np.eye(tasks), (lifetimes, tasks, tasks))
    names = ("first_order", "centred", "gradient_centred")
    return {
        "retention": {
            "before": np.zeros((lifetimes, tasks)),
            "retention": np.broadcast_to(retention, (lifetimes, tasks, tasks)),
        },
        "interference": {name: square for name in names},
        "alignment": {
            "cosine": np.full((lifetimes, 6, 2), 0.5),
            "overall": np.full((lifetimes, 6), 0.5),
        },
    }


def portrait():
    """All sections, as `read_portrait` gives them."""
    start, end = {"model.nodes.1.weight": np.eye(3)}, {"model.nodes.1.weight": -np.eye(3)}
    about = {"loss": np.asarray("cross_entropy"), "metric": np.asarray("accuracy")}
    shown = {"lifetime": lifetime(), "curves": curves(), "start": start, "end": end}
    return {"about": about, **shown, **changes()}


def flat_portrait():
    """The same as its file holds it."""
    return {f"{s}/{name}": own for s, arrays in portrait().items() for name, own in arrays.items()}
