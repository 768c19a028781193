"""An oracle for rules that teach layers otherwise than by the gradient: automatic differentiation
of a network whose layers are cut apart and joined again by other weights.

Every plastic layer's input is held constant, so that nothing flows back through W; what should
flow instead is added as a term whose value does not matter and whose derivative is the signal.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from metaplastic.models import Conv, Dense, weights

HELD = jax.lax.stop_gradient


def linear(layer: Any, pre: jax.Array, weight: jax.Array) -> jax.Array:
    """The layer's linear map with any weight, by primitives of JAX alone."""
    if isinstance(layer, Dense):
        return pre @ weight
    pads = [(layer.padding, layer.padding)] * 2
    return lax.conv_general_dilated(
        pre,
        weight,
        (layer.stride, layer.stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def rewired_gradient(
    monkeypatch: Any,
    model: Any,
    loss: Any,
    x: jax.Array,
    y: jax.Array,
    *,
    feedback: Sequence[jax.Array | None],
    direct: Callable[[jax.Array], jax.Array] | None = None,
    key: jax.Array,
) -> Any:
    """Updates under feedback weights shaped like W (None: sends nothing).

    With `direct`, weights [..., classes] carry `direct(error)` to the layer's input instead.
    """

    def objective(own: Any) -> jax.Array:
        back, sent = iter(feedback), []

        def cut(layer: Any, pre: jax.Array) -> jax.Array:
            drive, b = linear(layer, HELD(pre), layer.weight), next(back)
            if b is None:
                return drive
            ghost = linear(layer, pre, b)
            sent.append(ghost)
            return drive if direct else drive + ghost - HELD(ghost)

        monkeypatch.setattr(Dense, "linear", cut)
        monkeypatch.setattr(Conv, "linear", cut)
        trace = eqx.combine(own, model).trace(x, key=key)
        value = loss.value(trace.output, y)
        if direct:
            vector = HELD(direct(loss.error(trace.output, y)))
            value += sum(jnp.einsum("b...k,bk->", ghost, vector) for ghost in sent) / x.shape[0]
        return value

    with monkeypatch.context() as monkeypatch:
        return jax.jit(jax.grad(objective))(weights(model))


def cut_gradient(
    monkeypatch: Any,
    model: Any,
    loss: Any,
    x: jax.Array,
    y: jax.Array,
    *,
    signals: Callable[[jax.Array], list[jax.Array]],
    key: jax.Array,
) -> Any:
    """Updates under one signal a hidden layer, at its activity: `signals(error)`."""

    def objective(own: Any) -> jax.Array:
        cut = lambda layer, pre: linear(layer, HELD(pre), layer.weight)  # noqa: E731
        monkeypatch.setattr(Dense, "linear", cut)
        monkeypatch.setattr(Conv, "linear", cut)
        trace = eqx.combine(own, model).trace(x, key=key)
        sent = signals(HELD(loss.error(trace.output, y)))
        hidden = zip(trace.layers[:-1], sent, strict=True)
        taught = sum((layer.post * HELD(signal)).sum() for layer, signal in hidden)
        return loss.value(trace.output, y) + taught / x.shape[0]

    with monkeypatch.context() as monkeypatch:
        return jax.jit(jax.grad(objective))(weights(model))
