"""BLUR: meta-trained genomes, and how lifetimes under them (or under gradient descent) go."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._meta_trained import meta_trained
from .base import Found, Study

GRADIENT = Part("unrolled", {"rematerialise": "none"})
"""The learner itself computes activities again instead of storing them."""
RATES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Of gradient descent; each number is that of the rate that is best for it."""
_APART = 1000
"""Added to a seed: the key of the lifetimes on which what it has meta-trained is judged."""


def episodes(task: Any, names: Sequence[str], moments: int, keys: jax.Array) -> Any:
    """A lifetime a key of each function of the plane, [functions, keys, ...]."""
    own = dataclasses.replace(task, moments=moments, queries=500)
    tasks = [dataclasses.replace(own, functions=(name,)) for name in names]

    @jax.jit
    def draw(keys: jax.Array) -> Any:
        drawn = [jax.vmap(one.sample)(keys) for one in tasks]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)

    return draw(keys)


@eqx.filter_jit
def curves(learner: Any, lives: Any, keys: jax.Array) -> jax.Array:
    """Accuracy at birth and after each moment, [functions, 1 + moments]: mean over lifetimes."""
    from ..analysis.unrolls import over_moments

    def of_function(own: Any) -> jax.Array:
        return jax.vmap(lambda life, key: over_moments(learner, life, key=key))(own, keys).mean(0)

    return jax.lax.map(of_function, lives)


@dataclasses.dataclass(frozen=True)
class Plane:
    """How lifetimes on functions of the plane are judged."""

    task: Mapping[str, Any]
    """Options of the task of meta-training."""
    horizons: tuple[int, ...]
    """Updates after which accuracies are rows of the table."""
    lifetimes: int
    """Of each function, the same for all who are judged."""
    parts: tuple[str, ...] = ("trained", "held")
    """On which functions: those of meta-training, and those held out."""

    def make(self) -> Any:
        """The task."""
        from ..tasks.plane_functions import PlaneFunctions

        return PlaneFunctions(**self.task)

    def judge(self, learners: Sequence[Any], seed: int) -> dict[str, np.ndarray]:
        """Accuracies [learners, functions, 1 + moments] on each part, all on the same lifetimes."""
        task, found = self.make(), {}
        keys = jr.split(jr.key(_APART + seed), self.lifetimes)
        for part, names in self._names().items():
            lives = episodes(task, names, max(self.horizons), keys)
            found[part] = np.stack([np.asarray(curves(own, lives, keys)) for own in learners])
        return found

    def found(self, judged: Sequence[Mapping[str, np.ndarray]], **data: Any) -> Found:
        """Mean accuracies on held-out functions as rows, and all curves for figures; `judged` is
        [functions, 1 + moments] of each part, for every seed."""
        names = self._names()
        curves = {part: np.stack([own[part] for own in judged]) for part in names}
        rows = {f"{n} updates": curves["held"][:, :, n].mean(1) for n in self.horizons}
        shown = {
            part: {"names": list(names[part]), "accuracy": own} for part, own in curves.items()
        }
        return Found(rows, {**shown, "horizon": self.make().moments, **data})

    def _names(self) -> dict[str, tuple[str, ...]]:
        task = self.make()
        every = {"trained": task.functions, "held": task.held}
        return {part: every[part] for part in self.parts}


def genome_study(plane: Plane, fields: Mapping[str, Any], options: MetaOptions) -> Study:
    """Meta-train a genome on some functions of the plane, and judge it on others."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        task = Part("plane_functions", dict(plane.task))
        design = Design(learner=Part("blur", dict(fields)), task=task, estimator=GRADIENT)
        learners = meta_trained(design, options, seeds, folder, reporter, name="genomes").learners()
        reporter.compiling("held-out functions")
        pairs = zip(learners, seeds, strict=True)
        judged = [plane.judge([own], seed) for own, seed in pairs]
        return plane.found([{part: a[0] for part, a in own.items()} for own in judged])

    return study


def descent_study(plane: Plane, hidden: tuple[int, ...], momentum: float = 0.0) -> Study:
    """Gradient descent on the same network, data and moments; one birth a lifetime, as there.

    At every number of updates, the rate that is best on the held-out functions themselves.
    """

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        del folder
        learners = [descent(plane.make(), hidden, momentum, rate) for rate in RATES]
        reporter.compiling(f"gradient descent, {len(RATES)} rates")
        judged = [plane.judge(learners, seed) for seed in seeds]
        means = np.mean([own["held"].mean(1) for own in judged], 0)
        best = means.argmax(0)
        chosen = [
            {part: np.take_along_axis(a, best[None, None], 0)[0] for part, a in own.items()}
            for own in judged
        ]
        return plane.found(chosen, rates=[RATES[i] for i in best])

    return study


def descent(task: Any, hidden: tuple[int, ...], momentum: float, rate: float) -> Any:
    """A network that gradient descent trains on-line, with other weights in every lifetime."""
    import optax

    from ..learners.online import OnlineLearner, with_loss
    from ..models import mlp
    from ..rules.backprop import Backprop

    options: dict[str, Any] = {"hidden": hidden, "activation": "tanh", "bias": True}
    model = mlp(task.input_shape, task.outputs, **options, key=jr.key(0))
    learner = OnlineLearner(
        model,
        with_loss(Backprop(), task),
        optax.trace(momentum) if momentum else None,
        start="fresh",
        redraw="fan_in",
        key=jr.key(0),
    )
    # An array, so that all rates are one program.
    return eqx.tree_at(lambda own: own.rate, learner, jnp.asarray(rate))
