"""Logged choices on one wheel bandit: contexts, arms taken at random, and what they paid."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ._wheel import ARMS, contexts, pay
from .base import AbstractTask, Episode, Query, Stream
from .criteria import PARTIAL_REGRESSION, Criterion


class WheelBandit(AbstractTask):
    """Predict what each of five arms pays at a context of the unit disc, on one wheel per lifetime.

    Within the wheel's radius r ~ U(0, 1) arms 0-3 pay N(1, 0.05) and arm 4 N(1.2, 0.05); outside,
    the arm of the context's quadrant pays N(50, 0.01) (mean, standard deviation). One moment has
    `shots` contexts at each of which one arm was taken at random; `queries` others are asked for.
    Targets are NaN at the arms that were not taken, which the task's criterion leaves out. What a
    learner does with it on-line is measured by `metaplastic.analysis.bandit_regret`. Zucchet et al.
    (2022), "A contrastive rule for meta-learning", section 5.5; the wheel is that of Riquelme,
    Tucker & Snoek (2018), "Deep Bayesian bandits showdown", section 5.4.
    """

    criterion: ClassVar[Criterion] = PARTIAL_REGRESSION

    shots: int = eqx.field(static=True, default=512)
    """Contexts to learn from."""
    queries: int = eqx.field(static=True, default=50)
    """Contexts that are asked for at the end."""
    radius: float | None = eqx.field(static=True, default=None)
    """The wheel's radius, from 0 to 1; drawn for every lifetime where it is not given."""
    pool: int = eqx.field(static=True, default=0)
    """Wheels whose logs are drawn once, of which every lifetime takes one; 0: a new one in every
    lifetime. Meta-testing always has new ones. The published code has 64."""
    pool_seed: int = eqx.field(static=True, default=0)
    """Which pool."""

    def __check_init__(self):
        for name, least in {"shots": 1, "queries": 1, "pool": 0}.items():
            if getattr(self, name) < least:
                raise UsageError(f"--task.{name} {getattr(self, name)}: at least {least} is needed")
        check_radius(self.radius, "--task.radius")

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (2,)

    @property
    def outputs(self) -> int:
        return ARMS

    def held_out(self) -> "WheelBandit":
        return WheelBandit(self.shots, self.queries, self.radius) if self.pool else self

    def sample(self, key: Key) -> Episode:
        if self.pool:
            key = jr.fold_in(jr.key(self.pool_seed), jr.randint(key, (), 0, self.pool))
        radius_key, context_key, arm_key, pay_key = jr.split(key, 4)
        radius = jr.uniform(radius_key) if self.radius is None else self.radius
        x = contexts(context_key, self.shots + self.queries)
        arm = jr.randint(arm_key, x.shape[:1], 0, ARMS)
        y = only_taken(pay(pay_key, x, radius), arm)
        stream = Stream(x[None, : self.shots], y[None, : self.shots], None, None)
        return Episode(stream, Query(x[self.shots :], y[self.shots :]), self.criterion)


def only_taken(rewards: jax.Array, arm: jax.Array) -> jax.Array:
    """`rewards` [*n, arms] (or [*n, 1]) at the arms that were taken, [*n]; NaN at the others."""
    taken = arm[..., None] == jnp.arange(ARMS, dtype=arm.dtype)
    return jnp.where(taken, rewards, jnp.asarray(jnp.nan, rewards.dtype))


def check_radius(radius: float | None, option: str) -> None:
    """Raise `UsageError`, naming the option, for a radius that no wheel has."""
    if radius is not None and not 0 <= radius <= 1:
        raise UsageError(f"{option} {radius}: the wheel has radius 1, so give one from 0 to 1")
