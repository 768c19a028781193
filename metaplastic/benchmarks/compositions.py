"""Every learning rule under every estimator, on one small task: what works, and why not."""

from typing import Any

import jax

from .. import _registry
from .._errors import MetaplasticError
from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer

TASK = Part("sinusoid", {"moments": 5})
LEARNER = {"hidden": (32,), "rate": 0.01}
OPTIONS = MetaOptions(steps=300, meta_batch=8, lr=3e-3, test_lifetimes=200)
VARIANTS = {
    "truncated": {"truncated, 2 moments": {"steps": 2}},
    "evolution": {"evolution": {}, "evolution, segments": {"segment": 2}},
    "persistent": {"persistent, 2 moments": {"segment": 2}},
}
"""Of estimators whose defaults are not what is to be shown: labels, with options."""


def run() -> list[dict[str, Any]]:
    """Loss on new curves before and after meta-training, a row a pair.

    `online` with each rule: five steps of learning within a lifetime of a 1-32-1 network at a rate
    of 0.01, 300 meta-steps of 8 lifetimes, Adam. Where a pair cannot work, the row holds the
    sentence that says why.
    """
    rows = []
    for rule in _registry.names("rules"):
        for label, part in estimators().items():
            row = {"comparison": f"{rule} x {label}", "rule": rule, "estimator": label}
            rows.append({**row, **pair(rule, part)})
            jax.clear_caches()  # the programs of all pairs are more than one process may map
    return rows


def estimators() -> dict[str, Part]:
    """All estimators of the registry by label, with their defaults or the variants' options."""
    return {
        label: Part(name, own)
        for name in _registry.names("estimators")
        for label, own in VARIANTS.get(name, {name: {}}).items()
    }


def pair(rule: str, estimator: Part, options: MetaOptions = OPTIONS) -> dict[str, Any]:
    """`before` and `after`, mean losses of held-out lifetimes; or a `sentence`."""
    design = Design(
        learner=Part("online", LEARNER), rule=Part(rule), task=TASK, estimator=estimator
    )
    try:
        trainer = MetaTrainer(*design.make(), options)
        state = trainer.initial([0])
        before = float(trainer.test(state).loss.mean())
        after_state, _ = trainer.chunk(state, 0, length=options.steps)
        stopped = int(after_state.stopped[0])
        if stopped >= 0:
            return {"before": before, "sentence": f"diverged at meta-step {stopped}"}
        return {"before": before, "after": float(trainer.test(after_state).loss.mean())}
    except MetaplasticError as error:
        return {"sentence": str(error)}
