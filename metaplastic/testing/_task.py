"""The kit for tasks: pure sampling of fixed shapes that are what the task says they are."""

import functools
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import DataError, UsageError
from .._types import Key
from ..tasks.base import AbstractTask, Episode
from ..tasks.criteria import Criterion
from ._declaration import examine_fields
from ._findings import Failed, Finding, Skipped, Table, check, run_checks
from ._subject import difference
from ._trees import compute, require_finite, require_same_form, what_is

CHECKS: Table = {}
_TOLERANCE = 1e-8


class Subject:
    """A task, or the class of one, and an episode."""

    def __init__(self, given: Any, key: Key):
        self.given, self.key = given, key
        self.kind: type = given if isinstance(given, type) else type(given)

    @functools.cached_property
    def plain(self) -> Any:
        """The task without its data."""
        return self.given() if isinstance(self.given, type) else self.given

    @functools.cached_property
    def task(self) -> Any:
        """The task with its data."""
        return self.plain.load()

    @functools.cached_property
    def episode(self) -> Any:
        return compute(lambda own: own.sample(self.key), self.task)


def check_task(
    task_or_class: Any, *, only: Iterable[str] | None = None, key: Key | None = None
) -> list[Finding]:
    """One finding a check, for a task or the class of one, which is made with its defaults.

    A task whose data are missing passes over what needs them. Raises `UsageError` for what is no
    task and for an unknown check.
    """
    kind = task_or_class if isinstance(task_or_class, type) else type(task_or_class)
    if not issubclass(kind, AbstractTask) or inspect.isabstract(kind):
        raise UsageError(
            f"{kind.__name__} is no task: derive it from metaplastic.tasks.base.AbstractTask, "
            "with all its methods"
        )
    try:
        path = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        path = None
    subject = Subject(task_or_class, jr.key(0) if key is None else key)
    return run_checks(CHECKS, subject, only=only, path=path)


@check(CHECKS, "constructs")
def constructs(subject: Subject) -> None:
    """Made without arguments, the task is a task, and says how it judges."""
    try:
        subject.plain  # noqa: B018
    except TypeError as error:
        if "missing" in str(error):
            raise Failed(f"needs arguments ({error}): give every field a default") from error
        raise
    if not isinstance(getattr(subject.kind, "criterion", None), Criterion):
        raise Failed(
            "declares no criterion: add `criterion: ClassVar[Criterion] = REGRESSION`, or another "
            "of metaplastic.tasks.criteria"
        )


@check(CHECKS, "fields", needs=("constructs",))
def fields(subject: Subject) -> str | None:
    """Every field is an option: it has a docstring, and a default that JSON can hold."""
    return examine_fields(subject.kind, subject.plain)


@check(CHECKS, "loads", needs=("constructs",))
def loads(subject: Subject) -> None:
    """The task's data, where it needs any, are there."""
    try:
        loaded = subject.task
    except (DataError, UsageError) as error:
        raise Skipped(f"its data are missing: {error}") from error
    if not isinstance(loaded, AbstractTask):
        raise Failed(f"`load` returns {what_is(loaded)}: return the task with its data")


@check(CHECKS, "samples", needs=("loads",))
def samples(subject: Subject) -> None:
    """An episode has the shapes that the task promises, and something is judged."""
    own, task = subject.episode, subject.task
    if not isinstance(own, Episode):
        raise Failed(f"`sample` returns {what_is(own)}: return an Episode")
    stream, query = own.stream, own.query
    if stream.x.ndim < 2 or stream.x.shape[0] == 0:
        raise Failed(f"the stream's x is {what_is(stream.x)}: give it [time, batch, *input]")
    moments = stream.x.shape[:2]
    _require("the stream's x", stream.x, (*moments, *task.input_shape), "input_shape")
    _require("the stream's target", stream.target, (*moments, task.outputs), "outputs")
    if stream.y is not None and stream.y.shape[:2] != moments:
        raise Failed(f"the stream's y is {what_is(stream.y)}: give one for each x {list(moments)}")
    if (stream.target is None) != (stream.weight is None):
        raise Failed("a stream has both target and weight, or neither: weigh what is judged")
    _require("the stream's weight", stream.weight, moments[:1], "time")
    _require("the stream's mask", stream.mask, moments[:1], "time")
    if query is not None:
        asked = query.x.shape[:1]
        _require("the query's x", query.x, (*asked, *task.input_shape), "input_shape")
        _require("the query's y", query.y, (*asked, task.outputs), "outputs")
    if query is None and stream.target is None:
        raise Failed("nothing is judged: give the stream targets, or the episode a query")


def _require(what: str, value: Any, shape: tuple[int, ...], source: str) -> None:
    if value is not None and tuple(value.shape) != shape:
        raise Failed(
            f"{what} is {what_is(value)} where {list(shape)} is promised ({source}): let them agree"
        )


@check(CHECKS, "finite", needs=("samples",))
def finite(subject: Subject) -> None:
    """An episode holds numbers, and weights that are not all zero."""
    require_finite(_known(subject.episode), what="the episode's ")
    weight = subject.episode.stream.weight
    if weight is not None and not float(np.abs(np.asarray(weight, np.float64)).sum()) > 0:
        raise Failed("all weights of the stream are zero, so that no moment counts")


def _known(episode: Episode) -> Episode:
    """The episode with zeros for the targets that its criterion allows to be NaN."""
    if not isinstance(episode.criterion, Criterion) or not episode.criterion.partial:
        return episode

    def targets(own: Episode) -> list[Any]:
        query = None if own.query is None else own.query.y
        return [own.stream.y, own.stream.target, query]

    known = [None if y is None else jnp.where(jnp.isnan(y), 0, y) for y in targets(episode)]
    return eqx.tree_at(targets, episode, known, is_leaf=lambda leaf: leaf is None)


@check(CHECKS, "same-key", needs=("samples",))
def same_key(subject: Subject) -> None:
    """The same key gives the same episode, compiled or not; another key another one."""
    eager = [_known(subject.task.sample(subject.key)) for _ in range(2)]
    own = _known(subject.episode)
    if difference(eager[0], eager[1]) > 0:
        raise Failed(
            "two samples with the same key differ: draw from `key` alone, with jax.random, and "
            "keep nothing in globals or attributes"
        )
    if difference(eager[0], own) > _TOLERANCE:
        raise Failed(
            "compiled, the same key gives another episode: something is drawn in Python, once, "
            "when it is traced; use jax.random"
        )
    if subject.task.distinct == 1:
        return
    others = [
        compute(lambda own, key: own.sample(key), subject.task, jr.fold_in(subject.key, i))
        for i in range(3)
    ]
    if all(difference(_known(other), own) == 0 for other in others):
        raise Failed("every key gives the same episode: draw from `key`")


@check(CHECKS, "vmap", needs=("same-key",))
def vmap(subject: Subject) -> None:
    """Many episodes in one program are those of their keys, in one shape."""
    keys = jr.split(subject.key, 2)
    both = compute(lambda own: jax.vmap(own.sample)(keys), subject.task)
    for index in range(2):
        alone = compute(lambda own, key: own.sample(key), subject.task, keys[index])
        mine = jax.tree.map(lambda leaf, i=index: leaf[i], both)
        if difference(_known(mine), _known(alone)) > _TOLERANCE:
            raise Failed("two episodes in one vmapped program differ from each alone")


@check(CHECKS, "criterion", needs=("samples",))
def criterion(subject: Subject) -> None:
    """Loss and metric are numbers an example."""
    episode = subject.episode
    own = episode.criterion
    if not isinstance(own, Criterion):
        raise Failed(f"the episode's criterion is {what_is(own)}: pass self.criterion")
    target = episode.stream.target[0] if episode.query is None else episode.query.y
    output = jnp.full_like(target, 0.3)
    for name in ("loss", "score"):
        value = getattr(own, name)(output, target)
        if getattr(value, "shape", None) != target.shape[:-1]:
            raise Failed(
                f"the criterion's {name} is {what_is(value)}: return one number an example, "
                f"{list(target.shape[:-1])}"
            )
        require_finite(value, what=f"the criterion's {name}")


@check(CHECKS, "held-out", needs=("vmap",))
def held_out(subject: Subject) -> str | None:
    """The held-out task has episodes of the same form."""
    other = subject.task.held_out()
    if not isinstance(other, AbstractTask):
        raise Failed(f"`held_out` returns {what_is(other)}: return a task")
    if (other.input_shape, other.outputs) != (subject.task.input_shape, subject.task.outputs):
        raise Failed("the held-out task has other inputs or outputs: a learner must fit both")
    same = "itself, since every episode is new" if other is subject.task else None
    own = eqx.filter_eval_shape(other.sample, subject.key)
    # Lifetimes may be longer when they are tested, but hold the same parts.
    if jax.tree.structure(own) != jax.tree.structure(subject.episode):
        require_same_form(
            subject.episode,
            own,
            what="the held-out task's episodes have another form",
            fix="give them the same parts",
        )
    return same
