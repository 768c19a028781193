"""The whole lifetime differentiated, with most moments computed twice to save memory."""

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import Scan
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, differentiate

Rematerialise = Literal["auto", "none", "steps", "blocks"]
_WRITTEN_OUT = 5
"""Moments up to which a lifetime is no loop: its first moment then takes the weights that all
lifetimes share as they are, and nothing is stacked (1.5 times as fast on small networks)."""


class Unrolled(AbstractMetaGradient):
    """The exact gradient: reverse-mode differentiation through every moment of the lifetime.

    `blocks` stores the life at every sqrt(T)-th moment alone and computes the moments in between
    again (Chen, Xu, Zhang & Guestrin 2016, "Training deep nets with sublinear memory cost",
    section 4.1): memory grows like the square root of the lifetime, for one more forward pass.
    """

    demands: ClassVar[str] = ""

    rematerialise: Rematerialise = eqx.field(static=True, default="auto")
    """`none`: store all; `steps`: store the life at every moment; `blocks`: at every sqrt(T)-th;
    `auto`: `blocks` in lifetimes of more than 100 moments, else `none`."""
    block: int | None = eqx.field(static=True, default=None)
    """Moments of a block; the square root of the lifetime where it is not given."""

    def __check_init__(self):
        if self.block is not None and self.block < 1:
            raise UsageError(f"--estimator.block {self.block}: at least 1 is needed")
        if self.block is not None and self.rematerialise in ("none", "steps"):
            raise UsageError(
                f"--estimator.block {self.block} has no part in --estimator.rematerialise "
                f"{self.rematerialise}: leave it out, or take --estimator.rematerialise blocks"
            )

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        scan = sparing_scan(self.rematerialise, self.block)
        return differentiate(learner, episodes, scan=scan, key=key, where=where)


def sparing_scan(rematerialise: Rematerialise = "auto", block: int | None = None) -> Scan:
    """The scan of a lifetime, with what its backward pass is to store."""

    def scan(step: Any, life: Any, xs: Any) -> tuple[Any, Any]:
        length = jax.tree.leaves(xs)[0].shape[0]
        how = rematerialise
        if how == "auto":
            how = "blocks" if length > 100 or block is not None else "none"
        if how == "none":
            return (written_out if 0 < length <= _WRITTEN_OUT else jax.lax.scan)(step, life, xs)
        if how == "steps":
            return jax.lax.scan(jax.checkpoint(step), life, xs)
        return blocked_scan(block or max(math.isqrt(length), 1))(step, life, xs)

    return scan


def written_out(step: Any, life: Any, xs: Any) -> tuple[Any, Any]:
    """`jax.lax.scan` as one moment after the other, without a loop."""
    outputs = []
    for moment in range(jax.tree.leaves(xs)[0].shape[0]):
        life, output = step(life, jax.tree.map(lambda leaf, at=moment: leaf[at], xs))
        outputs.append(output)
    return life, jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *outputs)


def blocked_scan(block: int) -> Scan:
    """A scan whose backward pass stores the carry at every `block`-th step alone."""

    def scan(step: Any, life: Any, xs: Any) -> tuple[Any, Any]:
        def run(life: Any, xs: Any) -> tuple[Any, Any]:
            return jax.lax.scan(step, life, xs)

        return scan_in_blocks(jax.checkpoint(run), life, xs, block)

    return scan


def scan_in_blocks(run: Any, life: Any, xs: Any, block: int) -> tuple[Any, Any]:
    """`run(life, xs of a block) -> (life, outputs)` over blocks; a shorter one comes first."""
    length = jax.tree.leaves(xs)[0].shape[0]
    short = length % block
    first = None
    if short:
        life, first = run(life, jax.tree.map(lambda leaf: leaf[:short], xs))
    if length < block:
        return life, first
    rest = jax.tree.map(lambda leaf: leaf[short:].reshape(-1, block, *leaf.shape[1:]), xs)
    life, outputs = jax.lax.scan(run, life, rest)
    outputs = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)
    if first is not None:
        outputs = jax.tree.map(lambda a, b: jax.numpy.concatenate([a, b]), first, outputs)
    return life, outputs
