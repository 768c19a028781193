"""Changed designs on which what was learned may still hold: which there are for a design."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import jax
import jax.random as jr

from .. import _registry
from .._errors import UsageError
from ..models import ActivationName
from ..tasks.base import AbstractTask
from ..train.design import Design, Part

HORIZONS = (3, 10)
"""Multiples of the trained lifetime."""
_LENGTHS = (
    *("moments", "batches", "shots", "cycles", "updates", "trials", "length", "time", "steps"),
    "pairs",
)
"""What tasks call the number that makes a lifetime longer; the first that does so is taken."""
_ACTIVATIONS = ("tanh", "relu", "softplus")


@dataclass(frozen=True)
class Variant:
    """A design that differs from the trained one in a few options."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Values by option, `task.moments`."""
    seen: bool = False
    """On meta-training's own lifetimes instead of the held-out ones."""
    longer: bool = False
    """Do lifetimes have more moments?"""


def changed(design: Design, changes: Mapping[str, Any]) -> Design:
    """The design with these options; `{"task.moments": 30}`, or `{"task": Part(…)}`."""
    for option, value in changes.items():
        what, dot, name = option.partition(".")
        own = getattr(design, what, None)
        if own is None:
            raise UsageError(f"--{option}: this run has no {what} to change")
        part = Part(own.name, {**own.fields, name: value}) if dot else value
        design = dataclasses.replace(design, **{what: part})
    return design


def variants(design: Design) -> list[Variant]:
    """The standard variants that a design has, by what its parts have options for.

    The design itself and meta-training's own lifetimes; lifetimes three and ten times as long;
    hidden layers half and twice as wide, one fewer and one more; other activations; permuted
    inputs; half and twice as many classes. Whether what was learned fits is not asked here.
    """
    task = design.make().task
    own = [Variant("as trained")]
    if task.held_out() is not task:
        own.append(Variant("meta-training's own lifetimes", seen=True))
    return [*own, *_horizons(task), *_shapes(design), *_activations(design), *_tasks(task)]


def _horizons(task: AbstractTask) -> Iterator[Variant]:
    option = horizon_option(task)
    if option is not None:
        value = getattr(task, option)
        for factor in HORIZONS:
            changes = {f"task.{option}": factor * value}
            yield Variant(f"lifetimes x{factor}", changes, longer=True)


def horizon_option(task: AbstractTask) -> str | None:
    """The option of a task that makes a lifetime proportionally longer and nothing else."""
    options = {own.name for own in dataclasses.fields(task)}
    for name in (own for own in _LENGTHS if own in options):
        value = getattr(task, name)
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        try:
            other = dataclasses.replace(task, **{name: 2 * value})
            times = [_length(own) for own in (task, other)]
        except UsageError:  # as where there are not so many images: the variant will say so
            return name
        same = (task.outputs, task.input_shape) == (other.outputs, other.input_shape)
        if same and times[1] >= 1.5 * times[0]:
            return name
    return None


def _length(task: AbstractTask) -> int:
    return jax.eval_shape(task.sample, jr.key(0)).stream.x.shape[0]


def _shapes(design: Design) -> Iterator[Variant]:
    hidden = _hidden(design)
    if not hidden:
        return
    if isinstance(hidden, int):  # the units of the one layer there is
        others: dict[str, Any] = {"half as many hidden units": max(hidden // 2, 1)}
        others["twice as many hidden units"] = 2 * hidden
    else:
        others = {
            "hidden layers half as wide": tuple(max(own // 2, 1) for own in hidden),
            "hidden layers twice as wide": tuple(2 * own for own in hidden),
            "one hidden layer fewer": hidden[:-1],
            "one hidden layer more": (*hidden, hidden[-1]),
        }
    for name, own in others.items():
        if own and own != hidden:
            yield Variant(name, {"learner.hidden": own})


def _hidden(design: Design) -> tuple[int, ...] | int:
    """Widths of the learner's hidden layers, where it has an option for them."""
    own = _default(_registry.load("learners", design.learner.name), design.learner, "hidden")
    if own is None:  # the network's own
        model = _default(_registry.load("learners", design.learner.name), design.learner, "model")
        if isinstance(model, str):
            own = _default(_registry.load("models", model), Part(model), "hidden")
    return own if isinstance(own, int) else tuple(own or ())


def _default(function: Any, part: Part, option: str) -> Any:
    """The value of an option, given or by default; None where there is none."""
    known = inspect.signature(function).parameters
    if option not in known:
        return None
    value = part.fields.get(option, known[option].default)
    return None if value is inspect.Parameter.empty else value


def _activations(design: Design) -> Iterator[Variant]:
    builder = _registry.load("learners", design.learner.name)
    if "activation" not in inspect.signature(builder).parameters:
        return
    now = _default(builder, design.learner, "activation")
    model = _default(builder, design.learner, "model")
    if now is None and isinstance(model, str):
        now = _default(_registry.load("models", model), Part(model), "activation")
    for name in _ACTIVATIONS:
        if name != now and name in get_args(ActivationName):
            yield Variant(f"activation {name}", {"learner.activation": name})


def _tasks(task: AbstractTask) -> Iterator[Variant]:
    if getattr(task, "permute", None) is False:
        yield Variant("permuted inputs", {"task.permute": True})
    if not hasattr(task, "ways"):
        return
    ways = getattr(task, "ways", None)
    half = (_classes(task) if ways is None else ways) // 2
    twice = 2 * (ways or 0)  # there are no more where a lifetime has all
    for name, other in {"half as many classes": half, "twice as many classes": twice}.items():
        if other > 1:
            yield Variant(name, {"task.ways": other})


def _classes(task: AbstractTask) -> int:
    """Classes of a lifetime that has all those of its group; 0 where that is not known."""
    return min(map(len, getattr(task.load(), "groups", ())), default=0)
