"""Truncated back-propagation through a lifetime: derivatives go back k moments and no further."""

import math
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner, Life, pass_through
from ..learners.lifetime import Scan
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, differentiate
from .unrolled import blocked_scan


class Truncated(AbstractMetaGradient):
    """The gradient of a lifetime cut every `steps` moments, counted from its end.

    life_{cut} = value of the scan,  d life_{cut} / d life_0 = 1 (`identity`) or 0 (`cut`)

    The questions at the end and the moments of a part see the moments of that part alone. With
    `identity` what a lifetime starts from is reached across the cut as at first order, whose limit
    this is (a part of no moments); with `cut` it learns from the lifetime's first part alone, which
    in tasks that judge only the end is nothing at all. From `steps` = lifetime on, this is
    `unrolled`. Only one part is stored at a time, and the life at square-root many cuts. Shaban,
    Cheng, Hatch & Boots (2019), "Truncated back-propagation for bilevel optimization", section 3.
    """

    demands: ClassVar[str] = ""

    steps: int = eqx.field(static=True, default=5)
    """Moments of a part; where they do not divide the lifetime, the first part is shorter."""
    initial: Literal["identity", "cut"] = eqx.field(static=True, default="identity")
    """What of the gradient at a cut reaches the start of the lifetime: all of it, unchanged, or
    nothing. `cut` is for meta-parameters that act at every moment: plasticity, rates, feedback."""

    def __check_init__(self):
        if self.steps < 1:
            raise UsageError(
                f"--estimator.steps {self.steps}: at least 1 is needed (first_order takes none)"
            )

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        scan = cut_scan(self.steps, self.initial)
        return differentiate(learner, episodes, scan=scan, key=key, where=where)


def cut_scan(steps: int, initial: Literal["identity", "cut"]) -> Scan:
    """A scan whose derivatives do not cross the cuts between parts of `steps` moments."""

    def scan(step: Any, born: Life, xs: Any) -> tuple[Life, Any]:
        def part(life: Life, xs: Any) -> tuple[Life, Any]:
            return jax.lax.scan(step, life, xs)

        def after_cut(life: Life, xs: Any) -> tuple[Life, Any]:
            identity = initial == "identity"
            return part(pass_through(born, life) if identity else jax.lax.stop_gradient(life), xs)

        length = jax.tree.leaves(xs)[0].shape[0]
        if length <= steps:
            return part(born, xs)
        first = (length - 1) % steps + 1
        life, outputs = jax.checkpoint(part)(born, jax.tree.map(lambda leaf: leaf[:first], xs))
        parts = jax.tree.map(lambda leaf: leaf[first:].reshape(-1, steps, *leaf.shape[1:]), xs)
        # Short parts are many: their starting points are stored in blocks too.
        together = max(math.isqrt(length) // steps, 1)
        life, rest = blocked_scan(together)(jax.checkpoint(after_cut), life, parts)
        return life, jax.tree.map(
            lambda a, b: jax.numpy.concatenate([a, b.reshape(-1, *b.shape[2:])]), outputs, rest
        )

    return scan
