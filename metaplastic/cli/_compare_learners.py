"""`metaplastic compare --task TASK …`: learners, rules within a lifetime, or estimators."""

import dataclasses
import inspect
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError, nearest
from metaplastic.cli import _options, _parts, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.design import Design, Part
from metaplastic.train.meta_options import MetaOptions

ABOUT = (
    "Compare on the lifetimes of a task: NAME is a learner, a rule (of the learner online) or an "
    "estimator, with options if you like: online:rule=flp,estimator=first_order, "
    "hebbian:learner.gamma=0.9. What NAME leaves open is --learner, --rule and --estimator. "
    "Without a NAME, all estimators that give a gradient of the learner on this task."
)
KINDS = {"learner": "learners", "rule": "rules", "estimator": "estimators", "task": "tasks"}
_DEFAULTS = {"learner": "online", "rule": "backprop", "estimator": "unrolled"}


@dataclasses.dataclass(kw_only=True)
class CompareLearnersCommand(MetaOptions, _options.CommonOptions):
    """Options of `metaplastic compare --task TASK`."""

    rates: tuple[float, ...] = ()
    """Rates to choose from, by meta-training's own metric: of the lifetime, where the learner has
    one, else of the meta-optimiser; a single one is taken as it is; none: as given."""
    widen: int = 3
    """How many rates beyond the ends of `rates` a learner may try while its best one lies at an
    end, in the steps of the grid."""
    grid_seeds: int = 1
    """How many of the seeds choose the rate."""
    ends: bool = True
    """With rules, add backpropagation and a network that does not change within its lifetime."""


def main(names: list[str], rest: list[str]) -> int:
    """The command, once `compare` has seen `--task`."""
    chosen, rest = _parts.choose_parts(rest, KINDS)
    if "task" not in chosen:
        known = ", ".join(_registry.names("tasks"))
        raise UsageError(f"no task given: metaplastic compare NAME… --task TASK; there is: {known}")
    chosen = {**_DEFAULTS, **chosen}
    parts = {kind: _part_class(kind, name) for kind, name in chosen.items()}
    type_ = _parts.with_parts(CompareLearnersCommand, parts)
    options: Any = _options.parse(rest, type_, command="compare", about=ABOUT)
    own = _options.part(options, MetaOptions)
    own.check()
    base = {
        kind: Part(name, _parts.fields(getattr(options, kind))) for kind, name in chosen.items()
    }
    entrants = [_entrant(text, base) for text in names or _fitting(base, own)]
    if options.ends and any(_kind(text.partition(":")[0]) == "rule" for text in names):
        entrants += _ends(names, base)
    folder = RunFolder.create(options.out, "compare")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic.train.meta_compare import MetaProtocol, meta_compare

        protocol = MetaProtocol(
            options=own,
            rates=tuple(sorted(options.rates)),
            seeds=tuple(range(options.seed, options.seed + options.seeds)),
            grid_seeds=options.grid_seeds,
            widen=options.widen,
        )
        return meta_compare(entrants, protocol, folder=folder, reporter=progress)

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def show(result: dict[str, Any]) -> None:
    """The table of a comparison of learners."""
    from metaplastic.report.learner_tables import learner_table

    rows = result["learners"]
    learner_table(rows).print()
    missing: dict[str, list[str]] = {}
    for row in rows:
        why = (row.get("gradient") or {}).get("no_reference")
        if why:
            missing.setdefault(why, []).append(row["label"])
    for why, labels in missing.items():
        print(f"no gradient error of {', '.join(labels)}: {why}")


def _part_class(kind: str, name: str) -> type:
    member = _registry.load(KINDS[kind], name)
    if kind != "learner":
        return member
    return _parts.signature_class(member, ("task", "rule", "key"))


def _kind(name: str) -> str:
    """Which kind of part a name is; of one's own file, what it holds."""
    for kind in ("learner", "rule", "estimator"):
        if name in _registry.names(KINDS[kind]):
            return kind
    if ".py" not in name:
        known = [
            n for kind in ("learner", "rule", "estimator") for n in _registry.names(KINDS[kind])
        ]
        raise UsageError(f"{name!r} is no learner, rule or estimator: {nearest(name, known)}")
    for kind in ("rule", "estimator", "learner"):
        try:
            _registry.load(KINDS[kind], name)
        except UsageError:
            continue
        return kind
    raise UsageError(f"{name} holds no learner, rule or estimator")


def _entrant(text: str, base: dict[str, Part]) -> tuple[str, Design]:
    """`(label, design)` of `NAME` or `NAME:option=value,…`."""
    name, colon, given = text.rpartition(":")
    if not colon or "=" not in given:
        name, given = text, ""
    own_kind = _kind(name)
    pairs: dict[str, str] = {}
    for pair in filter(None, given.split(",")):
        option, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{text!r}: write the option {option!r} as {option}=value")
        pairs[option.replace("-", "_")] = value
    names = {kind: pairs.pop(kind) for kind in ("learner", "rule", "estimator") if kind in pairs}
    names[own_kind] = name
    parts = {kind: _chosen(kind, names.get(kind), base) for kind in base}
    options: dict[str, dict[str, str]] = {}
    for option, value in pairs.items():
        kind, dot, leaf = option.partition(".")
        if not dot:
            kind, leaf = own_kind, option
        if kind not in parts:
            raise UsageError(f"{text!r}: {nearest(kind, parts)}")
        options.setdefault(kind, {})[leaf] = value
    for kind, values in options.items():
        parts[kind] = _with_options(kind, parts[kind], values)
    if not _has_rule(parts["learner"].name):
        if "rule" in names:
            raise UsageError(f"{text!r}: the learner {parts['learner'].name} takes no rule")
        del parts["rule"]
    return text, Design(**parts)


def _fitting(base: dict[str, Part], options: MetaOptions) -> list[str]:
    """The estimators of a gradient that can work with the learner on the task, by trial."""
    from metaplastic.meta.base import AbstractSearch
    from metaplastic.train.meta_trainer import MetaTrainer

    found, why = [], ""
    for name in _registry.names("estimators"):
        if issubclass(_registry.load("estimators", name), AbstractSearch):
            continue
        try:
            MetaTrainer(*_entrant(name, base)[1].make(), options).check()
        except UsageError as error:
            why = why or str(error)
        else:
            found.append(name)
    if not found:
        raise UsageError(f"no ESTIMATOR given, and none fits: {why}")
    return found


def _chosen(kind: str, name: str | None, base: dict[str, Part]) -> Part:
    return base[kind] if name is None or name == base[kind].name else Part(name)


def _with_options(kind: str, part: Part, values: dict[str, str]) -> Part:
    tokens = [t for leaf, value in values.items() for t in (f"--{leaf}", *value.split("+"))]
    given = _parts.fields(
        _options.parse(tokens, _part_class(kind, part.name), command="compare", about=ABOUT)
    )
    return Part(part.name, {**part.fields, **{leaf: given[leaf] for leaf in values}})


def _has_rule(learner: str) -> bool:
    return "rule" in inspect.signature(_registry.load("learners", learner)).parameters


def _ends(names: list[str], base: dict[str, Part]) -> list[tuple[str, Design]]:
    """Backpropagation within the lifetime, and a network that does not change in it."""
    ends = []
    if "backprop" not in names:
        ends.append(_entrant("backprop", base))
    _, design = _entrant("backprop", base)
    still = Part(design.learner.name, {**design.learner.fields, "rate": 0.0, "rates": "fixed"})
    ends.append(("no change within the lifetime", dataclasses.replace(design, learner=still)))
    return ends
