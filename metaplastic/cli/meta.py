"""Meta-train a learner: what its lifetimes start from, and how they change."""

import dataclasses
import inspect
from typing import Any

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.cli import _options, _parts, _running
from metaplastic.cli._progress import Progress
from metaplastic.report.records import RunFolder
from metaplastic.train.design import Design, Part
from metaplastic.train.meta_options import MetaOptions

_ABOUT = (
    "Meta-train LEARNER (`metaplastic list learners`, or your own file.py:name) on the lifetimes "
    "of a task: --task NAME; --estimator NAME says how lifetimes are differentiated, and --rule "
    "NAME trains the learner `online`. Their options are --task.…, --estimator.…, --rule.…, "
    "--learner.…"
)
_USAGE = "meta LEARNER --task TASK [--rule RULE] [--estimator ESTIMATOR] [OPTIONS]"
_PARTS = ("rule", "task", "estimator")


@dataclasses.dataclass(kw_only=True)
class MetaCommand(MetaOptions, _options.CommonOptions):
    """Options of `metaplastic meta`."""


def main(argv: list[str]) -> int:
    """`metaplastic meta LEARNER --task TASK`."""
    if _options.wants_help(argv):
        _options.parse(["--help"], MetaCommand, command="meta LEARNER --task TASK", about=_ABOUT)
    name, rest = _options.take_name(argv, "learner", _USAGE)
    chosen, rest = _parts.choose_parts(rest, _PARTS)
    builder = _load_learner(name)
    helped = bool({"-h", "--help"} & set(rest))
    if "task" not in chosen and not helped:
        raise UsageError(f"no task given: metaplastic {_USAGE}")
    chosen.setdefault("estimator", "unrolled")
    if "rule" in inspect.signature(builder).parameters:
        chosen.setdefault("rule", "backprop")
    kinds = {"rule": "rules", "task": "tasks", "estimator": "estimators"}
    parts = {part: _registry.load(kinds[part], own) for part, own in chosen.items()}
    parts["learner"] = _parts.signature_class(builder, ("task", "rule", "key"))
    options: Any = _options.parse(
        rest, _parts.with_parts(MetaCommand, parts), command=f"meta {name}", about=_ABOUT
    )
    own = _options.part(options, MetaOptions)
    own.check()
    given = {
        part: Part(chosen.get(part, name), _parts.fields(getattr(options, part))) for part in parts
    }
    design = Design(**given)
    folder = RunFolder.create(options.out, f"meta-{_registry.describe('learners', name).name}")

    def work(progress: Progress) -> dict[str, Any]:
        from metaplastic.train import meta_run

        return meta_run.run(
            design, own, seed=options.seed, seeds=options.seeds, folder=folder, reporter=progress
        )

    return _running.run_into(folder, work, show, quiet=options.quiet, json=options.json)


def resume(folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Continue a run of `metaplastic meta`, for `metaplastic resume`."""
    from metaplastic.train import meta_run

    return meta_run.resume(folder, reporter=progress)


def show(result: dict[str, Any]) -> None:
    """The result in a few lines for people."""
    test, loss = result["test"], result["meta_loss"]
    rule = f" {result['rule']}" if result["rule"] else ""
    print(f"{result['learner']}{rule} on {result['task']}, {result['estimator']}")
    print(f"meta-loss {loss['first']:.4g} -> {loss['last']:.4g}, {result['seconds']:.1f} s")
    low, high = test["interval"]
    spread = f" ± {test['std']:.4g} ({test['n']} seeds)" if test["n"] > 1 else ""
    print(
        f"test {test['metric']} {test['mean']:.4g}{spread}, 95 % interval {low:.4g} to {high:.4g}"
        f" over lifetimes; {test['before']:.4g} before meta-training"
    )
    if result.get("discovered"):
        found = result["discovered"]
        print(f"the rule of seed {found['seed']}:\n{found['formula']}\nrule file: {found['file']}")
    if any(result["skipped"] or ()):
        print(f"meta-steps that were skipped, by seed: {result['skipped']}")
    if result.get("warning"):
        print(result["warning"])


def _load_learner(name: str) -> Any:
    try:
        return _registry.load("learners", name)
    except UsageError as error:
        if name in _registry.names("rules"):
            raise UsageError(
                f"{name} is a rule, not a learner: metaplastic meta online --rule {name} …"
            ) from error
        raise
