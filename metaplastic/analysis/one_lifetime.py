"""One lifetime seen moment by moment: what a learner met, answered, and had become.

All is handed out as plain arrays, for figures and for files.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._compiling import compiled_once
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import moments, stepper
from ..learners.paths import is_inexact, path_name
from ..tasks.base import AbstractTask, Episode, Stream

MOST_NUMBERS = 2_000_000
"""Numbers of fast state that are kept of a lifetime; fewer moments are kept of larger ones."""
STATE = "state/"
"""Before the paths of fast state among `OneLifetime.arrays`."""


@dataclasses.dataclass(frozen=True)
class OneLifetime:
    """What happened in a lifetime; time first, None for what the task does not have."""

    x: np.ndarray
    """Inputs, [time, batch, *input]."""
    output: np.ndarray
    """Answers, [time, batch, outputs]."""
    loss: np.ndarray | None
    """Of each answer beside what it should have been, mean over the batch, [time]."""
    y: np.ndarray | None
    """What the learner was told, [time, batch, outputs]."""
    target: np.ndarray | None
    """What its answers were compared with, [time, batch, outputs]."""
    weight: np.ndarray | None
    """Weight of each moment in the loss, [time]."""
    happens: np.ndarray | None
    """Which moments there were, [time]."""
    asked: np.ndarray | None
    """Questions at the end, [questions, *input]."""
    expected: np.ndarray | None
    """Their answers, [questions, outputs]."""
    before: np.ndarray | None
    """What the learner answers to them at birth, [questions, outputs]."""
    after: np.ndarray | None
    """What it answers at the end, [questions, outputs]."""
    kept: np.ndarray
    """Moments of `state`: 0 is birth, t is after t moments, [kept]."""
    state: Mapping[str, np.ndarray]
    """Fast state by path, [kept, *shape]; what never changed is left out."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays by name, for a file: those of `state` as `state/<path>`."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "state"}
        named = {name: value for name, value in own.items() if value is not None}
        return named | {STATE + path: value for path, value in self.state.items()}


def fast_numbers(learner: AbstractLearner, task: AbstractTask) -> int:
    """How many numbers can change within a lifetime of the task: all that a moment does not hand on
    as it found them (feedback + local plasticity carries its coefficients along unchanged)."""
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(_moving(learner, task)))


def _moving(learner: AbstractLearner, task: AbstractTask) -> Any:
    """Shapes of the fast state that can change; None for the rest."""

    def begin(learner: AbstractLearner) -> tuple[Any, Any]:
        episode = task.sample(jr.key(0))
        first = jax.tree.map(lambda leaf: leaf[0], moments(learner, episode.stream))
        return learner.birth(key=jr.key(0)), first

    def step(life: Any, moment: Any) -> Any:
        return learner.step(eqx.combine(life, still), moment.x, moment.y, key=jr.key(0))[0]

    born, moment = eqx.filter_eval_shape(begin, learner)
    life, still = eqx.partition(born, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    program = jax.make_jaxpr(lambda *own: eqx.filter(step(*own), eqx.is_array))(life, moment).jaxpr
    leaves, structure = jax.tree.flatten(life)
    found = zip(leaves, program.invars, program.outvars, strict=False)
    moves = [leaf if is_inexact(leaf) and a is not b else None for leaf, a, b in found]
    return jax.tree.unflatten(structure, moves)


def one_lifetime(
    learner: AbstractLearner,
    task: AbstractTask,
    *,
    most: int = MOST_NUMBERS,
    key: Key,
) -> OneLifetime:
    """Live through one lifetime of the task and record what happens at every moment.

    The fast state is kept at birth, at the end, and at as many moments between them, evenly, as
    `most` numbers allow. Raises `UsageError` for a stream without moments.
    """
    sample_key, life_key = jr.split(key)
    episode = compiled_once(lambda own, key: own.sample(key))(task, sample_key)
    count = episode.stream.x.shape[0]
    moving = _moving(learner, task)
    numbers = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(moving))
    room = max(most // max(numbers, 1), 2)
    kept = np.unique(np.linspace(0, count, min(count + 1, room)).round().astype(int))
    shown = jax.tree.map(lambda leaf: leaf is not None, moving, is_leaf=lambda leaf: leaf is None)
    lived = compiled_once(_live)(learner, episode, jnp.asarray(kept), shown, life_key)
    state, outputs, before, after, loss = lived
    pages = {path_name(p): np.asarray(leaf) for p, leaf in jax.tree.leaves_with_path(state)}
    stream, query = episode.stream, episode.query
    return OneLifetime(
        x=np.asarray(stream.x),
        output=np.asarray(outputs),
        loss=_array(loss),
        y=_array(stream.y),
        target=_array(stream.target),
        weight=_array(stream.weight),
        happens=_array(stream.mask),
        asked=None if query is None else np.asarray(query.x),
        expected=None if query is None else np.asarray(query.y),
        before=_array(before),
        after=_array(after),
        kept=kept,
        state={path: own for path, own in pages.items() if (own != own[:1]).any()},
    )


def _live(
    learner: AbstractLearner, episode: Episode, kept: jax.Array, shown: Any, key: Key
) -> tuple[Any, ...]:
    """`(state at the kept moments, outputs, answers before, answers after, losses)`.

    `shown`: which parts of the state are kept.
    """
    birth_key, step_key = jr.split(key)  # as in `learners.lifetime`
    step = stepper(learner, key=step_key)
    birth = learner.birth(key=birth_key)

    def advance(carry: tuple, moment: tuple) -> tuple[tuple, jax.Array]:
        life, album = carry
        own, place = moment
        life, output = step(life, own)
        # Every moment is written to the place of the next that is kept; the last one stays.
        album = jax.tree.map(
            lambda page, leaf: page.at[place].set(leaf), album, eqx.filter(life, shown)
        )
        return (life, album), output

    own = moments(learner, episode.stream)
    blank = jax.tree.map(lambda leaf: jnp.stack([leaf] * kept.shape[0]), eqx.filter(birth, shown))
    places = jnp.searchsorted(kept, own.index + 1)
    (life, album), outputs = jax.lax.scan(advance, (birth, blank), (own, places))
    before = after = None
    if episode.query is not None:
        asked = learner.perceive(episode.query.x)
        before, after = learner.predict(birth, asked), learner.predict(life, asked)
    return album, outputs, before, after, _losses(episode, outputs)


def _losses(episode: Episode, outputs: jax.Array) -> jax.Array | None:
    wanted = _wanted(episode.stream)
    return None if wanted is None else episode.criterion.loss(outputs, wanted).mean(-1)


def _wanted(stream: Stream) -> jax.Array | None:
    return stream.y if stream.target is None else stream.target


def _array(value: jax.Array | None) -> np.ndarray | None:
    return None if value is None else np.asarray(value)
