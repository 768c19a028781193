"""The kit for networks: a trace that tells the truth, and operations that belong together."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._errors import UsageError
from .._types import Key
from ..losses import LOSSES
from ..models import AbstractLayer, AbstractNetwork, LayerTrace, Trace, plastic_layers, weights
from ..rules.backprop import Backprop
from ._findings import Failed, Finding, Skipped, Table, check, run_checks
from ._subject import difference
from ._training import compiled

CHECKS: Table = {}
_EXAMPLES = 3
_TOLERANCE = 1e-8


class Network:
    """The network under test in float64, and one pass through it."""

    def __init__(self, model: AbstractNetwork, key: Key):
        self.key = key
        if model.input_shape is None:
            raise UsageError(
                "this network does not know the shape of its input: build it with input_shape="
            )
        with jax.enable_x64(True):
            self.model: Any = jax.tree.map(
                lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf,
                model,
            )
            shape = (_EXAMPLES, *model.input_shape)
            self.x = jnp.asarray(np.random.default_rng(0).standard_normal(shape))

    @functools.cached_property
    def trace(self) -> Trace:
        return self.compute(lambda model, x: model.trace(x, key=self.key))

    @functools.cached_property
    def output(self) -> jax.Array:
        return self.compute(lambda model, x: model(x))

    def compute(self, function: Callable[[Any, jax.Array], Any]) -> Any:
        """`function(model, x)`, compiled."""
        arrays, static = eqx.partition(self.model, eqx.is_array)
        return compiled(lambda own, x: function(eqx.combine(own, static), x))(arrays, self.x)

    def of_layers(self, function: Callable[[AbstractLayer, LayerTrace], Any]) -> list[Any]:
        """`function` of each plastic layer with its trace, compiled together."""
        count = len(plastic_layers(self.model))
        if len(self.trace.layers) != count:
            raise Failed(
                f"{count} plastic layers leave {len(self.trace.layers)} traces: record one "
                "LayerTrace for each, in forward order"
            )

        def each(model: Any, x: jax.Array) -> list[Any]:
            traces = model.trace(x, key=self.key).layers
            pairs = zip(plastic_layers(model), traces, strict=True)
            return [function(*pair) for pair in pairs]

        return self.compute(each)


def check_model(
    model: AbstractNetwork, *, only: Iterable[str] | None = None, key: Key | None = None
) -> list[Finding]:
    """One finding a check of a network, as `check_rule` of a rule.

    Raises `UsageError` where the network does not know the shape of its input.
    """
    try:
        path = Path(inspect.getfile(type(model)))
    except (TypeError, OSError):
        path = None
    subject = Network(model, jr.key(0) if key is None else key)
    return run_checks(CHECKS, subject, only=only, path=path)


@check(CHECKS, "output")
def output(network: Network) -> None:
    """The output is [batch, classes] and finite, and the last layer's."""
    result = network.output
    if result.ndim != 2 or result.shape[0] != _EXAMPLES:
        raise Failed(f"the output has shape {result.shape}: return [batch, classes]")
    if not bool(jnp.isfinite(result).all()):
        raise Failed("the output is not finite on normally distributed inputs")


@check(CHECKS, "trace", needs=("output",))
def trace(network: Network) -> None:
    """A trace without dropout and running statistics ends with the network's own output."""
    layers = plastic_layers(network.model)
    if any(own.dropout > 0 or (own.norm and own.norm.running) for own in layers):
        raise Skipped(
            "training differs from evaluation: the network has dropout or running averages"
        )
    if difference(network.trace.output, network.output) > _TOLERANCE:
        raise Failed("the trace's output is not the network's: let both come from `forward`")


@check(CHECKS, "records", needs=("output",))
def records(network: Network) -> None:
    """Every layer's trace holds what the layer did: drive, activity, mask."""

    def again(layer: AbstractLayer, own: LayerTrace) -> tuple[jax.Array, ...]:
        drive = layer.drive(own.pre)
        if layer.norm is not None:
            drive = layer.norm(drive, training=True)[0]
        post = layer.activate(own.drive)
        return drive, post if own.mask is None else post * own.mask, own.drive, own.post

    for index, (drive, post, *own) in enumerate(network.of_layers(again), 1):
        if difference(own[0], drive) > _TOLERANCE:
            raise Failed(f"trace.drive of layer {index} is not the drive of trace.pre")
        if difference(own[1], post) > _TOLERANCE:
            raise Failed(f"trace.post of layer {index} is not the activation of trace.drive")


@check(CHECKS, "masks", needs=("records",))
def masks(network: Network) -> None:
    """A second pass with `masks=` of the first, on the same input, is the first."""
    if all(own.mask is None for own in network.trace.layers):
        raise Skipped("the network has no dropout")
    second = network.compute(
        lambda model, x: (
            model.trace(
                x, masks=model.trace(x, key=network.key), key=jr.fold_in(network.key, 1)
            ).output
        )
    )
    if difference(second, network.trace.output) > _TOLERANCE:
        raise Failed("masks= of an earlier trace are not used again: hand each node its own part")


@check(CHECKS, "slope", needs=("records",))
def slope(network: Network) -> None:
    """`slope` is the derivative of `activate`."""

    def both(layer: AbstractLayer, own: LayerTrace) -> tuple[jax.Array, jax.Array]:
        exact = jax.jvp(layer.activate, (own.drive,), (jnp.ones_like(own.drive),))[1]
        return layer.slope(own.drive), exact

    for index, (slope, exact) in enumerate(network.of_layers(both), 1):
        if difference(slope, exact) > _TOLERANCE:
            raise Failed(f"`slope` of layer {index} is not the derivative of its `activate`")


@check(CHECKS, "transposes", needs=("records",))
def transposes(network: Network) -> None:
    """`hebb` and `send_back` are the derivatives of `linear`, for any weight."""

    def both(layer: AbstractLayer, own: LayerTrace) -> Any:
        random = np.random.default_rng(0)
        other = jnp.asarray(random.standard_normal(layer.weight.shape))

        def linear(weight: jax.Array, pre: jax.Array) -> jax.Array:
            return eqx.tree_at(lambda node: node.weight, layer, weight).linear(pre)

        answer, back = jax.vjp(linear, other, own.pre)
        signal = jnp.asarray(random.standard_normal(answer.shape))
        sent = layer.send_back(signal, other, own.pre.shape[1:])
        return (layer.hebb(own.pre, signal), sent), back(signal)

    for index, ((hebb, sent), (to_weight, to_pre)) in enumerate(network.of_layers(both), 1):
        if difference(hebb, to_weight) > _TOLERANCE:
            raise Failed(f"`hebb` of layer {index} is not the weight gradient of its `linear`")
        if difference(sent, to_pre) > _TOLERANCE:
            raise Failed(
                f"`send_back` of layer {index} is not the transpose of its `linear` with the "
                "weight that it is given"
            )


@check(CHECKS, "sweep", needs=("slope", "transposes"))
def sweep(network: Network) -> None:
    """A sweep through the forward weights is the gradient of the loss."""
    classes = network.output.shape[-1]
    y = jnp.eye(classes, dtype=network.x.dtype)[jnp.arange(_EXAMPLES) % classes]
    loss = LOSSES["cross_entropy"]

    def both(model: Any, x: jax.Array) -> Any:
        def objective(own: Any) -> jax.Array:
            return loss.value(eqx.combine(own, model).trace(x, key=network.key).output, y)

        swept = Backprop().updates(model, (), x, y, key=network.key)[0]
        return swept, jax.grad(objective)(weights(model))

    swept, exact = network.compute(both)
    if jax.tree.structure(swept) != jax.tree.structure(exact):
        raise Failed("`sweep` returns updates of another structure than weights(model)")
    if difference(swept, exact) > _TOLERANCE:
        raise Failed("`sweep` is not the gradient: mend the node whose `sweep` or `back` is amiss")
