"""What a page shows of a run: its records, read with patience for what is not there yet."""

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaplastic.report._learner_runs import design_name
from metaplastic.report._series import Series, from_metrics
from metaplastic.report.records import RunFolder

_ITSELF = (
    *("command", "kind", "rule", "rules", "entrants", "design"),
    *("options", "seeds", "control", "data", "protocol"),
)
_WORDS = ("bias", "strided")
"""Options that may be yes, no or left open, which are given as words."""
_PARTS = ("learner", "rule", "task", "estimator")


@dataclasses.dataclass
class Run:
    """One run folder, read."""

    path: Path
    config: dict[str, Any]
    result: dict[str, Any] | None
    records: list[dict[str, Any]]
    label: str = ""

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Raises `UsageError` where there is no run, `MetaplasticError` for damaged records."""
        folder = RunFolder.open(path)
        run = cls(path, folder.read_config(), folder.read_result(), folder.read_metrics())
        run.label = run.name
        return run

    @property
    def command(self) -> str:
        return str(self.config.get("command", "run"))

    @property
    def name(self) -> str:
        """The rule, the paper, or the rules that the run is about."""
        config = self.config
        if self.command == "compare":
            members = config.get("rules") or config.get("entrants") or ()
            return "comparison of " + ", ".join(
                str(own.get("label") or own.get("name")) for own in members
            )
        if self.command == "meta":
            return design_name(self.design)
        named = (config.get("rule") or {}).get("name") or config.get("paper")
        return str(named or self.path.name)

    @property
    def options(self) -> dict[str, Any]:
        """All that was chosen, by option: those of the rule begin with `rule.`, and so on."""
        fields = (self.config.get("rule") or {}).get("fields") or {}
        others = {k: v for k, v in self.config.items() if k not in (*_ITSELF, "environment")}
        own = {**(self.config.get("options") or {}), **others}
        own |= {f"rule.{name}": value for name, value in fields.items()}
        for part in _PARTS:
            fields = (self.design.get(part) or {}).get("fields") or {}
            own |= {f"{part}.{name}": value for name, value in fields.items()}
        return own

    @property
    def design(self) -> dict[str, Any]:
        """Of a run of `meta`: learner, rule, task and estimator."""
        return self.config.get("design") or {}

    @property
    def data(self) -> dict[str, Any]:
        return self.config.get("data") or {}

    @property
    def protocol(self) -> dict[str, Any]:
        return self.config.get("protocol") or {}

    @property
    def series(self) -> Series:
        return from_metrics(self.records, self.name, self.label)

    @property
    def epoch(self) -> int:
        """The last that is on record."""
        return max((record.get("epoch", 0) for record in self.records), default=0)

    @property
    def diverged(self) -> dict[str, str]:
        """What is known of divergence: by seed, or by rule and seed."""
        result = self.result or {}
        found = _named(result.get("diverged"), "")
        for kind in ("rules", "comparison", "learners"):
            for row in result.get(kind) or ():
                name = row.get("label") or row.get("rule")
                found |= _named(row.get("diverged"), f"{name}, ")
        return found

    @property
    def status(self) -> str:
        """Empty for a run that is done and whole."""
        if self.result is None and self.command == "meta":
            step = max((record.get("step", 0) for record in self.records), default=0)
            return f"not finished: meta-step {step:,} of {self.options.get('steps', 0):,} on record"
        if self.result is None:
            epochs = self.options.get("epochs")
            where = f"epoch {self.epoch} of {epochs} on record" if epochs else "no result yet"
            return f"not finished: {where}"
        return "diverged" if self.diverged and self.command == "train" else ""

    @property
    def resume(self) -> str:
        return shlex.join(["metaplastic", "resume", str(self.path)])

    @property
    def again(self) -> str:
        """The command that makes the same run in a new folder."""
        if self.command == "train" and "options" in self.config:
            rule = self.config["rule"]
            words = [str(rule.get("spec") or self.name)]
            if "file" in rule:
                words = ["--rule-file", str(self.path / rule["file"])]
                words += ["--own", *rule["own"]] if rule.get("own") else []
            return shlex.join(["metaplastic", "train", *words, *self._arguments()])
        if self.command == "meta" and self.design and "options" in self.config:
            words = [str((self.design.get("learner") or {}).get("spec"))]
            for part in _PARTS[1:]:
                own = self.design.get(part)
                words += [f"--{part}", str(own["spec"])] if own else []
            return shlex.join(["metaplastic", "meta", *words, *self._arguments()])
        argv = [str(word) for word in (self.config.get("environment") or {}).get("argv") or ()]
        words = argv[argv.index(self.command) :] if self.command in argv else [self.command]
        return shlex.join(["metaplastic", *_without_out(words)])

    def _arguments(self) -> list[str]:
        """Every option, as recorded: a `--config` file may have changed, and so may defaults."""
        words: list[str] = []
        for name, value in self.options.items():
            words += _option(name, value)
        seeds = self.config.get("seeds") or [0]
        words += ["--seed", str(seeds[0])] if seeds[0] else []
        words += ["--seeds", str(len(seeds))] if len(seeds) > 1 else []
        return words + (["--control"] if self.config.get("control") else [])


def distinguish(runs: Sequence[Run]) -> None:
    """Give every run a label of its own: its name, with the options in which namesakes differ."""
    for run in runs:
        twins = [other for other in runs if other.name == run.name]
        differing = [
            f"{name.removeprefix('rule.')} {value}"
            for name, value in run.options.items()
            if any(other.options.get(name) != value for other in twins)
        ]
        run.label = run.name + (f" ({', '.join(differing[:3])})" if differing else "")
    labels = [run.label for run in runs]
    for run in runs:
        if labels.count(run.label) > 1:
            run.label = f"{run.label} · {run.path.name}"


def _option(name: str, value: Any) -> list[str]:
    word = "--" + name.replace("_", "-")
    if value is None:
        return []
    if isinstance(value, bool) and name.rpartition(".")[2] in _WORDS:
        return [word, str(value)]
    if isinstance(value, bool):
        head, dot, leaf = word.removeprefix("--").rpartition(".")
        return [word if value else f"--{head}{dot}no-{leaf}"]
    if isinstance(value, list):
        return [word, *map(str, value)]
    return [word, str(value)]


def _without_out(words: list[str]) -> list[str]:
    """A folder holds one run, so that the run's own `--out` cannot be used again."""
    kept: list[str] = []
    skip = False
    for word in words:
        if not skip and word != "--out" and not word.startswith("--out="):
            kept.append(word)
        skip = word == "--out"
    return kept


def _named(diverged: Any, prefix: str) -> dict[str, str]:
    if isinstance(diverged, Mapping):
        return {f"{prefix}seed {seed}": str(what) for seed, what in diverged.items()}
    return {f"{prefix}run": str(diverged)} if diverged else {}
