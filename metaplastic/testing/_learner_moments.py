"""Checks of a learner's builder, of a birth, and of single moments."""

import inspect
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import UsageError
from ._episodes import first
from ._findings import Failed, Skipped, Table, check
from ._learner_subject import TOLERANCE, Subject, is_learner
from ._subject import difference
from ._trees import compute, require_finite, require_same_form, what_is

CHECKS: Table = {}


@check(CHECKS, "builds")
def builds(subject: Subject) -> str:
    """The builder makes a learner for a task."""
    if not is_learner(subject.learner):
        raise Failed(
            f"what it builds is {what_is(subject.learner)}: return a learner, derived from "
            "metaplastic.learners.base.AbstractLearner"
        )
    kind = type(subject.task).__name__
    learned = len(jax.tree.leaves(eqx.filter(subject.learner, eqx.is_inexact_array)))
    if not learned:
        raise Failed("it has no inexact array, so that nothing of it can be meta-learned")
    return f"{type(subject.learner).__name__} for {kind}, {learned} arrays to learn"


@check(CHECKS, "options")
def options(subject: Subject) -> None:
    """Every option is a keyword with a default and a line in the docstring's `Args:`."""
    if subject.builder is None:
        raise Skipped("a learner was given, not what builds it")
    own = inspect.signature(subject.builder).parameters
    if "key" not in own or own["key"].kind is not inspect.Parameter.KEYWORD_ONLY:
        raise Failed("the builder has no keyword-only `key`: write NAME(task, *, ..., key)")
    function = getattr(subject.builder, "func", subject.builder)
    documented = re.findall(r"^[ \t]*(\w+):[ \t]*\S", inspect.getdoc(function) or "", re.MULTILINE)
    for name, parameter in list(own.items())[1:]:
        if name not in documented:
            raise Failed(
                f"the option {name!r} is not in the docstring: add `{name}: ...` to `Args:`, "
                "which --help shows"
            )
        if parameter.default is inspect.Parameter.empty and name not in ("key", "rule"):
            raise Failed(f"the option {name!r} has no default: give it one")


@check(CHECKS, "birth", needs=("builds",))
def birth(subject: Subject) -> None:
    """A life is made of arrays."""
    life = eqx.filter_eval_shape(lambda own: own.birth(key=subject.key), subject.learner)
    for path, leaf in jax.tree.leaves_with_path(life):
        if not hasattr(leaf, "shape"):
            raise Failed(
                f"the life's leaf {jax.tree_util.keystr(path)} is {what_is(leaf)}, which a "
                "scan cannot carry: make it an array, or a field of the learner"
            )


@check(CHECKS, "step", needs=("birth",))
def step(subject: Subject) -> None:
    """A moment keeps the structure, shapes and dtypes of the life, and answers every example."""
    life, x, y = subject.moment
    result: Any = eqx.filter_eval_shape(
        lambda own, *rest: own.step(*rest, key=subject.key), subject.learner, life, x, y
    )
    if not isinstance(result, tuple) or len(result) != 2:
        raise Failed(f"`step` returns {what_is(result)}: return (life, output)")
    require_same_form(
        jax.eval_shape(lambda: life),
        result[0],
        what="`step` changes the form of a life",
        fix="keep it as `birth` made it, so that moments can be scanned",
    )
    _require_shape("step", result[1], (x.shape[0], subject.task.outputs))
    require_finite(subject.stepped, what="after a moment, (life, output)")


@check(CHECKS, "predict", needs=("step",))
def predict(subject: Subject) -> None:
    """`predict` answers [batch, outputs], finite."""
    life, x, _ = subject.moment
    answer = compute(lambda own, *rest: own.predict(*rest), subject.learner, life, x)
    _require_shape("predict", answer, (x.shape[0], subject.task.outputs))
    require_finite(answer, what="what `predict` answers")


@check(CHECKS, "untold", needs=("step",))
def untold(subject: Subject) -> str:
    """A moment without y works, or is refused with a `UsageError`."""
    life, x, _ = subject.moment
    try:
        result = eqx.filter_eval_shape(
            lambda own, *rest: own.step(*rest, None, key=subject.key), subject.learner, life, x
        )
    except UsageError as error:
        return f"moments without y are refused: {error}"
    _require_shape("step without y", result[1], (x.shape[0], subject.task.outputs))
    return "moments without y are lived through"


@check(CHECKS, "perceive", needs=("builds",))
def perceive(subject: Subject) -> None:
    """`perceive` treats every example on its own."""
    flat = first(subject.episodes).stream.x
    flat = flat.reshape(-1, *flat.shape[2:])
    together = compute(lambda own, x: own.perceive(x), subject.learner, flat)
    alone = compute(lambda own, x: own.perceive(x), subject.learner, flat[:1])
    if difference(alone, together[:1]) > TOLERANCE:
        raise Failed(
            "what `perceive` makes of an example depends on the others beside it: all moments go "
            "through it at once, so what joins examples belongs in `step`"
        )


@check(CHECKS, "unchanged", needs=("step",))
def unchanged(subject: Subject) -> None:
    """The learner and the life that `step` is given are the same after it."""
    life, x, y = subject.moment
    given = (subject.learner, life)
    before = jax.tree.map(lambda leaf: np.array(leaf) if _plain(leaf) else leaf, given)
    subject.learner.step(life, x, y, key=subject.key)
    after = jax.tree.map(lambda leaf: np.array(leaf) if _plain(leaf) else leaf, given)
    if jax.tree.structure(before) != jax.tree.structure(after) or difference(after, before) > 0:
        raise Failed(
            "`step` changes the learner or the life in place: return a new life, and leave what "
            "lasts beyond a lifetime alone"
        )


@check(CHECKS, "same-key", needs=("step",))
def same_key(subject: Subject) -> None:
    """The same life, moment and key give the same result, compiled or not."""
    life, x, y = subject.moment
    eager = [subject.learner.step(life, x, y, key=subject.key) for _ in range(2)]
    if difference(eager[0], eager[1]) > 0:
        raise Failed(
            "two moments with the same arguments and key differ: draw from `key` alone, and keep "
            "nothing in globals or attributes"
        )
    if difference(eager[0], subject.stepped) > TOLERANCE:
        raise Failed(
            "compiled, a moment gives another result than step by step: something is computed in "
            "Python, once, when it is traced; use jax.numpy and carry it in the life"
        )


def _require_shape(what: str, output: Any, shape: tuple[int, ...]) -> None:
    if getattr(output, "shape", None) != shape:
        raise Failed(
            f"`{what}` answers with {what_is(output)}: return [batch, outputs], {list(shape)}"
        )


def _plain(leaf: Any) -> bool:
    return eqx.is_array(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
