"""The rule under test, and the steps that several checks look at."""

import functools
import inspect
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..models import AbstractNetwork, weights
from ..rules.base import AbstractRule
from ._cases import BATCH, CLASSES, DENSE, IMAGES, Case, examples, network
from ._training import EXAMPLES, losses


class Problem(NamedTuple):
    """Arguments of one step."""

    model: AbstractNetwork
    state: Any
    x: jax.Array
    y: jax.Array
    key: Key


class Step(NamedTuple):
    """What one step returned."""

    updates: Any
    state: Any
    aux: Any


class Shapes(NamedTuple):
    """A problem, its network's weights and a step, as shapes."""

    problem: Problem
    weights: Any
    step: Step


class Subject:
    """A rule, the networks that it supports, and the plainest steps on them.

    Steps are computed when first asked for, and in float64.
    """

    def __init__(self, rule_or_class: Any, key: Key):
        self.given = rule_or_class
        self.kind: Any = rule_or_class if isinstance(rule_or_class, type) else type(rule_or_class)
        self.key = key
        self._shapes: dict[tuple[Case, Any], Shapes] = {}

    @functools.cached_property
    def rule(self) -> AbstractRule:
        """The rule, made with its defaults where a class was given."""
        return self.given() if isinstance(self.given, type) else self.given

    @functools.cached_property
    def path(self) -> Path | None:
        """The file of the rule's class; None where it has none (an interactive session)."""
        try:
            return Path(inspect.getfile(self.kind))
        except (TypeError, OSError):
            return None

    # Problems

    def problem(
        self,
        case: Case,
        *,
        dtype: Any = jnp.float64,
        dropout: float = 0.0,
        size: int = BATCH,
        seed: int = 0,
    ) -> Problem:
        """A network of this kind with the rule's state and a batch."""
        model, x, y = self._given(case, dtype, dropout=dropout, size=size, seed=seed)
        init_key, key = jr.split(jr.fold_in(self.key, seed))
        return Problem(model, self.rule.init(model, key=init_key), x, y, key)

    def _given(
        self, case: Case, dtype: Any, *, dropout: float = 0.0, size: int = BATCH, seed: int = 0
    ) -> tuple[AbstractNetwork, jax.Array, jax.Array]:
        shape = self.rule.input_shape(case.shape, CLASSES)
        model = network(case, shape, dtype, dropout=dropout, seed=seed)
        return model, *examples(case, size, dtype, seed=seed)

    def step(self, problem: Problem, **signals: Any) -> Step:
        """One call of `updates`."""
        return Step(*self.call(problem, **signals))

    def call(self, problem: Problem, **signals: Any) -> Any:
        """What `updates` returns, whatever it is."""
        model, state, x, y, key = problem
        signals = {"learning_rate": jnp.asarray(0.1), **signals}
        return self.rule.updates(model, state, x, y, key=key, **signals)

    def shapes(self, case: Case, dtype: Any = jnp.float64) -> Shapes:
        """The shapes of a step: traced as for a compiler, but nothing is computed."""
        if (case, dtype) not in self._shapes:

            def one(model: Any, x: jax.Array, y: jax.Array, key: Key) -> Shapes:
                problem = Problem(model, self.rule.init(model, key=key), x, y, key)
                return Shapes(problem, weights(model), self.step(problem))

            given = self._given(case, dtype)
            self._shapes[case, dtype] = eqx.filter_eval_shape(one, *given, self.key)
        return self._shapes[case, dtype]

    # What several checks share

    @functools.cached_property
    def dense(self) -> Case:
        """The dense network that the rule supports.

        Raises the rule's `UsageError` where it refuses all of them.
        """
        for case in DENSE[:-1]:
            try:
                self.call(self.problem(case))
                return case
            except UsageError:
                continue
        return DENSE[-1]

    @functools.cached_property
    def cases(self) -> tuple[list[Case], dict[str, str]]:
        """The networks that the rule supports, and why it refuses the others."""
        supported, refused = [self.dense], {}
        for case in IMAGES:
            try:
                self.shapes(case)
                supported.append(case)
            except UsageError as error:
                refused[case.name] = str(error)
        return supported, refused

    @functools.cached_property
    def plain(self) -> Problem:
        """The dense network without dropout."""
        return self.problem(self.dense)

    @functools.cached_property
    def first(self) -> Step:
        """A step on `plain`, not compiled."""
        return self.step(self.plain)

    @functools.cached_property
    def losses(self) -> jax.Array:
        """[2, rates, steps] of training on clusters; the second with the updates' sign turned."""
        return losses(self.rule, self.problem(self.dense, size=EXAMPLES))

    @functools.cached_property
    def draws(self) -> bool:
        """Does the rule draw random numbers of its own, so that its updates vary with the key?"""
        other = self.plain._replace(key=jr.fold_in(self.plain.key, 1))
        return difference(self.step(other).updates, self.first.updates) > 1e-9


def difference(a: Any, b: Any) -> float:
    """Largest difference of two trees' leaves, relative to the largest entry of that leaf of `b`
    (or to 1e-6 of the largest of all, where that leaf is nearly zero)."""
    pairs = list(zip(_leaves(a), _leaves(b), strict=True))
    largest = max((_size(leaf) for _, leaf in pairs), default=0.0)
    floor = 1e-6 * largest or 1e-300
    return max((_size(p - q) / max(_size(q), floor) for p, q in pairs), default=0.0)


def _leaves(tree: Any) -> list[np.ndarray]:
    """In NumPy, which compiles nothing; keys of random numbers are told apart by their words."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if eqx.is_array_like(leaf)]
    words = [jr.key_data(leaf) if _is_key(leaf) else leaf for leaf in leaves]
    return [np.asarray(leaf).astype(np.float64) for leaf in words]


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _size(leaf: Any) -> float:
    largest = float(np.max(np.abs(leaf), initial=0.0))
    return largest if largest == largest else float("inf")
