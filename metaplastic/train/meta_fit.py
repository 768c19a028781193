"""The loop of a meta-training run: chunks, records, tests, checkpoints, what is not finite."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._errors import DivergedError
from ..learners.paths import paths
from ..report.records import RunFolder
from .checkpoint import Checkpoints
from .fit import Reporter, Silent
from .meta_diagnosis import diagnose
from .meta_trainer import MetaMetrics, MetaReplica, MetaTrainer
from .meta_warnings import MetaWarnings
from .species import begin_again, leaders, pick

_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_MOST_VALUES = 64
"""Meta-parameters, of which every record holds the values."""


@dataclass
class MetaOutcome:
    """What a meta-training run came to."""

    records: list[dict[str, Any]]
    """The start, then one every `MetaOptions.chunk` meta-steps; lists hold one value a seed."""
    state: MetaReplica
    """One replica a seed: of several species, the best."""
    test: np.ndarray
    """Metric of the test's lifetimes after the last meta-step, [seeds, lifetimes]."""
    seconds: float = 0.0
    """Of meta-training and tests, compilation included."""
    lifetimes_per_second: float = 0.0
    """Of all seeds, in the chunks after the first."""
    warning: str | None = None
    """Why the estimator's meta-gradients were not to be trusted, if so; a line for each reason."""


def meta_fit(
    trainer: MetaTrainer,
    seeds: Sequence[int],
    *,
    folder: RunFolder | None = None,
    reporter: Reporter | None = None,
    name: str = "",
    values: Sequence[float] = (),
) -> MetaOutcome:
    """Meta-train one replica a seed (and value of what varies), and record every chunk.

    With `folder`, records and checkpoints are written there, and a run that has a checkpoint goes
    on from it. Raises `DivergedError`, naming seed, meta-step, lifetime, moment and array, where a
    meta-gradient is not finite. On KeyboardInterrupt the state is saved before it goes on.
    """
    return _Loop(trainer, seeds, folder, reporter or Silent(), name, values).run()


class _Loop:
    """The state of one call of `meta_fit`."""

    def __init__(
        self,
        trainer: MetaTrainer,
        seeds: Sequence[int],
        folder: RunFolder | None,
        reporter: Reporter,
        name: str,
        values: Sequence[float],
    ):
        self.trainer, self.seeds, self.folder = trainer, list(seeds), folder
        self.reporter, self.name = reporter, name
        self.records: list[dict[str, Any]] = []
        self.unwritten: list[dict[str, Any]] = []
        self.speeds: list[float] = []
        self.clock = self.saved = time.monotonic()
        self.spent, self.step = 0.0, 0
        reporter.begin(trainer.options.steps, unit="meta-steps", title=name)
        reporter.compiling(name)
        self.state = trainer.initial(seeds, values)
        self.last_test: np.ndarray | None = None
        self.warnings = MetaWarnings(trainer, self._seed)
        self.checkpoints: Checkpoints | None = None
        if folder is not None:
            self.checkpoints = Checkpoints(folder.checkpoints, run=folder.path)
            self._restore(folder, self.checkpoints)

    def run(self) -> MetaOutcome:
        options = self.trainer.options
        whole = self.step, self.state
        try:
            if not self.records:
                self._record(0, {}, test=True)
            while self.step < options.steps:
                self._advance()
                whole = self.step, self.state
                self._save_if_due()
        except KeyboardInterrupt:  # anywhere above: go back to what belongs together
            self.step, self.state = whole
            self._save()
            raise
        self._save()
        speed = float(np.median(self.speeds[1:] or self.speeds or [0.0]))
        test = self.last_test if self.last_test is not None else self._test()[1]
        seconds = self._seconds()
        return MetaOutcome(
            self.records, self._best(), test, seconds, speed, str(self.warnings) or None
        )

    def _leaders(self) -> np.ndarray:
        """The best species of each seed so far; the first where no meta-step is on record."""
        losses = [own["species_loss"] for own in self.records if "species_loss" in own]
        return leaders(losses) if losses else np.zeros(len(self.seeds), int)

    def _best(self) -> MetaReplica:
        species = self.trainer.options.species
        return self.state if species == 1 else pick(self.state, self._leaders(), species)

    def _advance(self) -> None:
        """One chunk: up to the next record, test or change of the task."""
        options, stages = self.trainer.options, self.trainer.stages
        every = [options.chunk, options.test_every, None if stages is None else stages.every]
        ends = [self.step + own - self.step % own for own in every if own]
        end = min(options.steps, *ends)
        changed = stages is not None and self.step and self.step % stages.every == 0
        if changed and options.species > 1:
            self.state = begin_again(self.state, self._leaders(), options.species)
        began = time.monotonic()
        state, metrics = self.trainer.chunk(self.state, self.step, length=end - self.step)
        loss = np.asarray(metrics.loss, np.float64)
        lived = loss.size * self.trainer.lifetimes() / self.trainer.turns
        self.speeds.append(lived / max(time.monotonic() - began, 1e-9))
        self._check(state)
        before = self.step, self.state
        self.state, self.step = state, end
        test = end == options.steps or bool(options.test_every and end % options.test_every == 0)
        self._record(end, self._means(metrics), test=test)
        quality = {name: np.asarray(own) for name, own in metrics.quality.items()}
        for sentence in self.warnings.hear(quality, (before[0], end), before[1]):
            self.reporter.note(sentence)
        shown = {"meta-loss": float(np.mean(self.records[-1]["meta_loss"]))}
        if "test_metric" in self.records[-1]:
            shown["test"] = float(np.mean(self.records[-1]["test_metric"]))
        self.reporter.update(end, shown)

    def _check(self, state: MetaReplica) -> None:
        stopped = np.asarray(state.stopped)
        if (stopped < 0).all():
            return
        self._save()  # the state before this chunk
        index = min(np.flatnonzero(stopped >= 0), key=lambda i: stopped[i])
        step = int(stopped[index])
        replica = jax.tree.map(lambda leaf: leaf[index], state)
        kept = (
            f"; meta-step {self.step} is kept in {self.checkpoints.folder}"
            if self.checkpoints
            else ""
        )
        found = diagnose(self.trainer, replica, step)
        raise DivergedError(
            f"{self.name or 'meta-training'} diverged at meta-step {step} (seed "
            f"{self._seed(int(index))}): {found}; try {found.remedy}, or --non-finite skip{kept}"
        )

    def _seed(self, index: int) -> str:
        """The seed, and of several species the number, of a replica."""
        seed, number = divmod(index, self.trainer.options.species)
        own = str(self.seeds[seed])
        return own if self.trainer.options.species == 1 else f"{own}, species {number}"

    # Records

    def _record(self, step: int, means: dict[str, Any], *, test: bool) -> None:
        record: dict[str, Any] = {"step": step, **means}
        if test:
            loss, self.last_test = self._test()
            record["test_loss"] = loss.mean(-1).tolist()
            record["test_metric"] = self.last_test.mean(-1).tolist()
        record["seconds"] = round(self._seconds(), 3)
        self.records.append(record)
        self.unwritten.append(record)

    def _test(self) -> tuple[np.ndarray, np.ndarray]:
        aux = self.trainer.test(self._best())
        return np.asarray(aux.loss, np.float64), np.asarray(aux.metric, np.float64)

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.clock

    def _means(self, metrics: MetaMetrics) -> dict[str, Any]:
        """Means of a chunk, one a seed: those of the species that leads after it."""
        species = self.trainer.options.species
        loss, metric, quality = jax.tree.map(
            lambda own: np.asarray(own, np.float64).mean(-1).reshape(-1, species),
            (metrics.loss, metrics.metric, metrics.quality),
        )
        record: dict[str, Any] = {"species_loss": loss.tolist()} if species > 1 else {}
        past = [own["species_loss"] for own in self.records if "species_loss" in own]
        chosen = leaders([*past, loss]) if species > 1 else np.zeros(len(loss), int)

        def of_leaders(own: np.ndarray) -> list[Any]:
            return np.take_along_axis(own, chosen[:, None], 1)[:, 0].tolist()

        record |= {"meta_loss": of_leaders(loss), "meta_metric": of_leaders(metric)}
        record["skipped"] = np.asarray(self.state.skipped).reshape(-1, species).sum(1).tolist()
        record |= {name: of_leaders(own) for name, own in quality.items()}
        if self.trainer.parameters <= _MOST_VALUES:
            leading = pick(self.state, chosen, species) if species > 1 else self.state
            record["values"] = {
                path: np.asarray(leaf, np.float64).tolist()
                for path, leaf in paths(eqx.filter(leading.learner, self.trainer.where)).items()
            }
        return record

    # Checkpoints

    def _save_if_due(self) -> None:
        every = self.trainer.options.checkpoint_every
        if every is None:
            due = time.monotonic() - self.saved > _SECONDS_BETWEEN_CHECKPOINTS
        else:
            due = self.step % every == 0
        if due:
            self._save()

    def _save(self) -> None:
        if self.checkpoints is None or self.folder is None:
            return
        if self.unwritten:
            self.folder.append_metrics(self.unwritten)  # first: a checkpoint's past is on record
        self.unwritten = []
        self.checkpoints.save(self.step, self.state)
        self.saved = time.monotonic()

    def _restore(self, folder: RunFolder, checkpoints: Checkpoints) -> None:
        step = checkpoints.latest()
        if step is not None:
            self.step, self.state = step, checkpoints.restore(step, self.state)
        if folder.metrics_path.exists():
            folder.truncate_metrics(-1 if step is None else step)
            self.records = folder.read_metrics()
            self.spent = self.records[-1]["seconds"] if self.records else 0.0
