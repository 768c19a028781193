"""The kit for rules: all tables of checks in order, and the functions that run them."""

import inspect
from collections.abc import Iterable
from typing import Any

import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..rules.base import AbstractRule
from . import _batches, _declaration, _learning, _properties, _structure, _transforms
from ._findings import Finding, Table, run_checks
from ._subject import Subject

CHECKS: Table = {
    **_declaration.CHECKS,
    **_structure.CHECKS,
    **_transforms.CHECKS,
    **_batches.CHECKS,
    **_learning.CHECKS,
    **_properties.CHECKS,
}


def check_rule(
    rule_or_class: Any,
    *,
    only: Iterable[str] | None = None,
    key: Key | None = None,
) -> list[Finding]:
    """One finding a check, for a rule or the class of one, which is made with its defaults.

    `only` names the checks that are wanted (`check_names`). Networks are small and steps few: the
    whole takes seconds. A rule may refuse a kind of network with a `UsageError`, but not the dense
    one. Raises `UsageError` for what is no rule and for an unknown check.
    """
    kind = rule_or_class if isinstance(rule_or_class, type) else type(rule_or_class)
    if not issubclass(kind, AbstractRule) or inspect.isabstract(kind):
        raise UsageError(
            f"{kind.__name__} is no rule: derive it from metaplastic.rules.base.AbstractRule, "
            "with all its methods"
        )
    subject = Subject(rule_or_class, jr.key(0) if key is None else key)
    return run_checks(CHECKS, subject, only=only, path=subject.path)
