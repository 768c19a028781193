"""The forward-mode gradient of a Hebbian network, moment by moment, as its paper writes it."""

from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Key
from ..learners._traces import Plasticity
from ..learners.base import AbstractLearner
from ..learners.hebbian import HebbianLearner
from ..learners.lifetime import Lived, judge, moments
from ..tasks.base import Episode
from .base import AbstractMetaGradient, Gradient, MetaAux, learned


class HebbianRecursion(AbstractMetaGradient):
    """Derivatives carried forward with the trace: memory does not grow with the lifetime.

        dy_j/dalpha_kj = f_j (x_k H_kj + sum_l x_l alpha_lj A_lkj)
        dy_j/dw_kj     = f_j (x_k      + sum_l x_l alpha_lj W_lkj)
        A' = (1 - eta) A + eta x dy/dalpha      W' = (1 - eta) W + eta x dy/dw

    with f = 1 - y^2, and A_lkj = dH_lj/dalpha_kj, W_lkj = dH_lj/dw_kj [inputs, inputs, units]: a
    unit's traces depend on that unit's parameters alone. A bias is the weight of one more input,
    which is always 1. For a `hebbian` learner of one plastic layer with the exponential trace at a
    fixed rate; there it is the gradient that `unrolled` computes backwards.

    Miconi (2016), "Learning to learn with backpropagation of Hebbian plasticity"; the paper
    writes the derivatives of the trace as sums over all earlier moments, which these carry along.
    """

    demands: ClassVar[str] = "hebbian"

    slope: Literal["exact", "reference"] = eqx.field(static=True, default="exact")
    """f = 1 - y^2, or 1 - tanh(y)^2 as in the released code, where units never saturate."""
    bias: Literal["exact", "direct"] = eqx.field(static=True, default="exact")
    """Gradient of b_y: whole, or without its effect through the trace as in the released code."""

    def __call__(
        self, learner: AbstractLearner, episodes: Episode, *, key: Key, where: Any = None
    ) -> tuple[Gradient, MetaAux]:
        """Raises `UsageError` for another learner, and for lifetimes that end in questions."""
        del key
        own, plasticity = _check(learner, episodes)

        def lifetime(episode: Episode) -> tuple[_Sums, MetaAux]:
            sums, outputs = self._lifetime(own, plasticity, episode)
            verdict = judge(episode, Lived(None, outputs, None))
            return sums, MetaAux(verdict.loss, verdict.metric)

        sums, aux = jax.vmap(lifetime)(episodes)
        sums = jax.tree.map(lambda leaf: leaf.mean(0), sums)
        gradient = eqx.tree_at(
            lambda own: (
                own.layers[0].weight,
                own.layers[0].bias,
                own.layers[0].plasticity.alpha,
                own.readout,
            ),
            own,
            (sums.weight, sums.bias, _shared(sums.alpha, plasticity.alpha), sums.readout),
        )
        return learned(gradient, where)[0], aux

    def _lifetime(
        self, learner: HebbianLearner, plasticity: Plasticity, episode: Episode
    ) -> tuple["_Sums", jax.Array]:
        """Gradient of the loss of one lifetime, and its outputs."""
        layer, stream, eta = learner.layers[0], episode.stream, plasticity.eta
        alpha = jnp.broadcast_to(plasticity.alpha, layer.weight.shape)

        def moment(carry: Any, now: Any) -> tuple[Any, jax.Array]:
            known, total = carry
            here, target, weight = now
            pre = learner.input(here.x, here.y)
            post = jnp.tanh(pre @ (layer.weight + alpha * known.trace) + layer.bias)
            slopes = self._slopes(known, alpha, pre, post)

            def loss(readout: Any, post: jax.Array) -> tuple[jax.Array, jax.Array]:
                output = readout(post)
                return weight * episode.criterion.loss(output, target).mean(), output

            (by_readout, error), output = jax.grad(loss, (0, 1), has_aux=True)(
                learner.readout, post
            )
            sums = self._sums(by_readout, error, post, slopes)
            after = _follow(known, eta, pre, post, slopes)
            if here.happens is not None:
                after = jax.tree.map(partial(jnp.where, here.happens), after, known)
            return (after, jax.tree.map(jnp.add, total, sums)), output

        start = (_start(layer.weight), jax.tree.map(jnp.zeros_like, _sums_like(learner)))
        lived = (moments(learner, stream), stream.target, stream.weight)
        (_, total), outputs = jax.lax.scan(moment, start, lived)
        return total, outputs

    def _slopes(
        self, known: "_Known", alpha: jax.Array, pre: jax.Array, post: jax.Array
    ) -> "_Slopes":
        """Derivatives of the activity at this moment, [batch, inputs (and bias), units]."""
        f = 1 - jnp.square(post if self.slope == "exact" else jnp.tanh(post))
        one = jnp.concatenate([pre, jnp.ones_like(pre[:, :1])], axis=1)

        def through(by: jax.Array) -> jax.Array:
            return jnp.einsum("bl,lj,lkj->bkj", pre, alpha, by)

        return _Slopes(
            f[:, None] * (pre[:, :, None] * known.trace + through(known.by_alpha)),
            f[:, None] * (one[:, :, None] + through(known.by_weight)),
        )

    def _sums(self, readout: Any, error: jax.Array, post: jax.Array, slopes: "_Slopes") -> "_Sums":
        """What this moment adds to the gradient; `error` = dL/dy [batch, units]."""
        alpha = jnp.einsum("bj,bkj->kj", error, slopes.alpha)
        weight = jnp.einsum("bj,bkj->kj", error, slopes.weight)
        bias = weight[-1]
        if self.bias == "direct":
            bias = (error * (1 - jnp.square(post))).sum(0)
        return _Sums(weight[:-1], bias, alpha, readout)


class _Known(NamedTuple):
    """What is carried from moment to moment."""

    trace: jax.Array
    """H, [inputs, units]."""
    by_alpha: jax.Array
    """dH_lj / dalpha_kj, [l, k, j]."""
    by_weight: jax.Array
    """dH_lj / dw_kj, [l, k, j]; the last k is the bias."""


class _Slopes(NamedTuple):
    """dy_j / dalpha_kj and dy_j / dw_kj, [batch, k, j]."""

    alpha: jax.Array
    weight: jax.Array


class _Sums(NamedTuple):
    """A gradient: of w, b_y, alpha (per synapse), and of the read-out."""

    weight: jax.Array
    bias: jax.Array
    alpha: jax.Array
    readout: Any


def _start(weight: jax.Array) -> _Known:
    inputs, units = weight.shape

    def zero(*shape: int) -> jax.Array:
        return jnp.zeros(shape, weight.dtype)

    return _Known(zero(inputs, units), zero(inputs, inputs, units), zero(inputs, inputs + 1, units))


def _sums_like(learner: HebbianLearner) -> _Sums:
    layer = learner.layers[0]
    return _Sums(layer.weight, layer.bias, layer.weight, learner.readout)


def _follow(known: _Known, eta: Any, pre: jax.Array, post: jax.Array, slopes: _Slopes) -> _Known:
    """The trace and its derivatives after this moment."""
    rate = eta / pre.shape[0]

    def follow(by: jax.Array, now: jax.Array) -> jax.Array:
        return (1 - eta) * by + rate * jnp.einsum("bl,bkj->lkj", pre, now)

    return _Known(
        (1 - eta) * known.trace + rate * (pre.T @ post),
        follow(known.by_alpha, slopes.alpha),
        follow(known.by_weight, slopes.weight),
    )


def _shared(gradient: jax.Array, alpha: jax.Array) -> jax.Array:
    """Gradient of coefficients that synapses share: the sum over those."""
    return gradient.sum(tuple(range(gradient.ndim - alpha.ndim)))


def _check(learner: AbstractLearner, episodes: Episode) -> tuple[HebbianLearner, Plasticity]:
    """Raise `UsageError` unless the recursion holds here."""
    if not isinstance(learner, HebbianLearner):
        raise UsageError(
            f"the estimator hebbian_recursion needs the learner hebbian, not "
            f"{type(learner).__name__}: take unrolled"
        )
    plasticity = learner.layers[0].plasticity
    if plasticity is None:
        raise UsageError("--learner.no-plastic leaves no trace to follow: take unrolled")
    reasons = {
        f"{len(learner.layers)} plastic layers": len(learner.layers) > 1,
        f"--learner.trace {plasticity.kind}": plasticity.kind != "exponential",
        f"--learner.modulation {plasticity.modulation}": plasticity.modulation != "none",
        "--learner.learn-eta": eqx.is_array(plasticity.eta),
    }
    for reason, true in reasons.items():
        if true:
            raise UsageError(
                f"the estimator hebbian_recursion needs one plastic layer with an exponential "
                f"trace at a fixed rate, not {reason}: take unrolled"
            )
    if episodes.query is not None or episodes.stream.target is None:
        raise UsageError(
            "the estimator hebbian_recursion needs lifetimes judged at their moments, not by "
            "questions at their end: take unrolled"
        )
    return learner, plasticity
