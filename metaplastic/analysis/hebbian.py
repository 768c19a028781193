"""What plastic networks became: who does what, fixed weights or plasticity, and how traces move.

Weights and coefficients are those of a plastic layer, [..., inputs, units] with seeds in front:
`learner.layers[0].weight` and `learner.layers[0].plasticity.alpha`. The analyses are of Miconi
(2016), "Learning to learn with backpropagation of Hebbian plasticity".
"""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import UsageError
from ..learners.hebbian import HebbianLearner
from ..learners.lifetime import moments
from ..tasks.base import Episode

Values = Float[Array, "*seeds inputs units"] | Float[np.ndarray, "*seeds inputs units"]


def completion_roles(weight: Values, alpha: Values) -> dict[str, np.ndarray]:
    """Synapses between a bit and itself (diagonal) and between different bits (off), [*seeds].

    Means of `w` on the diagonal, |w| off it, `alpha` off it, and |alpha| on it. After learning,
    each kept bit drives its own output through `w`, and all others through the trace.
    """
    w, a = np.asarray(weight), np.asarray(alpha)
    if w.shape[-1] != w.shape[-2]:
        raise UsageError(
            f"weights of shape {w.shape}: completion has as many units as inputs; for labelled "
            "patterns take label_roles"
        )
    return {
        "diagonal w": _mean(w, diagonal=True),
        "off-diagonal |w|": _mean(np.abs(w), diagonal=False),
        "off-diagonal alpha": _mean(a, diagonal=False),
        "diagonal |alpha|": _mean(np.abs(a), diagonal=True),
    }


def label_roles(weight: Values, alpha: Values, labels: int = 2) -> dict[str, np.ndarray]:
    """Mean |w| and |alpha| of the first `labels` inputs and of the pattern's, [*seeds].

    After learning, labels act through `w` and patterns through the trace.
    """
    found = {}
    for name, values in {"w": weight, "alpha": alpha}.items():
        own = np.abs(np.asarray(values))
        found[f"label |{name}|"] = np.asarray(own[..., :labels, :].mean((-2, -1)))
        found[f"pattern |{name}|"] = np.asarray(own[..., labels:, :].mean((-2, -1)))
    return found


def negative_units(alpha: Values, labels: int = 2) -> np.ndarray:
    """Number of units that are `most_negative`, [*seeds] of integers."""
    return np.asarray(most_negative(alpha, labels).sum(-1))


def most_negative(alpha: Values, labels: int = 2) -> np.ndarray:
    """Which units have more negative than other coefficients on pattern inputs, [*seeds, units]."""
    own = np.asarray(alpha)[..., labels:, :]
    return np.asarray((own < 0).sum(-2) * 2 > own.shape[-2])


def sign_law(
    alpha: Values, accuracy: np.ndarray, *, labels: int = 2, solved: float = 0.99
) -> dict[int, dict[str, int | float]]:
    """Seeds by number of `negative_units`: how many, the part that is solved, mean accuracy.

    `alpha` [seeds, inputs, units], `accuracy` [seeds]; a seed is solved above `solved`. A reversal
    is learned where at least one unit is negative: its imprint undoes itself.
    """
    count, accuracy = negative_units(alpha, labels), np.asarray(accuracy)
    if count.shape != accuracy.shape:
        raise UsageError(
            f"coefficients of {count.shape} seeds and accuracies of {accuracy.shape}: pass one "
            "accuracy a seed"
        )
    law = {}
    for units in range(np.asarray(alpha).shape[-1] + 1):
        own = accuracy[count == units]
        law[units] = {
            "seeds": len(own),
            "solved": float((own > solved).mean()) if len(own) else float("nan"),
            "accuracy": float(own.mean()) if len(own) else float("nan"),
        }
    return law


def watch(learner: HebbianLearner, episode: Episode, layer: int = 0) -> dict[str, jax.Array]:
    """One lifetime moment by moment, for the first example of each moment.

    `trace` [time, inputs, units] and its `norm` [time] after each moment; `imprint` [time, units],
    what the input finds of itself in the trace, x H; `drive` [time, units], x (alpha * H), what
    that does; `activity` [time, units]; `output` [time, outputs]. With negative coefficients an
    imprint shrinks from presentation to presentation, with positive ones it grows. Pure: it may be
    compiled, and mapped over episodes.

    Raises `UsageError` where the layer is not plastic.
    """
    plasticity = learner.layers[layer].plasticity
    if plasticity is None:
        raise UsageError(f"layer {layer} of this network is not plastic: it has no trace to watch")
    alpha = plasticity.alpha
    key = jr.key(0)  # nothing within these lifetimes is random

    def moment(life: Any, now: Any) -> tuple[Any, dict[str, jax.Array]]:
        pre = learner.input(now.x, now.y)
        for own, traces in zip(learner.layers[:layer], life[:layer], strict=True):
            pre = own(traces, pre)
        before: Any = life[layer]
        trace = before.trace
        after: Any
        after, output = learner.step(life, now.x, now.y, key=key)
        if now.happens is not None:
            after = jax.tree.map(lambda a, b: jnp.where(now.happens, a, b), after, life)
        return after, {
            "trace": after[layer].trace,
            "norm": jnp.linalg.norm(after[layer].trace),
            "imprint": (pre @ trace)[0],
            "drive": (pre @ (alpha * trace))[0],
            "activity": learner.layers[layer](before, pre)[0],
            "output": output[0],
        }

    return jax.lax.scan(moment, learner.birth(key=key), moments(learner, episode.stream))[1]


def _mean(matrix: np.ndarray, *, diagonal: bool) -> np.ndarray:
    same = np.eye(matrix.shape[-1], dtype=bool)
    return np.asarray(matrix[..., same if diagonal else ~same].mean(-1))
