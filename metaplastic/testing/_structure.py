"""Checks of what `updates` returns: the shape of everything, on every kind of network."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import UsageError
from ..models import plastic_layers
from ..models.normalisation import NormTrace
from ..rules.base import Aux
from ._cases import BATCH, CLASSES, IMAGES
from ._findings import Failed, Table, check
from ._subject import Subject

CHECKS: Table = {}


@check(CHECKS, "runs", needs=("constructs",))
def runs(subject: Subject) -> None:
    """A step on a dense network gives finite updates."""
    result: Any = subject.call(subject.plain)
    if not isinstance(result, tuple) or len(result) != 3:
        raise Failed(f"`updates` returns {_what(result)}: return (updates, state, aux)")
    for path, leaf in jax.tree.leaves_with_path(eqx.filter(subject.first.updates, eqx.is_array)):
        if not np.isfinite(leaf).all():
            raise Failed(f"the update of {_name(path)} is not finite on unremarkable data")


@check(CHECKS, "networks", needs=("runs",))
def networks(subject: Subject) -> str:
    """Every kind of network is compiled, or refused with a `UsageError`."""
    for case in (subject.dense, *IMAGES):
        try:
            subject.shapes(case)
        except UsageError:
            if case is subject.dense:
                raise
        except jax.errors.JAXTypeError:
            raise
        except Exception as error:
            if case is subject.dense:
                raise
            raise Failed(
                f"on a {case.name} network it raises {type(error).__name__} "
                f"({' '.join(str(error).split())[:160]}): use the layers' own operations (learn, "
                "hebb, send_back), or raise UsageError saying which networks it is for"
            ) from error
    supported, refused = subject.cases
    told = "".join(f"; declared unsupported: {name} ({why})" for name, why in refused.items())
    return f"works on networks that are {' and '.join(c.name for c in supported)}{told}"


@check(CHECKS, "structure", needs=("networks",))
def structure(subject: Subject) -> None:
    """The updates have the structure and the shapes of the network's weights."""
    for case in subject.cases[0]:
        shapes = subject.shapes(case)
        _compare_updates(shapes.step.updates, shapes.weights)


@check(CHECKS, "state", needs=("networks",))
def state(subject: Subject) -> None:
    """The state is made of arrays, and keeps its structure, shapes and dtypes."""
    for case in subject.cases[0]:
        problem, _, step = subject.shapes(case)
        for path, leaf in jax.tree.leaves_with_path(problem.state):
            if not hasattr(leaf, "shape"):
                raise Failed(
                    f"the state's leaf {_name(path)} is {_what(leaf)}, which a compiled step "
                    "cannot carry: make it an array with jnp.asarray, or a field of the rule"
                )
        _compare_states(problem.state, step.state)


@check(CHECKS, "aux", needs=("networks",))
def aux(subject: Subject) -> None:
    """`Aux` holds a scalar loss, the output [batch, classes] and statistics a plastic layer."""
    for case in subject.cases[0]:
        problem, _, step = subject.shapes(case)
        own = step.aux
        if not isinstance(own, Aux):
            raise Failed(f"the third result is {_what(own)}: return aux(self._loss, trace, y)")
        if getattr(own.loss, "shape", None) != ():
            raise Failed(f"aux.loss is {_what(own.loss)}: return the mean loss of the batch")
        if getattr(own.output, "shape", None) != (BATCH, CLASSES):
            raise Failed(
                f"aux.output is {_what(own.output)}: return the network's output [batch, classes]"
            )
        layers = plastic_layers(problem.model)
        there = [isinstance(entry, NormTrace) for entry in own.statistics]
        if there != [layer.norm is not None for layer in layers]:
            raise Failed(
                f"aux.statistics has {sum(there)} entries for {len(layers)} plastic layers, "
                f"{sum(layer.norm is not None for layer in layers)} of which normalise: "
                "return aux(self._loss, trace, y)"
            )


@check(CHECKS, "hooks", needs=("networks",))
def hooks(subject: Subject) -> None:
    """`predict`, `after_step`, `trained`, `angles` and `sizes` return what the trainer needs."""
    rule = subject.rule
    for case in subject.cases[0]:
        problem, plastic, step = subject.shapes(case)
        model, state, x = problem.model, step.state, problem.x
        scores = eqx.filter_eval_shape(rule.predict, model, state, x)
        if getattr(scores, "shape", None) != (BATCH, CLASSES):
            raise Failed(f"`predict` returns {_what(scores)}: return scores [batch, classes]")
        after, own = eqx.filter_eval_shape(rule.after_step, model, model, state)
        if jax.tree.structure(after) != jax.tree.structure(model):
            raise Failed("`after_step` changes the network's structure: return (network, state)")
        _compare_states(state, own)
        told = eqx.filter_eval_shape(rule.trained, model)
        same = jax.tree.structure(told) == jax.tree.structure(plastic)
        if not same or not all(isinstance(own, bool) for own in jax.tree.leaves(told)):
            raise Failed("`trained` does not say True or False for each weight: map over weights")
        for hook in ("angles", "sizes"):
            found = eqx.filter_eval_shape(getattr(rule, hook), model, state)
            for name, own in found.items():
                if getattr(own, "shape", None) != ():
                    raise Failed(
                        f"`{hook}` has {_what(own)} for {name!r}: return one number a name"
                    )


@check(CHECKS, "dtype", needs=("structure",))
def dtype(subject: Subject) -> None:
    """Updates have the dtype of the weights, in float32 and in bfloat16."""
    for own, wide in ((jnp.float64, True), (jnp.float32, False), (jnp.bfloat16, False)):
        with jax.enable_x64(wide):
            for case in subject.cases[0]:
                step = subject.shapes(case, own).step
                for path, leaf in jax.tree.leaves_with_path(step.updates):
                    if leaf.dtype != own:
                        raise Failed(
                            f"the update of {_name(path)} is {leaf.dtype} where the weights are "
                            f"{jnp.dtype(own).name}: draw and cast in the dtype of the weight "
                            "(`.astype(layer.weight.dtype)`)"
                        )


def _compare_updates(updates: Any, expected: Any) -> None:
    if not isinstance(updates, type(expected)):
        raise Failed(
            f"the updates are {_what(updates)}: return a network of updates, "
            "with_layers(zero_updates(model), one `layer.learn(...)[0]` for each layer)"
        )
    theirs, own = (dict(jax.tree.leaves_with_path(tree)) for tree in (expected, updates))
    for path in theirs.keys() - own.keys():
        raise Failed(f"the update of {_name(path)} is missing: return zeros for what stays")
    for path in own.keys() - theirs.keys():
        raise Failed(f"there is an update of {_name(path)}, which is no weight: leave None there")
    for path, leaf in theirs.items():
        shape = getattr(own[path], "shape", None)
        if shape != leaf.shape:
            turned = "it is transposed" if shape == leaf.shape[::-1] else "shape it like the weight"
            raise Failed(
                f"the update of {_name(path)} is {shape} instead of {leaf.shape}: {turned}"
            )
    if jax.tree.structure(updates) != jax.tree.structure(expected):
        raise Failed(
            "the updates have other nodes than weights(model): make them from the model, with "
            "with_layers(zero_updates(model), ...) or jax.tree.map over weights(model)"
        )


def _compare_states(before: Any, after: Any) -> None:
    old, new = (dict(jax.tree.leaves_with_path(tree)) for tree in (before, after))
    same = jax.tree.structure(before) == jax.tree.structure(after)
    for path in old.keys() & new.keys():
        if _what(old[path]) != _what(new[path]):
            raise Failed(
                f"the state's leaf {_name(path)} changes from {_what(old[path])} to "
                f"{_what(new[path])} in a step: keep its shape and dtype, so that steps can loop"
            )
    if not same:
        raise Failed(
            f"the state has {len(old)} leaves before a step and {len(new)} after it, or other "
            "nodes: return a state of the structure that `init` made"
        )


def _name(path: Any) -> str:
    return f"model{jax.tree_util.keystr(path)}" if path else "the tree"


def _what(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array {value.dtype}{list(value.shape)}"
    return f"of type {type(value).__name__}"
