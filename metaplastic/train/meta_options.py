"""What a meta-training run is made of; the fields are the options of `metaplastic meta`.

Plain Python: a run record holds exactly these fields.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from .._errors import UsageError, unknown
from .._hints import check_choices

MetaOptimiser = Literal["adam", "sgd", "momentum", "adamw", "rmsprop", "clipped_rms"]
MetaSchedule = Literal["constant", "step", "cosine", "linear"]

_Task = TypeVar("_Task")
_STAGES = re.compile(r"task\.(?P<field>\w+)=(?P<start>\d+)\+(?P<by>\d+)/(?P<every>\d+)")
_GROUP = re.compile(r"(?P<path>[^=]+)=(?:(?P<optimiser>[a-z_]+):)?(?P<rate>[^:]+)")


class Group(NamedTuple):
    """Meta-parameters with an optimiser and a learning rate of their own."""

    path: str
    optimiser: str
    rate: float


class Curriculum(NamedTuple):
    """A number of the task that grows: `start + by * (meta-step // every)`."""

    field: str
    start: int
    by: int
    every: int

    def value(self, step: int) -> int:
        """The number at a meta-step."""
        return self.start + self.by * (step // self.every)

    def staged(self, task: _Task, step: int) -> _Task:
        """The task of a meta-step. Raises `UsageError` where it has no such number."""
        own: Any = task
        known = [field.name for field in dataclasses.fields(own) if field.type in (int, "int")]
        if self.field not in known:
            raise unknown("field of the task that is a number", self.field, known)
        return dataclasses.replace(own, **{self.field: self.value(step)})


@dataclass(kw_only=True)
class MetaOptions:
    """How the arrays of a learner are improved from lifetime to lifetime."""

    steps: int = 1000
    """Meta-steps: how often what lifetimes start from is changed."""
    meta_batch: int = 4
    """Lifetimes of a meta-step."""
    lr: float = 1e-3
    """Learning rate of the meta-parameters that no group holds."""
    optimiser: MetaOptimiser = "adam"
    """What turns meta-gradients into steps."""
    group: tuple[str, ...] = ()
    """Groups with a rate, or an optimiser and a rate, of their own: `state.plasticity=1e-5`,
    `model.*.bias=sgd:0.1`; the first that matches a meta-parameter's path holds it."""
    freeze: tuple[str, ...] = ()
    """Paths of meta-parameters that are not learned (`state`, `*.bias`)."""
    momentum: float = 0.9
    """Momentum of the optimiser `momentum`."""
    max_step: float | None = None
    """Largest step of one meta-parameter (`clipped_rms`); its learning rate where not given."""
    l1: float = 0.0
    """Decay of weights by a constant amount (`clipped_rms`)."""
    l2: float = 0.0
    """Decay of weights in proportion (`clipped_rms`, `adamw`)."""
    sparsity: tuple[str, ...] = ()
    """L1 penalties on meta-parameters, as part of the meta-loss: `state.coefficients=1e-3`."""
    no_decay: tuple[str, ...] = ("*bias*",)
    """Paths that do not decay."""
    schedule: MetaSchedule = "constant"
    """How the learning rates change."""
    milestones: tuple[int, ...] = ()
    """Meta-steps after which the schedule `step` multiplies the rates by `decay`."""
    decay: float = 0.3
    """Factor of the schedule `step`."""
    frozen_last: int = 0
    """So many last meta-steps leave everything as it is: they only measure."""
    clip: float | None = None
    """Largest global norm of the meta-gradient."""
    clip_by: tuple[str, ...] = ()
    """Paths whose norm is compared with `clip` (all where not given); one factor scales all."""
    skip_above: float | None = None
    """A meta-step whose mean loss is above this changes nothing, and is counted."""
    non_finite: Literal["stop", "skip"] = "stop"
    """A meta-gradient that is not finite ends the run, naming lifetime, moment and leaf; or its
    meta-step changes nothing, and is counted."""
    species: int = 1
    """Learners a seed, each begun and meta-trained by itself; the one with the smallest meta-loss
    is the result."""
    curriculum: str | None = None
    """A number of the task that grows with the meta-steps, as in `task.moments=10+5/1000`: 10, and
    5 more every 1000 meta-steps. At every change all species of a seed begin again as its best."""
    test_lifetimes: int = 200
    """Lifetimes of the test, on the task's held-out part."""
    test_every: int | None = None
    """Meta-steps between tests; only at the start and at the end where it is not given."""
    record_every: int | None = None
    """Meta-steps whose mean is one record; a hundredth of all where it is not given."""
    parallel: Literal["auto", "batch", "loop"] = "auto"
    """Many seeds: in one batched program, or one after the other; `auto` decides by size."""
    devices: int | None = None
    """Devices that share the replicas (seeds, species), else the lifetimes of a meta-step. A CPU
    becomes as many as are asked for, of which each core runs one; one where it is not given."""
    checkpoint_every: int | None = None
    """Meta-steps between checkpoints; every 30 seconds where it is not given."""

    def check(self) -> None:
        """Raise `UsageError` for a value that cannot work."""
        check_choices(self, "--")
        positive = ("steps", "meta_batch", "lr", "max_step", "clip", "species", "test_lifetimes")
        for name in (*positive, "test_every", "record_every", "devices", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('_', '-')} {value}: it must be positive")
        for name in ("l1", "l2", "frozen_last"):
            value = getattr(self, name)
            if not value >= 0:
                raise UsageError(f"--{name.replace('_', '-')} {value}: it must not be negative")
        if self.frozen_last >= self.steps:
            raise UsageError(
                f"--frozen-last {self.frozen_last} leaves nothing of --steps {self.steps} to learn"
            )
        self.groups()
        self.penalties()
        self.stages()
        if self.devices is not None:
            from .._devices import provide  # which imports JAX

            provide(self.devices)

    def penalties(self) -> dict[str, float]:
        """Strength of the L1 penalty by path. Raises `UsageError` for one that does not parse."""
        found = {}
        for text in self.sparsity:
            path, _, strength = text.rpartition("=")
            try:
                found[path] = float(strength)
            except ValueError:
                found[path] = -1.0
            if not path or not 0 <= found[path] < float("inf"):
                raise UsageError(
                    f"--sparsity {text}: write path=strength, as in state.coefficients=1e-3"
                )
        return found

    def stages(self) -> Curriculum | None:
        """The curriculum, read. Raises `UsageError` for one that does not parse."""
        if self.curriculum is None:
            return None
        match = _STAGES.fullmatch(self.curriculum)
        if match is None or not int(match["every"]):
            raise UsageError(
                f"--curriculum {self.curriculum}: write task.FIELD=START+BY/EVERY, as in "
                "task.moments=10+5/1000"
            )
        return Curriculum(match["field"], *(int(match[own]) for own in ("start", "by", "every")))

    def check_search(self, name: str, *, alone: bool = False) -> None:
        """Raise `UsageError` for an option that has no part where a search moves by itself.

        `alone`: no estimator of a gradient shares the options, as one does in a comparison.
        """
        useless = [
            *("group", "clip", "clip_by", "sparsity", "max_step"),
            *("schedule", "milestones", "decay", "frozen_last"),
            *(("lr", "optimiser", "momentum", "l1", "l2", "no_decay") if alone else ()),
        ]
        default = MetaOptions()
        for option in (own for own in useless if getattr(self, own) != getattr(default, own)):
            raise UsageError(
                f"--{option.replace('_', '-')} has no part in {name}, which moves the "
                "meta-parameters itself: leave it out"
            )

    def groups(self) -> list[Group]:
        """The groups, read. Raises `UsageError` for one that does not parse."""
        return [self._group(text) for text in self.group]

    def _group(self, text: str) -> Group:
        match = _GROUP.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            rate = float(match["rate"])
        except ValueError:
            raise UsageError(
                f"--group {text}: write path=rate or path=optimiser:rate, state.feedback=1e-4"
            ) from None
        name = match["optimiser"] or self.optimiser
        if name not in get_args(MetaOptimiser):
            raise unknown("optimiser", name, get_args(MetaOptimiser))
        if not rate >= 0:
            raise UsageError(f"--group {text}: the rate must not be negative")
        return Group(match["path"], name, rate)

    @property
    def chunk(self) -> int:
        """Meta-steps of one record."""
        return self.record_every or max(self.steps // 100, 1)
