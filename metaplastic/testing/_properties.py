"""Checks that measure what a rule declares in its `properties`."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..models import AbstractLayer, plastic_layers, with_layers
from ._cases import BATCH
from ._disguise import Log, disguise_all
from ._findings import Failed, Skipped, Table, check
from ._subject import Subject, difference

CHECKS: Table = {}
_CHANGED = 1e-7


@check(CHECKS, "weight-transport", needs=("dtype", "same-key"))
def weight_transport(subject: Subject) -> str:
    """A layer's update reads no more of other layers' weights than is declared.

    The weight that one layer shows is replaced while its activity is held, so that the trace and
    all signals stay what they were; the updates of the other layers must not change. Weights that
    enter through a state of feedback weights (`learned`) are held with the state.
    """
    declared = subject.rule.properties.weight_transport
    reader = _reader(subject, signs_kept=True)
    if reader is not None and declared != "yes":
        raise Failed(
            f"declares weight_transport={declared!r}, but the update of layer {reader[0]} changes "
            f"when the weight of layer {reader[1]} is replaced while all activity is held (by one "
            "of the same signs): declare 'yes', or send signals back through weights of their own"
        )
    if reader is None:
        reader = _reader(subject, signs_kept=False)
        if reader is not None and declared in ("no", "learned"):
            raise Failed(
                f"declares weight_transport={declared!r}, but the update of layer {reader[0]} "
                f"changes with the signs of the weight of layer {reader[1]}: declare 'signs'"
            )
    if reader is None and declared in ("yes", "signs"):
        raise Failed(
            f"declares weight_transport={declared!r}, but no update reads the weights of another "
            "layer: declare 'no', or 'learned'"
        )
    if reader is None:
        return "no update changes when other layers' weights are replaced and activity is held"
    return f"the update of layer {reader[0]} reads the weight of layer {reader[1]}, as declared"


def _reader(subject: Subject, *, signs_kept: bool) -> tuple[int, int] | None:
    """`(reader, read)`: two layers, the first of which reads the weight of the second."""
    problem = subject.plain
    layers = plastic_layers(problem.model)
    for read, layer in enumerate(layers):
        weight = layer.weight
        shown = np.random.default_rng(read).standard_normal(weight.shape)
        if signs_kept:
            shown = np.abs(shown) * np.sign(weight)
        model = disguise_all(
            problem.model,
            weights=[jnp.asarray(shown) if i == read else None for i in range(len(layers))],
        )
        others = [i for i in range(len(layers)) if i != read]
        changed = _changed(subject, model, others)
        if changed is not None:
            return changed + 1, read + 1
    return None


@check(CHECKS, "needs-slope", needs=("dtype", "same-key"))
def needs_slope(subject: Subject) -> str:
    """The derivative of the activation function enters the update only if that is declared."""
    declared = subject.rule.properties.needs_slope
    problem = subject.plain
    model = disguise_all(problem.model, false_slope=True)
    changed = _changed(subject, model, range(len(plastic_layers(model))))
    if changed is not None and not declared:
        raise Failed(
            f"declares needs_slope=False, but the update of layer {changed + 1} changes when the "
            "slope of the activations is replaced: declare True, or leave f' out"
        )
    if changed is None and declared:
        raise Failed(
            "declares needs_slope=True, but its updates stay when the slope of the activations is "
            "replaced: declare False, or read f' by `layer.slope`"
        )
    return "the slope enters the update, as declared" if declared else "no slope is read"


@check(CHECKS, "forward-passes", needs=("dtype",))
def forward_passes(subject: Subject) -> str:
    """As many forward passes are made for an update as are declared.

    Examples are counted, since two passes may go through a layer as one batch.
    """
    declared = subject.rule.properties.forward_passes
    logs = _logs(subject)
    made = round(max(log.examples for log in logs) / BATCH)
    if made == declared:
        return f"{made} pass{'es' if made > 1 else ''} through a layer at most, as declared"
    if any(log.traced for log in logs):
        raise Skipped("not measurable: its passes are made inside a compiled loop")
    raise Failed(f"declares forward_passes={declared}, but makes {made}: declare {made}")


@check(CHECKS, "backward-sweep", needs=("dtype",))
def backward_sweep(subject: Subject) -> str:
    """Signals are sent back through layers only if that is declared."""
    declared = subject.rule.properties.backward_sweep
    sent = sum(log.sent_back for log in _logs(subject))
    if sent and not declared:
        raise Failed(
            f"declares backward_sweep=False, but sends signals back through {sent} layers: declare "
            "True"
        )
    if declared and not sent:
        raise Skipped("declared True, and not measurable: it does not send signals by send_back")
    return "signals travel back, as declared" if declared else "no layer sends a signal back"


@check(CHECKS, "update-locked", needs=("dtype", "same-key"))
def update_locked(subject: Subject) -> str:
    """Layers wait for what happens above them only if that is declared."""
    declared = subject.rule.properties.update_locked
    problem = subject.plain
    layers = plastic_layers(problem.model)
    found = None
    for above in range(1, len(layers)):
        turned = [*layers[:above], *map(_turned, layers[above:])]
        found = _changed(subject, with_layers(problem.model, turned), range(above))
        if found is not None:
            break
    if found is not None and declared == "no":
        raise Failed(
            f"declares update_locked='no', but the update of layer {found + 1} changes with what "
            "the layers above it compute: declare 'yes', or 'partly'"
        )
    if found is None and declared != "no":
        raise Failed(
            f"declares update_locked={declared!r}, but no update changes with what the layers "
            "above compute: declare 'no'"
        )
    return "waits for the layers above, as declared" if found is not None else "no layer waits"


@check(CHECKS, "declared-only", needs=("declaration",))
def declared_only(subject: Subject) -> str:
    """Properties that no measurement can show."""
    own = subject.rule.properties
    raise Skipped(
        f"declared, and not measurable: nonlocal_signal={own.nonlocal_signal!r}, "
        f"frozen_activity={own.frozen_activity}, stored_state={own.stored_state}"
    )


def _changed(subject: Subject, model: Any, layers: Sequence[int]) -> int | None:
    """The first of the layers whose update on `model` is not what it was."""
    updates = plastic_layers(subject.step(subject.plain._replace(model=model)).updates)
    before = plastic_layers(subject.first.updates)
    for index in layers:
        if difference(_arrays(updates[index]), _arrays(before[index])) > _CHANGED:
            return index
    return None


def _turned(layer: AbstractLayer) -> AbstractLayer:
    """The layer with its units' weights in reverse order."""
    weight = jnp.asarray(np.asarray(layer.weight)[..., ::-1])
    return eqx.tree_at(lambda own: own.weight, layer, weight)


def _arrays(layer: Any) -> list[jax.Array]:
    return jax.tree.leaves((layer.weight, layer.bias, layer.norm))


def _logs(subject: Subject) -> list[Log]:
    """Calls that a step makes of each layer."""
    problem = subject.plain
    logs = [Log() for _ in plastic_layers(problem.model)]
    subject.step(problem._replace(model=disguise_all(problem.model, logs=logs)))
    return logs
