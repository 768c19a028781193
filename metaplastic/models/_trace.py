"""What a pass leaves behind, which is all that a learning rule may see of it."""

from typing import Any

import equinox as eqx
import jax

from .._types import Outputs
from .normalisation import NormTrace


class LayerTrace(eqx.Module):
    """What one plastic layer did in one pass."""

    pre: jax.Array
    """Presynaptic activity, [batch, *inputs]."""
    drive: jax.Array
    """Pre-activation a (after normalisation, where there is one), [batch, *units]."""
    post: jax.Array
    """Postsynaptic activity, f(a) times the mask, [batch, *units]."""
    mask: jax.Array | None
    """Dropout mask (0 or 1/keep), [batch, *units]; None without dropout."""
    norm: NormTrace | None
    """What the layer's normalisation did; None without one."""


class FixedTrace(eqx.Module):
    """What a fixed node was given in one pass."""

    pre: jax.Array


class Trace(eqx.Module):
    """One pass of a network: its output and what every plastic layer did."""

    record: Any
    """Nested like the network."""
    output: Outputs
    """[batch, classes]."""

    @property
    def layers(self) -> list[LayerTrace]:
        """The traces of the plastic layers, in forward order."""
        return collect(self.record, LayerTrace)


def collect(tree: Any, kind: type) -> list:
    """The parts of a tree that are of this class, in order."""
    leaves = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [leaf for leaf in leaves if isinstance(leaf, kind)]
