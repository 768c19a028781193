"""Small networks and data that several tests use."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from metaplastic.models import lenet, mlp, pepita_conv, plastic_layers, resnet20, weights

CLASSES = 4


def to_float64(tree: Any) -> Any:
    """The tree with its floating-point arrays in float64."""
    return jax.tree.map(
        lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, tree
    )


@eqx.filter_jit
def network(kind: str, *, key: jax.Array, **options: Any) -> Any:
    """A small float64 network: `dense` (three layers) or `conv` (two convolutions with pools, one
    dense layer)."""
    if kind == "dense":
        options = {"hidden": (7, 6), "activation": "tanh", **options}
        return to_float64(mlp((5,), CLASSES, key=key, **options))
    options = {"filters": (3, 2), "kernel": 3, "activation": "tanh", **options}
    return to_float64(pepita_conv((11, 10, 2), CLASSES, key=key, **options))


@eqx.filter_jit
def batch(kind: str, size: int = 6, *, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Inputs and one-hot targets for `network(kind)`, float64."""
    x_key, y_key = jr.split(key)
    shape = (5,) if kind == "dense" else (11, 10, 2)
    x = jr.normal(x_key, (size, *shape), jnp.float64)
    y = jax.nn.one_hot(jr.randint(y_key, (size,), 0, CLASSES), CLASSES, dtype=jnp.float64)
    return x, y


@eqx.filter_jit
def deep_network(kind: str, *, key: jax.Array) -> tuple[Any, jax.Array, jax.Array]:
    """A float64 `lenet` or `resnet20` of three blocks, small, with inputs and targets."""
    model_key, x_key = jr.split(key)
    if kind == "lenet":
        model = lenet((32, 32, 1), CLASSES, filters=(2, 3, 4), activation="tanh", key=model_key)
    else:
        model = resnet20((8, 8, 1), CLASSES, blocks=1, activation="tanh", key=model_key)
    x = jr.normal(x_key, (3, *model.input_shape), jnp.float64)
    return to_float64(model), x, jnp.eye(3, CLASSES, dtype=jnp.float64)


@eqx.filter_jit
def trace(model: Any, x: jax.Array, **options: Any) -> Any:
    """`model.trace`, compiled."""
    return model.trace(x, **options)


@eqx.filter_jit
def update(
    rule: Any, model: Any, state: Any, x: jax.Array, y: jax.Array, *, key: jax.Array
) -> tuple[Any, Any, Any]:
    """`rule.updates`, compiled."""
    return rule.updates(model, state, x, y, key=key)


def forward_weights(model: Any) -> tuple[jax.Array | None, ...]:
    """The forward weights as feedback weights: the limit in which a rule is backpropagation."""
    return (None, *(layer.weight for layer in plastic_layers(model)[1:]))


def gradient(model: Any, loss: Any, x: jax.Array, y: jax.Array, *, key: jax.Array) -> Any:
    """The gradient of the mean loss by automatic differentiation: the oracle."""

    def objective(own: Any) -> jax.Array:
        trace = eqx.combine(own, model).trace(x, key=key)
        return loss.value(trace.output, y)

    return jax.jit(jax.grad(objective))(weights(model))


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Same structure, and every leaf within `tolerance` of the largest entry of `expected`."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    # NumPy, which compiles nothing.
    actual, expected = (jax.tree.map(np.asarray, own) for own in (actual, expected))
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    assert scale > 0, "an oracle that is zero everywhere shows nothing"
    pairs = zip(jax.tree.leaves_with_path(actual), jax.tree.leaves(expected), strict=True)
    for (path, a), b in pairs:
        error = float(np.abs(a - b).max()) / scale
        assert error <= tolerance, f"{jax.tree_util.keystr(path)}: {error:.2e} > {tolerance:.0e}"


def spread(values, keep):
    """Parameters of which `keep`, spread evenly, are tried always, and the others with `--slow`.

    For variants that share their code with those that are kept.
    """
    values = list(values)
    always = {round(i * (len(values) - 1) / max(keep - 1, 1)) for i in range(keep)}
    return [
        pytest.param(
            *(own if isinstance(own, tuple) else (own,)),
            marks=[] if index in always else [pytest.mark.slow],
        )
        for index, own in enumerate(values)
    ]
