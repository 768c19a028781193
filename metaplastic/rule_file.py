"""Rule files: a discovered rule as tensors and a card, which execute nothing when they are read.

A rule file is a safetensors file. Its tensors are what meta-learning found (the arrays of a rule's
state, by path); its metadata hold a card in JSON: the rule's name and options, the sha256 of every
tensor, the rule as a formula, how it was found, versions, licence. Only rules of this package (or
of a plugin that is installed) are looked up by name; a file of one's own that a rule needs is
imported only where the reader names it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import MetaplasticError, UsageError, nearest
from ._filed_rule import FiledRule as FiledRule, RuleFile as RuleFile
from ._files import write_atomic
from ._json import dumps, plain
from ._rule_card import NotNamedError, Reader, check_card, portable as portable
from ._types import RuleState
from .learners.paths import paths
from .rules.base import AbstractRule

SCHEMA = 1
SUFFIX = ".safetensors"
SHIPPED = Path(__file__).parent / "rules" / "discovered"
"""Rules that come with this package."""
_FORMAT = "metaplastic rule"
_PACKAGES = ("metaplastic", "jax", "equinox", "safetensors")


# Writing


def save(
    path: Path | str, rule: AbstractRule, state: RuleState, card: Mapping[str, Any] | None = None
) -> None:
    """Write a rule with what meta-learning found, wholly or not at all.

    `state` is what lifetimes start from (`learner.state`); feedback that every lifetime draws anew
    is left out. `card` adds what is to be told: `meta_training`, `use` (options of
    `metaplastic train`), `licence`. Raises `UsageError` where the path has another suffix.
    """
    from safetensors import numpy as store

    path = Path(path)
    if path.suffix != SUFFIX:
        raise UsageError(f"{path}: the name of a rule file ends in {SUFFIX}")
    tensors = {name: np.asarray(leaf) for name, leaf in paths(rule.learned(state)).items()}
    text = dumps({**_card(rule, state, tensors), **portable(plain(card or {}))})
    sealed = {"format": _FORMAT, "card": text, "sha256": _digest(text.encode())}
    write_atomic(path, store.save(tensors, sealed))


def _card(rule: AbstractRule, state: RuleState, tensors: Mapping[str, np.ndarray]) -> Any:
    fields = {own.name: getattr(rule, own.name) for own in dataclasses.fields(rule) if own.init}
    return {
        "schema": SCHEMA,
        "rule": {"name": _name_of(rule), "fields": portable(plain(fields))},
        "formula": rule.formula(state),
        "tensors": {name: _tensor_digest(value) for name, value in tensors.items()},
        "versions": {own: metadata.version(own) for own in _PACKAGES},
        "licence": None,
    }


def _name_of(rule: AbstractRule) -> str:
    """A rule's name; of one's own file the file and the class."""
    module = type(rule).__module__
    package = f"{__package__}.rules."
    if module.startswith(package):
        return module.removeprefix(package)
    import inspect

    return f"{Path(inspect.getfile(type(rule))).name}:{type(rule).__name__}"


# Reading


def names() -> tuple[str, ...]:
    """Names of the rules that come with this package."""
    return tuple(sorted(own.stem for own in SHIPPED.glob(f"*{SUFFIX}")))


def find(name_or_path: str | Path) -> Path:
    """The path of a rule file, or of a rule of this package by name.

    Raises `UsageError` where there is none.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    if path.suffix == SUFFIX or len(path.parts) > 1:
        if path.stem in names():
            raise UsageError(
                f"no rule file {str(name_or_path)!r}: did you mean {path.stem!r}, which comes with "
                "metaplastic?"
            )
        beside = path.parent.glob(f"*{SUFFIX}") if path.parent.is_dir() else ()
        advice = nearest(path.name, [own.name for own in beside])
        raise UsageError(f"no rule file {str(name_or_path)!r}: {advice}")
    if str(path) not in names():
        raise UsageError(f"unknown rule file {str(path)!r}: {nearest(str(path), names())}")
    return SHIPPED / f"{path}{SUFFIX}"


def load(name_or_path: str | Path, *, own: Sequence[str] = ()) -> FiledRule:
    """The rule of a file (or of this package, by name); it starts from the file's values.

    `own`: files of one's own that the rule needs, `./mine.py:my_term`; nothing else is imported.
    Raises `UsageError` where the rule is unknown or needs a file that is not named, and
    `MetaplasticError` where the file is damaged, changed, or of a newer schema.
    """
    file = read(find(name_or_path))
    described, reader = file.card["rule"], Reader(own, file.path)
    try:
        kind = reader.rule(described["name"])
        rule = kind(**reader.fields(kind, described["fields"]))
    except NotNamedError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        made = file.card.get("versions", {}).get("metaplastic")
        raise UsageError(
            f"{file.path} holds a rule that this metaplastic cannot make ({error}): it was written "
            f"by version {made}"
        ) from error
    reader.check(rule)
    return FiledRule(rule=rule, file=file, loss=rule.loss)  # pyright: ignore[reportCallIssue]


def read(path: Path) -> RuleFile:
    """What a file holds, checked; nothing of it is made or imported."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    sealed = _metadata(path, data)
    from safetensors import SafetensorError, numpy as store

    try:
        tensors = store.load(data)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise MetaplasticError(
            f"{path} is damaged, perhaps cut short ({error}): restore it from a copy"
        ) from error
    try:
        card = _open(path, sealed, tensors)
    except RecursionError as error:
        raise MetaplasticError(f"{path} is no rule file: its card is nested too deep") from error
    return RuleFile(path, card, tensors, data)


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    """The metadata of a safetensors file, which stand before its tensors."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 9 or data[8:9] != b"{":
        raise MetaplasticError(f"{path} is no rule file: it does not begin like safetensors")
    if len(data) < 8 + size:
        raise MetaplasticError(f"{path} is damaged, it ends too early: restore it from a copy")
    try:
        found = json.loads(data[8 : 8 + size]).get("__metadata__") or {}
    except (ValueError, AttributeError, RecursionError) as error:
        raise MetaplasticError(f"{path} is damaged ({error}): restore it from a copy") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise MetaplasticError(
            f"{path} is no rule file: its metadata hold no card of a metaplastic rule"
        )
    return found


def _open(path: Path, sealed: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> Any:
    """The card, if it and the tensors are what was written."""
    text = sealed.get("card", "")
    changed = MetaplasticError(
        f"{path} has been changed since it was written (a checksum is wrong): get it anew from "
        "where it came from"
    )
    if _digest(text.encode()) != sealed.get("sha256"):
        raise changed
    try:
        card = json.loads(text)
    except ValueError as error:
        raise MetaplasticError(f"{path} is no rule file: its card does not parse") from error
    schema = card.get("schema") if isinstance(card, dict) else None
    if type(schema) is int and schema > SCHEMA:
        raise MetaplasticError(
            f"{path} was written by a newer metaplastic (its schema is above {SCHEMA}, the newest "
            "that this one reads): upgrade this one"
        )
    check_card(card, path)
    if card["tensors"] != {name: _tensor_digest(value) for name, value in tensors.items()}:
        raise changed
    for name, value in tensors.items():
        if not (np.issubdtype(value.dtype, np.floating) and np.isfinite(value).all()):
            raise MetaplasticError(
                f"{path} holds values of {name} that are not finite numbers: no rule can run on it"
            )
    return card


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tensor_digest(value: np.ndarray) -> str:
    """Of a tensor's type, shape and numbers."""
    about = f"{value.dtype.str} {list(value.shape)} ".encode()
    return _digest(about + np.ascontiguousarray(value).tobytes())
