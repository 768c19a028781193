"""Checks that the updates lead downhill, and vanish where nothing is wrong."""

import math
from typing import Any

import jax
import numpy as np

from ._findings import Failed, Skipped, Table, check
from ._subject import Subject
from ._training import EXAMPLES, RATES, STEPS

CHECKS: Table = {}


@check(CHECKS, "learns", needs=("scan",))
def learns(subject: Subject) -> str:
    """The loss falls on Gaussian clusters."""
    start = float(subject.losses[0, 0, 0])
    right, turned = (_lowest(own, start) for own in np.asarray(subject.losses))
    if right < 0.9 * start:
        return f"the loss falls from {start:.3g} to {right:.3g} in {STEPS} steps"
    rates = ", ".join(map(str, RATES))
    if turned < 0.9 * start:
        raise Failed(
            f"the updates point uphill: the loss falls from {start:.3g} to {turned:.3g} when their "
            "sign is turned; return descent sign, which the trainer subtracts"
        )
    raise Failed(
        f"the loss does not fall: {start:.3g} at first and {right:.3g} at best after {STEPS} steps "
        f"on {EXAMPLES} examples of three clusters, with learning rates {rates}"
    )


def _lowest(losses: np.ndarray, start: float) -> float:
    """The lowest mean loss of the last five steps over the rates; `start` where none is finite."""
    last = [float(own) for own in losses[:, -5:].mean(1)]
    return min((loss for loss in last if math.isfinite(loss)), default=start)


@check(CHECKS, "zero-error", needs=("dtype",))
def zero_error(subject: Subject) -> str:
    """Where the output is right, nothing changes."""
    problem = subject.plain
    declared = subject.rule.properties.nonlocal_signal
    output = problem.model.trace(problem.x, key=problem.key).output
    right = problem._replace(y=subject.rule._loss.activity(output))
    zero = subject.step(right).updates
    silent = _largest(zero) <= 1e-9 * _largest(subject.first.updates)
    if "error" in declared and not silent:
        raise Failed(
            f"declares the signal {declared!r}, but changes the weights where the output equals "
            "the target and the error is zero: name what else reaches the synapse, or mend it"
        )
    if not silent:
        raise Skipped(f"declares {declared!r}, no error: what it does at zero error is its own")
    return "no update where the output equals the target"


def _largest(tree: Any) -> float:
    return max((float(np.abs(leaf).max()) for leaf in jax.tree.leaves(tree)), default=0.0)
