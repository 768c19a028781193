"""Find out by trial and error which of a few cues is the one that pays."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from .base import AbstractTask, Episode, Stream
from .criteria import CLASSIFICATION, Criterion


class CueReward(AbstractTask):
    """`cues` new patterns of +-1 a lifetime, one of them the target: was it among these two?

    A trial is a blank moment, two different cues and up to `pause` blanks in random order, the
    signal to answer, and another blank, at which the reward is seen. Trials follow each other for
    `moments` moments. Inputs: the bits of the cue, the signal to answer, the part of the lifetime
    that has passed, and the reward.

    The published task is one of reinforcement: the network acts, and sees its action and a reward
    of +1 or -1, which together say whether the target was there. Here that answer itself is the
    reward (+1 it was, -1 it was not), the same information, so that what a lifetime shows depends
    on no action; and a supervised loss judges the answers, the cross-entropy at every signal to
    answer. Half of the trials show the target; the first answers can only be guessed.

    Miconi, Rawal, Clune & Stanley (2019), "Backpropamine", section 4.1 (the cue-reward task), whose
    sizes are the defaults.
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    bits: int = eqx.field(static=True, default=20)
    """Bits of a cue."""
    cues: int = eqx.field(static=True, default=4)
    """Cues of a lifetime."""
    moments: int = eqx.field(static=True, default=120)
    """Moments of a lifetime; the trial at its end may be cut short."""
    pause: int = eqx.field(static=True, default=3)
    """Most blanks beside the cues of a trial."""

    def __check_init__(self):
        for name, least in (("bits", 1), ("cues", 2), ("pause", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"--task.{name} {getattr(self, name)}: at least {least} is needed")
        if self.moments < self.longest:
            raise UsageError(
                f"--task.moments {self.moments}: a trial takes up to {self.longest}, so at least "
                "as many are needed"
            )

    @property
    def longest(self) -> int:
        """Moments of the longest trial."""
        return self.pause + 5

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.bits + 3,)

    @property
    def outputs(self) -> int:
        return 2

    def sample(self, key: Key) -> Episode:
        bit_key, target_key, blank_key, cue_key, slot_key = jr.split(key, 5)
        trials = -(-self.moments // 5)
        patterns = jr.rademacher(bit_key, (self.cues, self.bits), float)
        target = jr.randint(target_key, (), 0, self.cues, jnp.int32)
        blanks = jr.randint(blank_key, (trials,), 0, self.pause + 1, jnp.int32)
        shown = _two(trials, jnp.full((trials,), self.cues, jnp.int32), self.cues, key=cue_key)
        slots = _two(trials, blanks + 2, self.pause + 2, key=slot_key)
        there = (shown == target).any(1)

        ends = jnp.cumsum(blanks + 5, dtype=jnp.int32)
        now = jnp.arange(self.moments, dtype=jnp.int32)
        trial = jnp.searchsorted(ends, now, side="right").astype(jnp.int32)
        place = now - (ends - blanks - 5)[trial]
        asked = (place == blanks[trial] + 3).astype(float)
        told = jnp.where(place == blanks[trial] + 4, jnp.where(there[trial], 1.0, -1.0), 0.0)
        # A cue stands where the place within the trial is its own: at most one of the two does.
        here = (slots[trial] + 1 == place[:, None]).astype(float)
        cue = jnp.einsum("tc,tcb->tb", here, patterns[shown[trial]])
        passed = now.astype(float) / self.moments
        x = jnp.concatenate([cue, jnp.stack([asked, passed, told], 1)], 1)
        answers = jax.nn.one_hot(there[trial].astype(jnp.int32), 2) * asked[:, None]
        stream = Stream(x[:, None], None, answers[:, None], asked / asked.sum())
        return Episode(stream, None, self.criterion)


def _two(trials: int, among: jax.Array, most: int, *, key: Key) -> jax.Array:
    """Two different numbers below `among` [trials], in random order, [trials, 2]."""
    # The places of the largest of random numbers, where those of too high places are out.
    free = jnp.arange(most, dtype=jnp.int32) < among[:, None]
    drawn = jnp.where(free, jr.uniform(key, (trials, most)), -1.0)
    return jax.lax.top_k(drawn, 2)[1].astype(jnp.int32)
