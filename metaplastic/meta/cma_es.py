"""Covariance matrix adaptation: learners drawn around a mean, which moves to where they did best.

Nothing is differentiated. The algorithm is that of evosax (the extra `es`).
"""

from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree

from .._devices import share_out
from .._errors import UsageError, require_extra
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import Verdict, live
from ..tasks.base import Episode
from .base import AbstractSearch, MetaAux, Moved, count, learned

MOST = 2000
"""Meta-parameters; the covariance matrix holds the square of their number."""


class CMAES(AbstractSearch):
    """theta_i = m + sigma z_i, z_i ~ N(0, C); m, sigma and C follow the better half of them.

    m <- m + sum_i w_i (theta_{i:P} - m), the best of `population` first. Every meta-step is one
    generation, whose members all live the same lifetimes; the mean is the learner that is tested.
    Members whose fitness is not finite count as the worst, and are counted (`non_finite`). The
    step sizes are its own: `--lr`, `--optimiser` and `--schedule` have no part in it. Hansen
    (2016), "The CMA evolution strategy: a tutorial", arXiv:1604.00772, Figure 6.
    """

    demands: ClassVar[str] = ""

    population: int = eqx.field(static=True, default=32)
    """Learners of a generation."""
    sigma: float = eqx.field(static=True, default=0.05)
    """Standard deviation of the first generation."""
    fitness: Literal["loss", "metric"] = eqx.field(static=True, default="loss")
    """What decides who is better; the metric may be one that cannot be differentiated."""
    at_once: int | None = eqx.field(static=True, default=None)
    """Learners computed together; all where it is not given. Fewer need less memory."""

    def __check_init__(self):
        if self.population < 4:
            raise UsageError(f"--estimator.population {self.population}: at least 4 are needed")
        if not 0 < self.sigma < float("inf"):
            raise UsageError(f"--estimator.sigma {self.sigma}: it must be positive and finite")
        if self.at_once is not None and not 1 <= self.at_once <= self.population:
            raise UsageError(
                f"--estimator.at-once {self.at_once}: from 1 to the population {self.population}"
            )

    def begin(self, arrays: Any) -> Any:
        mean = ravel_pytree(arrays)[0]
        strategy, parameters = self._strategy(mean)
        with jax.numpy_dtype_promotion("standard"):
            return strategy.init(jr.key(0), mean, parameters)

    def advance(
        self, learner: AbstractLearner, state: Any, episodes: Episode, *, key: Key, where: Any
    ) -> Moved:
        arrays, rest = learned(learner, where)
        mean, restore = ravel_pytree(arrays)
        strategy, parameters = self._strategy(mean)
        ask_key, tell_key, life_key = jr.split(key, 3)
        with jax.numpy_dtype_promotion("standard"):
            members, state = strategy.ask(ask_key, state, parameters)
        members = members.astype(mean.dtype)  # evosax draws in the default precision

        def lives(values: jax.Array) -> Verdict:
            own = eqx.combine(restore(values), rest).constrained()
            keys = jr.split(life_key, count(episodes))
            return jax.vmap(lambda episode, key: live(own, episode, key=key))(episodes, keys)

        def each(members: jax.Array) -> Verdict:
            return jax.lax.map(lives, members, batch_size=self.at_once or self.population)

        found = share_out(each, members)
        cost = found.loss.mean(1)
        if self.fitness == "metric":
            sign = -1.0 if episodes.criterion.higher_is_better else 1.0
            cost = sign * found.metric.mean(1)
        finite = jnp.isfinite(cost)
        worst = jnp.where(finite, cost, -jnp.inf).max()
        cost = jnp.where(finite, cost, worst + 1)
        with jax.numpy_dtype_promotion("standard"):
            state, _ = strategy.tell(tell_key, members, cost, state, parameters)
        own = lives(mean)
        lost = jnp.broadcast_to(1 - finite.mean(dtype=cost.dtype), own.loss.shape)
        aux = MetaAux(own.loss, own.metric, {"non_finite": lost})
        return Moved(restore(state.mean.astype(mean.dtype)), state, aux, finite.any())

    def advice(self, quality: dict[str, float]) -> dict[str, str]:
        lost = quality.get("non_finite", 0.0)
        if not lost > 0.5:
            return {}
        told = f"{lost:.0%} of the population end in losses that are not finite"
        return {"non_finite": f"{told}: try a smaller --estimator.sigma"}

    def _strategy(self, mean: jax.Array) -> tuple[Any, Any]:
        if mean.size > MOST:
            raise UsageError(
                f"cma_es adapts a covariance of at most {MOST} meta-parameters, here are "
                f"{mean.size}: --freeze some, or use --estimator evolution"
            )
        require_extra("evosax", "es")
        from evosax.algorithms import CMA_ES

        with jax.numpy_dtype_promotion("standard"):
            strategy = CMA_ES(population_size=self.population, solution=jnp.zeros_like(mean))
            return strategy, strategy.default_params.replace(std_init=self.sigma)
