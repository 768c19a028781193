"""The kit for estimators: a gradient of what is learned, of all of it and of nothing else."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..learners.base import AbstractLearner
from ..learners.lifetime import live
from ..learners.online import OnlineLearner
from ..meta.base import AbstractMetaGradient, MetaAux
from ..rules.backprop import Backprop
from ..tasks.base import AbstractTask, Episode
from ._declaration import examine_fields
from ._episodes import SMALL, sampled
from ._estimator_subject import EPISODES, Subject
from ._findings import Failed, Finding, Skipped, Table, check, run_checks
from ._subject import difference
from ._trees import compute, require_finite, require_same_form, what_is, wide

CHECKS: Table = {}
STEPS = 20
RATES = (0.003, 0.03)
_TOLERANCE = 1e-8


def check_estimator(
    estimator_or_class: Any,
    *,
    learner: AbstractLearner | None = None,
    task: AbstractTask | None = None,
    only: Iterable[str] | None = None,
    key: Key | None = None,
) -> list[Finding]:
    """One finding a check, for an estimator or the class of one, which is made with its defaults.

    `learner` and `task`, given together, replace the small network on curves. Raises `UsageError`
    for what is no estimator and for an unknown check.
    """
    given = estimator_or_class
    kind = given if isinstance(given, type) else type(given)
    if not issubclass(kind, AbstractMetaGradient) or inspect.isabstract(kind):
        raise UsageError(
            f"{kind.__name__} is no estimator: derive it from "
            "metaplastic.meta.base.AbstractMetaGradient, with all its methods"
        )
    try:
        path = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        path = None
    subject = Subject(given, learner, task, jr.key(0) if key is None else key)
    return run_checks(CHECKS, subject, only=only, path=path)


@check(CHECKS, "constructs")
def constructs(subject: Subject) -> None:
    """Made without arguments, the estimator is one, and says what it demands of a learner."""
    try:
        subject.estimator  # noqa: B018
    except TypeError as error:
        if "missing" in str(error):
            raise Failed(f"needs arguments ({error}): give every field a default") from error
        raise
    if not isinstance(getattr(subject.kind, "demands", None), str):
        raise Failed('declares no demands: add `demands: ClassVar[str] = ""` for any learner')


@check(CHECKS, "fields", needs=("constructs",))
def fields(subject: Subject) -> str | None:
    """Every field is an option: it has a docstring, and a default that JSON can hold."""
    return examine_fields(subject.kind, subject.estimator)


@check(CHECKS, "gradient", needs=("constructs",))
def gradient(subject: Subject) -> None:
    """The gradient has the structure, shapes and dtypes of the arrays that are learned."""
    result = subject.result
    if not isinstance(result, tuple) or len(result) != 2:
        raise Failed(f"it returns {what_is(result)}: return (gradient, aux)")
    require_same_form(
        eqx.filter(subject.learner, eqx.is_inexact_array),
        result[0],
        what="the gradient has another form than the learned arrays",
        fix="shape it like them, with None at every other leaf",
    )


@check(CHECKS, "finite", needs=("gradient",))
def finite(subject: Subject) -> None:
    """The gradient is finite, and not zero everywhere."""
    require_finite(subject.result[0], what="the gradient of ")
    if not any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(subject.result[0])):
        raise Failed("the gradient is zero for every array: nothing would be learned")


@check(CHECKS, "where", needs=("gradient",))
def where(subject: Subject) -> None:
    """With `where`, there is a gradient of the marked arrays alone."""
    marked = eqx.filter(subject.learner, eqx.is_inexact_array)
    last = len(jax.tree.leaves(marked)) - 1
    count = iter(range(last + 1))
    tree = jax.tree.map(
        lambda leaf: eqx.is_inexact_array(leaf) and next(count) == last, subject.learner
    )
    try:
        result = subject.call(where=tree)[0]
    except UsageError as error:
        raise Skipped(f"it refuses to learn the last array alone ({error})") from error
    require_same_form(
        eqx.filter(subject.learner, tree),
        result,
        what="with `where`, the gradient has another form than the marked arrays",
        fix="take arrays from metaplastic.meta.base.learned(learner, where)",
    )


@check(CHECKS, "aux", needs=("gradient",))
def aux(subject: Subject) -> None:
    """`MetaAux` holds loss and metric of each lifetime, those that its key gives."""
    own = subject.result[1]
    if not isinstance(own, MetaAux):
        raise Failed(f"the second result is {what_is(own)}: return a MetaAux")

    def lived(learner: Any, episodes: Episode) -> MetaAux:
        keys = jr.split(subject.key, EPISODES)
        one = jax.vmap(lambda episode, key: live(learner, episode, key=key))
        verdict = one(episodes, keys)
        return MetaAux(verdict.loss, verdict.metric)

    expected = compute(lived, subject.learner, subject.episodes)
    for name in ("loss", "metric"):
        value = getattr(own, name)
        if getattr(value, "shape", None) != (EPISODES,):
            raise Failed(f"aux.{name} is {what_is(value)}: return one number an episode")
        if difference(value, getattr(expected, name)) > 1e-6:
            raise Failed(
                f"aux.{name} is not that of the lifetimes of jr.split(key, episodes): the same "
                "key must give the same lifetimes under every estimator"
            )


@check(CHECKS, "same-key", needs=("gradient",))
def same_key(subject: Subject) -> None:
    """The same key gives the same estimate, and the learner stays as it is."""
    before = jax.tree.map(np.array, eqx.filter(subject.learner, eqx.is_inexact_array))
    if difference(subject.call()[0], subject.result[0]) > 0:
        raise Failed("two calls with the same key differ: draw from `key` alone")
    after = eqx.filter(subject.learner, eqx.is_inexact_array)
    if difference(after, before) > 0:
        raise Failed("the learner is changed in place: return a gradient, and leave it alone")


@check(CHECKS, "descends", needs=("finite", "same-key"))
def descends(subject: Subject) -> str:
    """Subtracted in small steps, the gradient lowers the loss of the same lifetimes."""
    arrays, rest = eqx.partition(subject.learner, eqx.is_inexact_array)

    def losses(arrays: Any, episodes: Episode, rate: jax.Array) -> jax.Array:
        def step(arrays: Any, key: Key) -> tuple[Any, jax.Array]:
            estimate, aux = subject.estimator(eqx.combine(arrays, rest), episodes, key=key)
            return jax.tree.map(lambda w, g: w - rate * g, arrays, estimate), aux.loss.mean()

        return jax.lax.scan(step, arrays, jr.split(subject.key, STEPS))[1]

    rates = jnp.asarray([*RATES, *(-rate for rate in RATES)])
    many = jax.vmap(losses, in_axes=(None, None, 0))
    found = np.asarray(compute(many, arrays, subject.episodes, rates))
    falls = found[:, -1] < found[:, 0]
    if falls[: len(RATES)].any():
        return f"{STEPS} steps lower the loss from {found[0, 0]:.3g} to {found[:2, -1].min():.3g}"
    if falls[len(RATES) :].any():
        raise Failed("the loss falls along the gradient, not against it: turn its sign")
    raise Failed(f"{STEPS} steps against the gradient do not lower the loss of the same lifetimes")


@check(CHECKS, "refusal", needs=("constructs",))
def refusal(subject: Subject) -> str:
    """Another learner works too, or is refused with a `UsageError`."""
    from ..models import mlp

    class Bare(AbstractLearner):
        """A learner that hands nothing on."""

        inner: OnlineLearner

        def birth(self, *, key: Key) -> Any:
            return self.inner.birth(key=key)

        def step(self, life: Any, x: jax.Array, y: jax.Array | None, *, key: Key) -> Any:
            return self.inner.step(life, x, y, key=key)

        def predict(self, life: Any, x: jax.Array) -> jax.Array:
            return self.inner.predict(life, x)

    model = mlp((1,), 1, hidden=(3,), key=subject.key)
    inner = OnlineLearner(model, Backprop(loss="squared_error"), key=subject.key)
    episodes = sampled(SMALL[0], key=subject.key, count=EPISODES)
    try:
        eqx.filter_eval_shape(subject.estimator, wide(Bare(inner)), episodes, key=subject.key)
    except UsageError as error:
        return f"a learner that hands nothing on is refused: {error}"
    return "works for a learner that hands nothing on"
