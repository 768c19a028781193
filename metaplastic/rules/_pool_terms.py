"""Local terms that an update is a sum of.

A term is a function of what the synapses of one layer see. It returns what it adds to the weights:
a pair `(post, pre)` of factors, [batch, *units] and [batch, *inputs], whose product it is
(`Outer` also multiplies by an array of the weights' shape), or the array itself. A layer is the
linear map that it is: sums go over all its units, and synapses that share a weight add up.

Shervani-Tabar & Rosenbaum (2023), "Meta-learning biologically plausible plasticity rules with
random feedback pathways", Nature Communications 14, 1805, Eqs. 14-23; Najarro & Risi (2020),
"Meta-learning through Hebbian plasticity in random networks", NeurIPS 33, Eq. 1.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax

from .._errors import UsageError
from ._pool_synapses import Synapses, total


class Outer(NamedTuple):
    """`(sum_batch post pre^T) * by`."""

    post: jax.Array
    pre: jax.Array
    by: jax.Array | None = None
    """Shaped like the weights; None: 1."""


Change = Outer | tuple[jax.Array, jax.Array] | jax.Array


class Term(NamedTuple):
    """One term of a pool."""

    name: str
    formula: str
    """What it adds to the weights of one example, with column vectors x (pre), y (post), e and d
    (errors at y and at x) and W [units, inputs]."""
    function: Callable[[Synapses], Change]

    def __call__(self, synapses: Synapses) -> Change:
        """What it adds, summed over the batch. Raises `UsageError` for anything else."""
        change = self.function(synapses)
        if isinstance(change, tuple):
            if len(change) not in (2, 3):
                raise UsageError(
                    f"the term {self.name} returns {len(change)} factors: return (post, pre), or "
                    "Outer(post, pre, by)"
                )
            change = change if isinstance(change, Outer) else Outer(*change)
            wanted = {"post": synapses.y.shape, "pre": synapses.x.shape}
            for name, shape in wanted.items():
                self._check(f"the factor {name}", getattr(change, name), shape)
            if change.by is not None:
                self._check("the factor by", change.by, synapses.w.shape)
            return change
        self._check("an array", change, synapses.w.shape)
        return change

    def _check(self, what: str, value: jax.Array, shape: tuple[int, ...]) -> None:
        if getattr(value, "shape", None) != shape:
            raise UsageError(
                f"the term {self.name} returns {what} of shape {getattr(value, 'shape', None)} "
                f"where {shape} is needed: return (post, pre), shaped like s.y and s.x, or an "
                "array shaped like s.w"
            )


TERMS: dict[str, Term] = {}
"""The terms of this package by name."""


def term(formula: str) -> Callable[[Callable[[Synapses], Change]], Term]:
    """A decorator: the function becomes the term of its name, printed as `formula`.

    >>> @term("-(e - mean e) x^T")
    ... def centred(s):
    ...     return -(s.e - s.e.mean(-1, keepdims=True)), s.x
    >>> centred.name
    'centred'
    """

    def make(function: Callable[[Synapses], Change]) -> Term:
        return Term(function.__name__, formula, function)

    return make


def _own(formula: str) -> Callable[[Callable[[Synapses], Change]], Term]:
    """`term`, of this package."""

    def make(function: Callable[[Synapses], Change]) -> Term:
        own = term(formula)(function)
        TERMS[own.name] = own
        return own

    return make


# The ten of Shervani-Tabar & Rosenbaum


@_own("-e x^T")
def pseudo_gradient(s: Synapses) -> Change:
    return -s.e, s.x


@_own("-y d^T")
def mirrored_gradient(s: Synapses) -> Change:
    return -s.y, s.d


@_own("-e d^T")
def ehebb(s: Synapses) -> Change:
    return -s.e, s.d


@_own("-W")
def decay(s: Synapses) -> Change:
    return -s.x.shape[0] * s.w


@_own("-1 d^T")
def pre_error(s: Synapses) -> Change:
    return -s.power("y", 0), s.d


@_own("-e (1^T y) x^T")
def gradient_by_activity(s: Synapses) -> Change:
    return -s.e * total(s.y), s.x


@_own("-y (y^T W d) d^T")
def mirrored_by_agreement(s: Synapses) -> Change:
    return -s.y * s.agreement, s.d


@_own("-e (y^T W d) x^T")
def gradient_by_agreement(s: Synapses) -> Change:
    return -s.e * s.agreement, s.x


@_own("-y (x^T W^T e) d^T")
def mirrored_by_drive(s: Synapses) -> Change:
    return -s.y * s.drive_error, s.d


@_own("(y x^T - y y^T W)")
def oja(s: Synapses) -> Change:
    return s.y, s.x - s.reconstruction


PUBLISHED = tuple(TERMS)

# A, B, C and D of Najarro & Risi


@_own("y x^T")
def hebb(s: Synapses) -> Change:
    return s.y, s.x


@_own("1 x^T")
def pre(s: Synapses) -> Change:
    return s.power("y", 0), s.x


@_own("y 1^T")
def post(s: Synapses) -> Change:
    return s.y, s.power("x", 0)


@_own("1 1^T")
def constant(s: Synapses) -> Change:
    return s.power("y", 0), s.power("x", 0)


# A Taylor basis in pre, post and weight


def _taylor(i: int, j: int, k: int) -> Term:
    def function(s: Synapses) -> Change:
        weight = s.power("w", k) if k else None
        return Outer(s.power("y", j), s.power("x", i), weight)

    by = f" * {_power('W', k)}" if k else ""
    return Term(f"x{i}_y{j}_w{k}", f"{_power('y', j)} {_power('x', i)}^T{by}", function)


def _power(name: str, exponent: int) -> str:
    return {0: "1", 1: name}.get(exponent, f"({name}^{exponent})")


TAYLOR = tuple(f"x{i}_y{j}_w{k}" for i, j, k in itertools.product(range(3), repeat=3))
TERMS |= {f"x{i}_y{j}_w{k}": _taylor(i, j, k) for i, j, k in itertools.product(range(3), repeat=3)}

SETS = {
    "published": PUBLISHED,
    "abcd": ("hebb", "pre", "post", "constant"),
    "taylor": TAYLOR,
}
"""Names that stand for several terms."""
