"""Checks that a rule is a pure function: of its key, under jit, vmap and scan."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import UsageError
from .._types import Key
from ._findings import Failed, Skipped, Table, check
from ._subject import Problem, Step, Subject, difference
from ._training import RATES, STEPS, compiled

CHECKS: Table = {}
_TOLERANCE = 1e-8


@check(CHECKS, "signals", needs=("runs",))
def signals(subject: Subject) -> None:
    """Keyword signals that the rule does not know are accepted and ignored."""
    try:
        told = subject.step(subject.plain, a_signal_nobody_knows=jnp.asarray(3.0))
    except TypeError as error:
        if "a_signal_nobody_knows" not in str(error):
            raise
        raise Failed(
            "refuses keyword signals that it does not know: end the arguments of `updates` with "
            "**signals"
        ) from error
    if difference(told.updates, subject.first.updates) > _TOLERANCE:
        raise Failed("its updates change with a signal that it cannot know: read signals by name")


@check(CHECKS, "same-key", needs=("runs",))
def same_key(subject: Subject) -> None:
    """The same arguments and the same key give the same result."""
    again = subject.step(subject.plain)
    for what in ("updates", "state"):
        a, b = getattr(again, what), getattr(subject.first, what)
        if difference(a, b) > 0:
            raise Failed(
                f"two calls with the same arguments and the same key differ in their {what}: draw "
                "from `key` alone, and keep nothing in globals or attributes"
            )


@check(CHECKS, "key", needs=("runs",))
def key(subject: Subject) -> str | None:
    """Dropout masks are those of `key`; another key gives another result."""
    try:
        problem = subject.problem(subject.dense, dropout=0.5)
        first = subject.step(problem)
    except UsageError as error:
        raise Skipped(f"declared unsupported: dropout ({error})") from error
    other = subject.step(problem._replace(key=jr.fold_in(problem.key, 1)))
    if difference(first.updates, other.updates) <= _TOLERANCE:
        raise Failed(
            "the network has dropout, and the updates are the same whatever the key: its masks do "
            "not depend on the key; pass `key=key` on to model.trace"
        )
    if _output_of_trace(subject.plain, subject.first) and not _output_of_trace(problem, first):
        raise Failed(
            "its dropout masks are not those of the key that it is given: pass `key` itself to "
            "model.trace, and fold_in for draws of its own"
        )
    return None


@check(CHECKS, "jit", needs=("dtype", "same-key"))
def jit(subject: Subject) -> None:
    """Compiled, a step gives what it gives step by step."""
    problem = subject.plain
    arrays, static = eqx.partition((problem.model, problem.state), eqx.is_array)

    def whole(arrays: Any, x: jax.Array, y: jax.Array, key: Key) -> Any:
        model, state = eqx.combine(arrays, static)
        return _parts(subject.step(Problem(model, state, x, y, key)))

    updates, state, loss = compiled(whole)(arrays, problem.x, problem.y, problem.key)
    first = subject.first
    pairs = {
        "updates": (updates, first.updates),
        "state": (state, first.state),
        "loss": (loss, first.aux.loss),
    }
    for what, (a, b) in pairs.items():
        if difference(a, b) > _TOLERANCE:
            raise Failed(
                f"compiled, it gives other {what} than step by step: something is computed in "
                "Python, once, when the step is traced (a NumPy random number, a counter); use "
                "jax.numpy and carry it in the state"
            )


@check(CHECKS, "vmap", needs=("jit", "state"))
def vmap(subject: Subject) -> None:
    """Many seeds in one program give what each gives alone."""
    problems = [subject.problem(subject.dense, seed=seed) for seed in range(2)]
    alone = [_parts(subject.step(problem)) for problem in problems]
    arrays, rest = zip(*(eqx.partition(problem, eqx.is_array) for problem in problems), strict=True)
    stacked = jax.tree.map(lambda *leaves: _stack(leaves), *arrays)

    def one(own: Any) -> Any:
        problem = eqx.combine(own, rest[0])
        # Its values would cost a compilation of random numbers; that it can be mapped is enough.
        jax.eval_shape(
            lambda key: eqx.filter(subject.rule.init(problem.model, key=key), eqx.is_array),
            problem.key,
        )
        return _parts(subject.step(problem))

    both = compiled(jax.vmap(one))(stacked)
    for index, own in enumerate(alone):
        mine = jax.tree.map(lambda leaf, i=index: np.asarray(leaf)[i], both)
        if difference(mine, own) > _TOLERANCE:
            raise Failed(
                "two seeds in one vmapped program give other results than each alone: treat the "
                "first axis as the batch, and reduce over no axis that is not there"
            )


@check(CHECKS, "scan", needs=("jit", "state", "hooks"))
def scan(subject: Subject) -> str:
    """Steps can be looped inside one compiled program."""
    assert subject.losses.shape == (2, len(RATES), STEPS)
    return f"{STEPS} steps run in one compiled loop"


def _stack(leaves: Sequence[jax.Array]) -> jax.Array:
    if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jnp.stack(leaves)
    return jnp.asarray(np.stack([np.asarray(leaf) for leaf in leaves]))


def _parts(step: Step) -> Any:
    return step.updates, step.state, step.aux.loss


def _output_of_trace(problem: Problem, step: Step) -> bool:
    expected = problem.model.trace(problem.x, key=problem.key).output
    output = step.aux.output
    return output.shape == expected.shape and difference(output, expected) <= _TOLERANCE
