"""Each change of a lifetime taken as a constant: first-order MAML, without second derivatives."""

from typing import Any, ClassVar

from .._types import Key
from ..learners.base import AbstractLearner
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, differentiate
from .unrolled import sparing_scan


class FirstOrder(AbstractMetaGradient):
    """The gradient at the learner that a lifetime made, handed to what it started from.

    life_{t+1} = life_t + [change_t],  d life_{t+1} / d life_t = 1, [.] constant

    For weights trained on-line this is d loss / d W at the adapted weights. What acts through a
    change alone (feedback weights, plasticity coefficients) gets no gradient from it; learned
    rates do, as factors of constant updates. Finn, Abbeel & Levine (2017), "Model-agnostic
    meta-learning", section 5.2.
    """

    demands: ClassVar[str] = ""

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        return differentiate(
            learner,
            episodes,
            scan=sparing_scan(),
            key=key,
            where=where,
            view=lambda own: own.detached(),
        )
