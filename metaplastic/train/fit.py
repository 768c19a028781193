"""The loop of a training run: chunks, metrics, checkpoints, divergence."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from .._errors import DivergedError
from ..report.records import RunFolder
from ..rules.backprop import Backprop
from .checkpoint import Checkpoints
from .divergence import Divergence, find_divergence, read_divergences, write_divergences
from .trainer import Replica, Trainer

_SECONDS_BETWEEN_CHECKPOINTS = 30.0


@runtime_checkable
class Reporter(Protocol):
    """What the loop tells of itself (`metaplastic.cli` draws it as a bar)."""

    def begin(self, total: int, *, unit: str = "steps", title: str = "") -> None: ...
    def compiling(self, what: str = "") -> None: ...
    def update(self, done: int, metrics: dict[str, float] | None = None) -> None: ...
    def note(self, text: str) -> None: ...


class Silent:
    """A reporter that says nothing."""

    def begin(self, total: int, *, unit: str = "steps", title: str = "") -> None: ...
    def compiling(self, what: str = "") -> None: ...
    def update(self, done: int, metrics: dict[str, float] | None = None) -> None: ...
    def note(self, text: str) -> None: ...


@dataclass
class Outcome:
    """What a run came to."""

    records: list[dict[str, Any]]
    """One an epoch, the start included; lists hold one value a replica."""
    state: Replica
    diverged: dict[int, Divergence] = field(default_factory=dict)
    """By replica; only where divergence was to be recorded rather than raised."""
    seconds: float = 0.0
    """Of training and evaluation, compilation included."""
    samples_per_second: float = 0.0
    """Training examples (of all replicas) in the chunks after the first."""


def fit(
    trainer: Trainer,
    seeds: Sequence[int],
    rates: Sequence[float],
    *,
    folder: RunFolder | None = None,
    reporter: Reporter | None = None,
    name: str = "",
    raise_divergence: bool = True,
) -> Outcome:
    """Train one replica for each pair of `seeds` and `rates`, and record every epoch.

    With `folder`, metrics and checkpoints are written there, and a run that has a checkpoint goes
    on from it. Raises `DivergedError` (naming seed, step and value) where a loss or a weight is
    not finite, unless `raise_divergence` is False: then the replica is reported in `diverged`.
    On KeyboardInterrupt the state is saved before the interrupt goes on.
    """
    loop = _Loop(trainer, seeds, rates, folder, reporter or Silent(), name, raise_divergence)
    return loop.run()


class _Loop:
    """The state of one call of `fit`."""

    def __init__(
        self,
        trainer: Trainer,
        seeds: Sequence[int],
        rates: Sequence[float],
        folder: RunFolder | None,
        reporter: Reporter,
        name: str,
        raise_divergence: bool,
    ):
        self.trainer, self.seeds, self.rates = trainer, list(seeds), list(rates)
        self.folder, self.reporter, self.name = folder, reporter, name
        self.raise_divergence = raise_divergence
        self.diverged: dict[int, Divergence] = {}
        self.records: list[dict[str, Any]] = []
        self.unwritten: list[dict[str, Any]] = []
        self.speeds: list[float] = []
        self.clock = self.saved = self.flushed = time.monotonic()
        self.spent = 0.0
        reporter.begin(trainer.steps, title=name)
        reporter.compiling(name)
        self.step = 0
        self.state = trainer.initial(seeds, rates)
        self.sums = np.zeros((2, len(self.seeds)))
        """Loss and accuracy so far, summed over the steps of the present epoch."""
        self.checkpoints: Checkpoints | None = None
        if folder is not None:
            self.checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
            self._restore(folder, self.checkpoints)
        self.start = None if self.records else self.state
        """The initial state, until it is recorded: after the first chunk, for which users wait."""

    def run(self) -> Outcome:
        whole = self.step, self.state, self.sums
        try:
            while self.step < self.trainer.steps and len(self.diverged) < len(self.seeds):
                self._advance()
                if self.step % self.trainer.steps_per_epoch == 0:
                    self._end_epoch()
                whole = self.step, self.state, self.sums
                self._save_if_due()
        except KeyboardInterrupt:  # anywhere above: go back to what belongs together
            self.step, self.state, self.sums = whole
            self._save()
            raise
        self._save()
        speed = float(np.median(self.speeds[1:] or self.speeds or [0.0]))
        return Outcome(self.records, self.state, self.diverged, self._seconds(), speed)

    # Steps

    def _advance(self) -> None:
        """One chunk."""
        trainer, within = self.trainer, self.step % self.trainer.steps_per_epoch
        length = min(trainer.chunk_steps, trainer.steps_per_epoch - within)
        began = time.monotonic()
        state, metrics = trainer.chunk(self.state, jnp.int32(self.step), length=length)
        values = np.asarray([metrics.loss, metrics.accuracy], np.float64)
        samples = length * trainer.options.batch_size * len(self.seeds)
        self.speeds.append(samples / max(time.monotonic() - began, 1e-9))
        self._check(find_divergence(metrics, self.step))
        self.state, self.step = state, self.step + length
        self.sums = self.sums + values.sum(-1)
        last = values[0, :, -1]
        shown = {
            "loss": float(last[np.isfinite(last)].mean()) if np.isfinite(last).any() else np.nan
        }
        if self.records:
            shown["test"] = float(np.mean(self.records[-1]["test_accuracy"]))
        self.reporter.update(self.step, shown)

    def _check(self, found: dict[int, Divergence]) -> None:
        new = {replica: own for replica, own in found.items() if replica not in self.diverged}
        if not new or not self.raise_divergence:
            self.diverged |= new
            return
        self._save()  # the state before this chunk
        replica, own = min(new.items(), key=lambda item: item[1].step)
        kept = (
            f"; step {self.step} is kept in {self.checkpoints.folder}" if self.checkpoints else ""
        )
        raise DivergedError(
            f"{self.name or 'the run'} diverged at step {own.step} "
            f"(epoch {own.step // self.trainer.steps_per_epoch + 1}, seed {self.seeds[replica]}): "
            f"{own.what} is {own.value} at --lr {self.rates[replica]:g}; "
            f"try a rate ten times smaller, or --clip 1{kept}"
        )

    # Records

    def _end_epoch(self) -> None:
        self._record_start()
        loss, accuracy = self.sums / self.trainer.steps_per_epoch
        self.sums = np.zeros_like(self.sums)
        means = {"loss": loss.tolist(), "train_accuracy": accuracy.tolist()}
        self._record(self.step, self.state, means)

    def _record_start(self) -> None:
        if self.start is not None:
            self.reporter.compiling(f"{self.name}, evaluation")
            self._record(0, self.start, {})
            self.start = None

    def _record(self, step: int, state: Replica, means: dict[str, list[float]]) -> None:
        trainer, batches = self.trainer, self.trainer.batches
        record: dict[str, Any] = {"step": step, "epoch": step // trainer.steps_per_epoch, **means}
        for name, split in {"valid": batches.valid, "test": batches.test}.items():
            if split is not None:
                accuracy, loss = trainer.scores(state, split)
                record[f"{name}_accuracy"] = _floats(accuracy)
                record[f"{name}_loss"] = _floats(loss)
        record |= self._angles(step, state)
        record["seconds"] = round(self._seconds(), 3)
        self.records.append(record)
        self.unwritten.append(record)
        if time.monotonic() - self.flushed > 1:
            self._flush()

    def _angles(self, step: int, state: Replica) -> dict[str, Any]:
        trainer = self.trainer
        if not trainer.options.alignment:
            return {}
        found = trainer.weight_measures(state)
        if trainer.same_inputs and not isinstance(trainer.rule, Backprop):
            found = trainer.alignment(state, jnp.int32(step)) | found
        return {
            kind: {name: _floats(own) for name, own in values.items()}
            for kind, values in found.items()
            if values
        }

    def _flush(self) -> None:
        if self.folder is not None and self.unwritten:
            self.folder.append_metrics(self.unwritten)
        self.unwritten, self.flushed = [], time.monotonic()

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.clock

    # Checkpoints

    def _save_if_due(self) -> None:
        every, spe = self.trainer.options.checkpoint_every, self.trainer.steps_per_epoch
        if every is None:
            due = time.monotonic() - self.saved > _SECONDS_BETWEEN_CHECKPOINTS
        else:
            due = self.step % (every * spe) == 0
        if due:
            self._save()

    def _save(self) -> None:
        if self.checkpoints is None:
            return
        self._record_start()
        self._flush()  # metrics first: what a checkpoint has passed is on record
        if self.diverged and self.folder is not None:
            write_divergences(self.folder, self.diverged)
        self.checkpoints.save(self.step, self._to_save())
        self.saved = time.monotonic()

    def _to_save(self) -> dict[str, Any]:
        sums = jnp.asarray(self.sums.view(np.uint32))  # every bit of the float64
        return {"state": self.state, "sums": sums}

    def _restore(self, folder: RunFolder, checkpoints: Checkpoints) -> None:
        step = checkpoints.latest()
        if step is not None:
            saved = checkpoints.restore(step, self._to_save())
            self.step, self.state = step, saved["state"]
            self.sums = np.array(saved["sums"]).view(np.float64)
            self.diverged = read_divergences(folder, before=step)
        if folder.metrics_path.exists():
            folder.truncate_metrics(-1 if step is None else step)
            self.records = folder.read_metrics()
            self.spent = self.records[-1]["seconds"] if self.records else 0.0


def _floats(values: Any) -> list[float]:
    return np.asarray(values, np.float64).tolist()
