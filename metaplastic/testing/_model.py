"""The kit for networks: a trace that tells the truth, and operations that belong together."""

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..losses import LOSSES
from ..models import AbstractLayer, AbstractNetwork, LayerTrace, Trace, plastic_layers, weights
from ..rules.backprop import Backprop
from ._findings import Failed, Finding, Skipped, Table, check, run_checks
from ._subject import difference

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
            self.x = jr.normal(key, (_EXAMPLES, *model.input_shape), jnp.float64)

    def trace(self) -> Trace:
        return self.model.trace(self.x, key=self.key)

    def layers(self) -> list[tuple[int, AbstractLayer, LayerTrace]]:
        """Plastic layers with their numbers and traces."""
        own, traces = plastic_layers(self.model), self.trace().layers
        if len(own) != len(traces):
            raise Failed(
                f"{len(own)} plastic layers leave {len(traces)} traces: record one LayerTrace for "
                "each, in forward order"
            )
        return [(i, *pair) for i, pair in enumerate(zip(own, traces, strict=True), 1)]


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
    result = network.model(network.x)
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
    if difference(network.trace().output, network.model(network.x)) > _TOLERANCE:
        raise Failed("the trace's output is not the network's: let both come from `forward`")


@check(CHECKS, "records", needs=("output",))
def records(network: Network) -> None:
    """Every layer's trace holds what the layer did: drive, activity, mask."""
    for index, layer, own in network.layers():
        drive = layer.drive(own.pre)
        if layer.norm is not None:
            drive = layer.norm(drive, training=True)[0]
        post = layer.activate(own.drive)
        if own.mask is not None:
            post = post * own.mask
        if difference(own.drive, drive) > _TOLERANCE:
            raise Failed(f"trace.drive of layer {index} is not the drive of trace.pre")
        if difference(own.post, post) > _TOLERANCE:
            raise Failed(f"trace.post of layer {index} is not the activation of trace.drive")


@check(CHECKS, "masks", needs=("records",))
def masks(network: Network) -> None:
    """A second pass with `masks=` of the first, on the same input, is the first."""
    first = network.trace()
    second = network.model.trace(network.x, masks=first, key=jr.fold_in(network.key, 1))
    if difference(second.output, first.output) > _TOLERANCE:
        raise Failed("masks= of an earlier trace are not used again: hand each node its own part")


@check(CHECKS, "slope", needs=("records",))
def slope(network: Network) -> None:
    """`slope` is the derivative of `activate`."""
    for index, layer, own in network.layers():
        exact = jax.jvp(layer.activate, (own.drive,), (jnp.ones_like(own.drive),))[1]
        if difference(layer.slope(own.drive), exact) > _TOLERANCE:
            raise Failed(f"`slope` of layer {index} is not the derivative of its `activate`")


@check(CHECKS, "transposes", needs=("records",))
def transposes(network: Network) -> None:
    """`hebb` and `send_back` are the derivatives of `linear`, for any weight."""
    for index, layer, own in network.layers():
        other = jr.normal(network.key, layer.weight.shape, layer.weight.dtype)

        def linear(weight: jax.Array, pre: jax.Array, layer: AbstractLayer = layer) -> jax.Array:
            return eqx.tree_at(lambda node: node.weight, layer, weight).linear(pre)

        answer, back = jax.vjp(linear, other, own.pre)
        signal = jr.normal(jr.fold_in(network.key, index), answer.shape, answer.dtype)
        to_weight, to_pre = back(signal)
        if difference(layer.hebb(own.pre, signal), to_weight) > _TOLERANCE:
            raise Failed(f"`hebb` of layer {index} is not the weight gradient of its `linear`")
        if difference(layer.send_back(signal, other, own.pre.shape[1:]), to_pre) > _TOLERANCE:
            raise Failed(
                f"`send_back` of layer {index} is not the transpose of its `linear` with the "
                "weight that it is given"
            )


@check(CHECKS, "sweep", needs=("slope", "transposes"))
def sweep(network: Network) -> None:
    """A sweep through the forward weights is the gradient of the loss."""
    classes = network.trace().output.shape[-1]
    y = jnp.eye(classes, dtype=network.x.dtype)[jnp.arange(_EXAMPLES) % classes]
    loss = LOSSES["cross_entropy"]

    def objective(own: Any) -> jax.Array:
        model = eqx.combine(own, network.model)
        return loss.value(model.trace(network.x, key=network.key).output, y)

    exact = jax.grad(objective)(weights(network.model))
    swept = Backprop().updates(network.model, (), network.x, y, key=network.key)[0]
    if jax.tree.structure(swept) != jax.tree.structure(exact):
        raise Failed("`sweep` returns updates of another structure than weights(model)")
    if difference(swept, exact) > _TOLERANCE:
        raise Failed(
            "`sweep` is not the gradient: a node's `sweep` or `back` does not undo its map"
        )
