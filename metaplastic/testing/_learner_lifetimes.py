"""Checks of whole lifetimes, and of what outlasts them."""

from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._errors import UsageError
from ..learners.lifetime import live
from ..meta.unrolled import Unrolled
from ..tasks.base import Episode
from ._episodes import first
from ._findings import Failed, Table, check
from ._learner_subject import TOLERANCE, Subject
from ._subject import difference
from ._trees import compute, require_finite, require_same_form

CHECKS: Table = {}


@check(CHECKS, "vmap", needs=("same-key",))
def vmap(subject: Subject) -> None:
    """Many lifetimes in one program give what each gives alone."""

    def one(learner: Any, episode: Episode) -> Any:
        return live(learner, episode, key=subject.key)

    both = compute(jax.vmap(one, in_axes=(None, 0)), *_mapped(subject))
    for index in range(2):
        own = jax.tree.map(lambda leaf, i=index: leaf[i], subject.episodes)
        alone = compute(one, subject.learner, own)
        if difference(jax.tree.map(lambda leaf, i=index: leaf[i], both), alone) > TOLERANCE:
            raise Failed(
                "two lifetimes in one vmapped program give other losses than each alone: treat "
                "the first axis as the batch, and reduce over no axis that is not there"
            )


def _mapped(subject: Subject) -> tuple[Any, Any]:
    return subject.learner, subject.episodes


@check(CHECKS, "detached", needs=("vmap",))
def detached(subject: Subject) -> None:
    """At first order a lifetime has the same values."""
    episode = first(subject.episodes)

    def loss(own: Any, episode: Episode) -> Any:
        return live(own, episode, key=subject.key).loss

    plain = compute(loss, subject.learner, episode)
    other = compute(lambda own, episode: loss(own.detached(), episode), subject.learner, episode)
    if difference(other, plain) > TOLERANCE:
        raise Failed("`detached()` lives another life: it may change derivatives alone")


@check(CHECKS, "inherit", needs=("birth",))
def inherit(subject: Subject) -> str | None:
    """What inherits a newborn life is the learner itself; or nothing can be inherited."""
    learner = subject.learner
    try:
        heir = learner.inherit(subject.moment[0])
    except UsageError:
        return "nothing is handed on, as a `UsageError` says"
    require_same_form(
        eqx.filter(learner, eqx.is_array),
        eqx.filter(heir, eqx.is_array),
        what="`inherit` changes the form of the learner",
        fix="replace values alone",
    )
    if difference(heir, learner) > TOLERANCE:
        raise Failed(
            "what inherits a newborn life differs from the learner: hand on what a lifetime "
            "changed, and nothing else"
        )
    return None


@check(CHECKS, "constrained", needs=("builds",))
def constrained(subject: Subject) -> None:
    """`constrained` keeps the form of the learner, and done twice does no more than once."""
    once = subject.learner.constrained()
    require_same_form(
        eqx.filter(subject.learner, eqx.is_array),
        eqx.filter(once, eqx.is_array),
        what="`constrained` changes the form of the learner",
        fix="replace values alone",
    )
    if difference(once.constrained(), once) > TOLERANCE:
        raise Failed("`constrained` moves a learner that is already where it may be: project")


@check(CHECKS, "differentiable", needs=("vmap",))
def differentiable(subject: Subject) -> str:
    """The loss of a lifetime has a finite gradient that is not zero everywhere."""
    gradient = compute(
        lambda own, episodes: Unrolled()(own, episodes, key=subject.key)[0],
        subject.learner,
        subject.episodes,
    )
    require_finite(gradient, what="the gradient of ")
    leaves = jax.tree.leaves(gradient)
    reached = sum(bool(np.any(np.asarray(leaf) != 0)) for leaf in leaves)
    if not reached:
        raise Failed("the gradient of a lifetime's loss is zero for every array: nothing learns")
    return f"the gradient reaches {reached} of {len(leaves)} arrays"
