"""The settings of Miconi (2016), in one place for its reproduction, replay and benchmark."""

from dataclasses import dataclass

from ..tasks._bit_patterns import Variant
from ..tasks.base import AbstractTask
from ..tasks.one_shot import OneShot
from ..tasks.pattern_completion import PatternCompletion
from ..tasks.reversal import Reversal
from ..train.meta_options import MetaOptions


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One experiment: a task, and how the released code meta-trains on it."""

    task: str
    """Registered name."""
    gamma: float
    """What a trace keeps from moment to moment, in the published figure."""
    gammas: tuple[float, ...]
    """All that the authors ran."""
    episodes: int
    rate: float
    max_step: float
    l1: float
    l2: float
    judged: int
    """Moments by which the published error divides; two of reversal's 18 are never judged."""

    def options(self, episodes: int | None = None) -> MetaOptions:
        """One lifetime a meta-step; the last 500 only measure (a twentieth of shorter runs)."""
        steps = episodes or self.episodes
        return MetaOptions(
            steps=steps,
            meta_batch=1,
            optimiser="clipped_rms",
            lr=self.rate,
            max_step=self.max_step,
            l1=self.l1,
            l2=self.l2,
            frozen_last=500 if steps >= 5000 else steps // 20,
            test_lifetimes=500,
        )

    def make_task(self, variant: Variant = "released") -> AbstractTask:
        """The task as the released code computes it, by default."""
        kinds = {"pattern_completion": PatternCompletion, "one_shot": OneShot, "reversal": Reversal}
        return kinds[self.task](variant=variant)


COMPLETION = Protocol(
    task="pattern_completion",
    gamma=0.75,
    gammas=(0.75, 0.5),
    episodes=5000,
    rate=0.03,
    max_step=0.1,
    l1=1e-3,
    l2=1e-4,
    judged=1,
)
ONE_SHOT = Protocol(
    task="one_shot",
    gamma=0.98,
    gammas=(0.98, 0.95, 0.90),
    episodes=10_000,
    rate=0.01,
    max_step=0.01,
    l1=1e-4,
    l2=0.0,
    judged=18,
)
REVERSAL = Protocol(
    task="reversal",
    gamma=0.98,
    gammas=(0.98, 0.95, 0.75),
    episodes=10_000,
    rate=0.01,
    max_step=0.01,
    l1=1e-4,
    l2=0.0,
    judged=18,
)
PROTOCOLS = {own.task: own for own in (COMPLETION, ONE_SHOT, REVERSAL)}
