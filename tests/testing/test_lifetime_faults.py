"""Learners, tasks and estimators with one fault each are told exactly that."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import spread

from metaplastic import _registry
from metaplastic._errors import DataError, UsageError
from metaplastic.learners.base import AbstractLearner
from metaplastic.learners.online import online
from metaplastic.meta.base import AbstractMetaGradient, MetaAux
from metaplastic.meta.reptile import Reptile
from metaplastic.meta.unrolled import Unrolled
from metaplastic.models import Dense, mlp
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.testing import (
    check_estimator,
    check_learner,
    check_member,
    check_names,
    check_task,
    kind_of,
)


class Running(AbstractLearner):
    """A linear map that a running mean of what it was told is added to."""

    weight: jax.Array
    share: jax.Array

    def birth(self, *, key):
        return jnp.zeros(self.weight.shape[-1], self.weight.dtype)

    def step(self, life, x, y, *, key):
        output = self.predict(life, x)
        told = output if y is None else y
        return life + self.share * (told.mean(0) - life), output

    def predict(self, life, x):
        return x @ self.weight + life


def running(task, *, share: float = 0.3, kind: type = Running, key):
    """A `Running` for a task.

    Args:
        task: What it is to learn.
        share: Of the newest moment in the mean.
        kind: Its class.
        key: Draws the map.
    """
    if len(task.input_shape) > 1:
        raise UsageError("for vectors alone")
    return kind(jr.normal(key, (*task.input_shape, task.outputs)), jnp.asarray(share))


def failures(findings):
    return {own.check: own.sentence for own in findings if own.status == "failed"}


def test_these_learners_conform():
    findings = check_learner(running)
    assert [own.check for own in findings] == list(check_names("learner"))
    assert not failures(findings)


class KeepsAName(Running):
    def birth(self, *, key):
        return (super().birth(key=key), "mine")


class Grows(Running):
    def step(self, life, x, y, *, key):
        life, output = super().step(life, x, y, key=key)
        return life[None], output


class Narrows(Running):
    def step(self, life, x, y, *, key):
        life, output = super().step(life, x, y, key=key)
        return life.astype(jnp.float32), output


class AnswersOne(Running):
    def predict(self, life, x):
        return super().predict(life, x)[:, 0]


class Joins(Running):
    def perceive(self, x):
        return x - x.mean(0)


class Counts(Running):
    calls: ClassVar[list] = []

    def step(self, life, x, y, *, key):
        self.calls.append(1)
        life, output = super().step(life, x, y, key=key)
        return life + len(self.calls), output


class Meddles(Running):
    def birth(self, *, key):
        return {"mean": super().birth(key=key)}

    def step(self, life, x, y, *, key):
        life["mean"] = life["mean"] + 1.0
        return dict(life), self.predict(life, x)

    def predict(self, life, x):
        return super().predict(life["mean"], x)


class Heir(Running):
    def inherit(self, life):
        return eqx.tree_at(lambda own: own.share, self, self.share + 1)


class Walks(Running):
    def constrained(self):
        return eqx.tree_at(lambda own: own.share, self, 0.5 * self.share)


class Another(Running):
    def detached(self):
        return eqx.tree_at(lambda own: own.share, self, 0 * self.share)


class Stuck(Running):
    def predict(self, life, x):
        return jax.lax.stop_gradient(super().predict(life, x))

    def step(self, life, x, y, *, key):
        return jax.lax.stop_gradient(super().step(life, x, y, key=key))


class NotFinite(Running):
    def step(self, life, x, y, *, key):
        life, output = super().step(life, x, y, key=key)
        return life / 0, output


class NeedsY(Running):
    def step(self, life, x, y, *, key):
        return super().step(life, x, 1 * y, key=key)


LEARNERS = {
    KeepsAName: ("birth", "of type str"),
    Grows: ("step", "changes from an array float64[1] to an array float64[1, 1]"),
    Narrows: ("step", "float32[1]"),
    NotFinite: ("step", "is not finite"),
    AnswersOne: ("step", "[batch, outputs], [3, 1]"),
    NeedsY: ("untold", "raises TypeError"),
    Joins: ("perceive", "depends on the others"),
    Meddles: ("unchanged", "in place"),
    Counts: ("same-key", "differ"),
    Another: ("detached", "another life"),
    Heir: ("inherit", "differs from the learner"),
    Walks: ("constrained", "project"),
    Stuck: ("differentiable", "zero for every array"),
}


@pytest.mark.parametrize("kind", spread(LEARNERS, 3), ids=lambda kind: kind.__name__)
def test_fault_of_a_learner(kind):
    check, part = LEARNERS[kind]

    def build(task, *, key):
        return running(task, kind=kind, key=key)

    found = failures(check_learner(build, only=[check]))
    assert list(found) == [check]
    assert part in found[check]


def without_default(task, *, rate, key):
    """Args:
    rate: A number.
    key: A key.
    """
    return running(task, key=key)


def without_text(task, *, rate=1.0, key):
    """Builds."""
    return running(task, key=key)


@pytest.mark.parametrize(
    ("build", "check", "part"),
    [
        (without_text, "options", "'rate' is not in the docstring"),
        (without_default, "options", "'rate' has no default"),
        (lambda task: None, "options", "keyword-only `key`"),
        (lambda task, *, key: 3, "builds", "of type int"),
    ],
    ids=["no text", "no default", "no key", "no learner"],
)
def test_fault_of_a_builder(build, check, part):
    assert part in failures(check_learner(build, only=[check]))[check]


def test_a_learner_needs_its_task():
    learner = running(Sinusoid(), key=jr.key(0))
    with pytest.raises(UsageError, match="pass task="):
        check_learner(learner)
    assert not failures(check_learner(learner, task=Sinusoid(), only=["step", "predict"]))


class Curves(Sinusoid):
    """Sine curves, to be spoilt."""


class Unlike(Curves):
    @property
    def outputs(self):
        return 2


class Wide(Curves):
    @property
    def input_shape(self):
        return (2,)


class Deaf(Curves):
    def sample(self, key):
        return super().sample(jr.key(0))


class Rolls(Curves):
    dice: ClassVar[np.random.Generator] = np.random.default_rng(0)

    def sample(self, key):
        own = super().sample(key)
        return eqx.tree_at(lambda e: e.query.y, own, own.query.y + self.dice.normal())


class Unjudged(Curves):
    def sample(self, key):
        return eqx.tree_at(lambda e: e.query, super().sample(key), None)


class Infinite(Curves):
    def sample(self, key):
        return eqx.tree_at(lambda e: e.stream.x, super().sample(key), jnp.full((1, 10, 1), jnp.inf))


class Other(Curves):
    def held_out(self):
        return Wide()


class Missing(Curves):
    def load(self):
        raise DataError("fetch it first")


TASKS = {
    Unlike: ("samples", "(outputs)"),
    Wide: ("samples", "(input_shape)"),
    Unjudged: ("samples", "nothing is judged"),
    Infinite: ("finite", "not finite"),
    Deaf: ("same-key", "every key gives the same"),
    Rolls: ("same-key", "draw from `key` alone"),
    Other: ("held-out", "a learner must fit both"),
}


@pytest.mark.parametrize("kind", spread(TASKS, 3), ids=lambda kind: kind.__name__)
def test_fault_of_a_task(kind):
    check, part = TASKS[kind]
    found = failures(check_task(kind, only=[check]))
    assert list(found) == [check]
    assert part in found[check]


def test_missing_data_are_no_fault():
    findings = {own.check: own for own in check_task(Missing)}
    assert findings["loads"].status == "skipped" and "fetch it" in findings["loads"].sentence
    assert findings["samples"].status == "skipped"
    assert findings["fields"].status == "passed"


class Spoilt(AbstractMetaGradient):
    """The exact gradient, to be spoilt."""

    demands: ClassVar[str] = ""

    def __call__(self, learner, episodes, *, key, where=None):
        return Unrolled()(learner, episodes, key=key, where=where)


class Uphill(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        gradient, aux = super().__call__(learner, episodes, key=key, where=where)
        return jax.tree.map(jnp.negative, gradient), aux


class Everything(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        return super().__call__(learner, episodes, key=key)


class Leaves(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        gradient, aux = super().__call__(learner, episodes, key=key, where=where)
        return jax.tree.leaves(gradient), aux


class Alone(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        return super().__call__(learner, episodes, key=key, where=where)[0]


class Mean(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        gradient, aux = super().__call__(learner, episodes, key=key, where=where)
        return gradient, MetaAux(aux.loss.mean(), aux.metric)


class Halves(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        gradient, aux = super().__call__(learner, episodes, key=key, where=where)
        return gradient, MetaAux(0.5 * aux.loss, aux.metric)


class Zero(Spoilt):
    def __call__(self, learner, episodes, *, key, where=None):
        gradient, aux = super().__call__(learner, episodes, key=key, where=where)
        return jax.tree.map(jnp.zeros_like, gradient), aux


ESTIMATORS = {
    Alone: ("gradient", "return (gradient, aux)"),
    Leaves: ("gradient", "another form"),
    Zero: ("finite", "zero for every array"),
    Everything: ("where", "another form than the marked"),
    Mean: ("aux", "one number an episode"),
    Halves: ("aux", "the same key must give the same lifetimes"),
    Uphill: ("descends", "turn its sign"),
}


@pytest.mark.parametrize("kind", spread(ESTIMATORS, 3), ids=lambda kind: kind.__name__)
def test_fault_of_an_estimator(kind):
    check, part = ESTIMATORS[kind]
    found = failures(check_estimator(kind, only=[check]))
    assert list(found) == [check]
    assert part in found[check]


# One door


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        (Backprop, "rule"),
        (Backprop(), "rule"),
        (Unrolled, "estimator"),
        (Sinusoid(), "task"),
        (online, "learner"),
        (running, "learner"),
        (mlp, "model"),
    ],
)
def test_what_an_object_is_is_found_out(member, kind):
    assert kind_of(member) == kind


@pytest.mark.parametrize("member", [3, Dense, lambda: None], ids=["number", "layer", "function"])
def test_what_nothing_is(member):
    with pytest.raises(UsageError, match="neither a rule"):
        kind_of(member)


def test_each_kind_goes_through_the_door():
    for member, check in ((Sinusoid, "samples"), (Reptile, "gradient"), (mlp, "output")):
        (finding,) = check_member(member, only=[check])
        assert finding.status == "passed", finding.sentence


@pytest.mark.parametrize("kind", ["tasks", "estimators"])
def test_what_is_of_another_kind_is_told(kind):
    check = {"tasks": check_task, "estimators": check_estimator}[kind]
    with pytest.raises(UsageError, match="derive it from"):
        check(Dense)
    assert _registry.names(kind)
