"""BLUR on functions of the plane: against gradient descent, over depths, and for very long."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._blur_studies import GRADIENT, Plane, descent_study, genome_study
from ._meta_trained import meta_trained
from .base import Experiment, Found, Study, StudyArm

TASK = "plane_functions"
HIDDEN = (20,)
_SMALL: dict[str, Any] = {"meta_batch": 12, "clip": 10.0, "test_lifetimes": 60}
QUICK = MetaOptions(steps=600, lr=3e-3, **_SMALL)
SHORT = MetaOptions(steps=300, lr=3e-3, **_SMALL)
DEEP = MetaOptions(steps=1500, lr=3e-3, non_finite="skip", **_SMALL)
FULL = MetaOptions(steps=10_000, lr=5e-4, **_SMALL)
_PAPER: dict[str, Any] = {
    "functions": ("xor", "and", "two_moons", "circle", "slice"),
    "held": ("nxor", "or", "rotated_and", "cross", "triangle"),
}


def toy() -> Experiment:
    """Functions that were never seen in meta-training, against gradient descent."""
    quick = Plane({}, (10, 30, 100), lifetimes=8)
    full = Plane(_PAPER, (10, 30, 100), lifetimes=100)

    def arms(plane: Plane, options: MetaOptions, random: MetaOptions) -> tuple[StudyArm, ...]:
        genomes: dict[str, tuple[dict[str, Any], MetaOptions]] = {
            "BLUR": ({}, options),
            "BLUR, symmetric": ({"symmetric": True}, options),
            "BLUR, not normalised": ({"norm": "none"}, options),
            f"BLUR, best of {random.species} random genomes": ({"init": "random"}, random),
        }
        learned = (
            _arm(setting, genome_study(plane, {"hidden": HIDDEN, **fields}, own))
            for setting, (fields, own) in genomes.items()
        )
        momentum = _arm("SGD, momentum 0.9", descent_study(plane, HIDDEN, 0.9))
        return (*learned, _arm("SGD", descent_study(plane, HIDDEN)), momentum)

    return Experiment(
        name="toy",
        title="Unseen functions of the plane, network 2-20-2",
        metric="held-out accuracy, %",
        quick=arms(quick, QUICK, MetaOptions(steps=300, lr=3e-3, species=4, **_SMALL)),
        full=arms(full, FULL, MetaOptions(steps=10_000, lr=5e-4, species=8, **_SMALL)),
        seeds={"quick": 3, "full": 5},
        subject="BLUR",
        protocol=(
            "Mean over held-out functions, lifetimes and 500 fresh points, after so many updates "
            "by batches of 128; genomes were meta-trained for 10 updates (11 unrolls, as the paper "
            "counts). SGD is gradient descent on the squared error of the same network, from "
            "births of the same distribution, on the same batches, at the best of five rates for "
            "each number of updates, chosen on these very numbers. The paper shows its accuracies "
            "as curves. quick: 600 meta-steps of 12 lifetimes at 3e-3 (random genomes: 300); full: "
            "10,000 at the paper's 5e-4, on its five functions."
        ),
    )


def _arm(setting: str, study: Study, figure: str = "blur_unrolls") -> StudyArm:
    return StudyArm(setting=setting, study=study, figure=figure, higher_is_better=True)


# Depth


def _depth_study(
    plane: Plane, layers: int, tested: tuple[int, ...], fields: Mapping[str, Any], own: MetaOptions
) -> Study:
    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        learner = Part("blur", {"hidden": HIDDEN * layers, **fields})
        design = Design(learner=learner, task=Part(TASK, dict(plane.task)), estimator=GRADIENT)
        learners = meta_trained(design, own, seeds, folder, reporter, name="genomes").learners()
        rows, at = {}, max(plane.horizons)
        for depth in tested:
            reporter.compiling(f"{depth} hidden layers")
            other = [one.with_network(plane.make(), hidden=HIDDEN * depth) for one in learners]
            pairs = zip(other, seeds, strict=True)
            judged = [plane.judge([one], seed)["held"][0, :, at].mean() for one, seed in pairs]
            rows[f"tested with {depth}"] = np.asarray(judged)
        data = {"trained": layers, "tested": list(tested), "accuracy": list(rows.values())}
        return Found(rows, data)

    return study


def depth() -> Experiment:
    """One genome in networks of other depths."""

    def arms(
        layers: tuple[int, ...], tested: tuple[int, ...], lifetimes: int, own: MetaOptions
    ) -> tuple[StudyArm, ...]:
        plane = Plane({}, (10,), lifetimes, parts=("held",))
        return tuple(
            _arm(
                f"{n} hidden {'layer' if n == 1 else 'layers'}",
                _depth_study(plane, n, tested, {}, own),
                "blur_depth",
            )
            for n in layers
        )

    return Experiment(
        name="depth",
        title="A genome in deeper and in shallower networks",
        metric="held-out accuracy, %",
        quick=arms((1, 2, 4), (1, 2, 4, 10), 8, DEEP),
        full=arms((1, 2, 4), tuple(range(1, 11)), 50, FULL),
        seeds={"quick": 3, "full": 5},
        protocol=(
            "Layers of 20 units on functions of the plane, 10 updates, the genome shared by all "
            "layers; the paper shows the same for MNIST as a plot. quick: 1,500 meta-steps, a "
            "number chosen on another seed (100), where four layers began to learn after 600."
        ),
    )


# Synapses over hundreds of updates


def _growth_study(moments: int, fields: Mapping[str, Any], own: MetaOptions) -> Study:
    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.synapse_growth import synapse_growth

        plane = Plane({}, (10,), 8)
        learner = Part("blur", {"hidden": HIDDEN, **fields})
        design = Design(learner=learner, task=Part(TASK, {}), estimator=GRADIENT)
        learners = meta_trained(design, own, seeds, folder, reporter, name="genomes").learners()
        reporter.compiling(f"lifetimes of {moments} updates")
        grown = [
            synapse_growth(one, plane.make().held_out(), moments=moments, seed=seed)
            for one, seed in zip(learners, seeds, strict=True)
        ]
        data = {
            "size": [g.size.tolist() for g in grown],
            "accuracy": [g.accuracy.tolist() for g in grown],
            "horizon": plane.make().moments,
        }
        return Found({"": np.asarray([g.accuracy[-1] for g in grown])}, data)

    return study


_FIXED = ("genome.*.synapse_keep",)
"""f~, which meta-learning would take below 1: then synapses decay, and nothing is left to bound."""


def synapses() -> Experiment:
    """What keeps synapses within bounds long after the horizon of meta-training."""
    settings: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
        "f~ learned": ({}, ()),
        "f~ = 1": ({}, _FIXED),
        "f~ = 1, Oja": ({"oja": 0.1}, _FIXED),
        "f~ = 1, Oja, normalised synapses": ({"oja": 0.1, "synapse_norm": True}, _FIXED),
        "f~ = 1, saturation": ({"saturation": 3.0}, _FIXED),
    }

    def arms(moments: int, own: MetaOptions) -> tuple[StudyArm, ...]:
        return tuple(
            _arm(
                setting,
                _growth_study(moments, fields, dataclasses.replace(own, freeze=fixed)),
                "blur_synapses",
            )
            for setting, (fields, fixed) in settings.items()
        )

    return Experiment(
        name="synapses",
        title="Synapses over 800 updates of genomes that were meta-trained for 10",
        metric="held-out accuracy, %",
        quick=arms(800, SHORT),
        full=arms(800, FULL),
        seeds={"quick": 3, "full": 5},
        protocol=(
            "Accuracy after the last of 800 updates on held-out functions of the plane; the figure "
            "shows the root mean square of all synapses. f~ is what synapses keep of themselves; "
            "where it is learned they decay, and stay bounded by that alone. quick: 300 meta-steps."
        ),
    )
