"""The card of a rule file: whether it is what it should be, and what it may name.

Whatever of a card becomes a part of the program is on a list: a rule of this package or of an
installed plugin; fields of that rule, by their type hints; in free text, names that the rule knows,
or files that the reader has named. Nothing is recognised as dangerous, all else is refused.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from . import _registry
from ._errors import MetaplasticError, UsageError, nearest
from ._hints import misfit

_OWN = re.compile(r"(?:.*[/\\])?(?P<file>[^/\\]+\.py)(?P<name>:\w+)?(?P<rest>=.*)?")
_TABLES = ("rule", "tensors", "versions", "meta_training", "use")
"""Parts of a card that are tables; the first two there must be."""


def portable(value: Any) -> Any:
    """The value with paths of files of one's own cut down to their names, as a card has them."""
    if isinstance(value, str):
        own = _OWN.fullmatch(value)
        return value if own is None else "".join(part or "" for part in own.groups())
    if isinstance(value, dict):
        return {name: portable(item) for name, item in value.items()}
    return [portable(item) for item in value] if isinstance(value, list) else value


def check_card(card: Any, path: Path) -> None:
    """Raise `MetaplasticError` for a card without its parts, or with something else in them."""
    broken = f"{path} is no rule file: its card does not parse"
    if not isinstance(card, dict) or type(card.get("schema")) is not int or card["schema"] < 1:
        raise MetaplasticError(broken)
    for name in _TABLES:
        if not isinstance(card.get(name, {} if name in _TABLES[2:] else None), dict):
            raise MetaplasticError(f"{broken} ({name!r} is no table)")
    rule = card["rule"]
    if not isinstance(rule.get("name"), str) or not isinstance(rule.get("fields"), dict):
        raise MetaplasticError(f"{broken} ('rule' needs a name and fields)")
    if not isinstance(card.get("formula"), str | None):
        raise MetaplasticError(f"{broken} ('formula' is no text)")
    for text in _texts(card):
        if not text.replace("\n", " ").isprintable():
            raise MetaplasticError(f"{broken} (it holds control characters)")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.items() for own in item for text in _texts(own)]
    return [text for own in value for text in _texts(own)] if isinstance(value, list) else []


class Reader:
    """Who loads a file, with the files of their own that they name."""

    def __init__(self, own: Sequence[str], path: Path):
        """`own` by what a card calls them, `mine.py:name`. Raises `UsageError` where one is not
        there."""
        self._path, self._used = path, set[str]()
        self._own = {portable(given): given for given in own}
        for given in own:
            file, dot, _ = given.rpartition(".py")
            if not Path(file + dot).expanduser().is_file():
                raise UsageError(f"--own {given}: there is no file {file + dot or given!r}")

    def rule(self, name: str) -> Any:
        """The class of a rule of this package, of a plugin, or of a named file."""
        return _registry.load("rules", self._named(name, _registry.names("rules"), "rules"))

    def fields(self, kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a rule, checked. Raises `UsageError` for one that is not of its type."""
        hints = get_type_hints(kind)
        own = {field.name for field in dataclasses.fields(kind) if field.init}
        for name in given.keys() - own:
            raise UsageError(f"unexpected keyword {name!r}")
        return {name: self._field(kind, name, hints[name], v) for name, v in given.items()}

    def _field(self, kind: Any, name: str, hint: Any, value: Any) -> Any:
        wanted = misfit(hint, value)
        if wanted is not None:
            raise UsageError(f"{name} is {value!r} where {wanted} belongs")
        known = kind.known_names(name) if _is_free_text(hint) else None
        if isinstance(value, str):
            return value if known is None else self._named(value, known, name)
        if not isinstance(value, list):
            return value
        return tuple(own if known is None else self._named(own, known, name) for own in value)

    def _named(self, text: str, known: Collection[str], what: str) -> str:
        """`NAME` or `NAME=VALUE`, where a named file stands as the reader gave it."""
        name, equals, value = text.partition("=")
        if name in known:
            return text
        if name in self._own:
            self._used.add(name)
            return f"{self._own[name]}{equals}{value}"
        raise self._refusal(name, known, what)

    def _refusal(self, name: str, known: Collection[str], what: str) -> UsageError:
        file = name.partition(":")[0]
        if not file.endswith(".py"):
            word = {"rules": "rule", "terms": "term"}.get(what, what)
            return UsageError(f"unknown {word} {name!r}: {nearest(name, known)}")
        short = Path(name).name
        return NotNamedError(
            f"{self._path} needs {name}, a file that did not come with it, and rule files execute "
            f"nothing: if you have it and trust it, name it, --own ./{short}"
        )

    def check(self, rule: Any) -> None:
        """Raise `UsageError` where a rule would import what was not named, or a name has no use.

        It asks the rule itself, whatever became of the text of the card.
        """
        allowed = {absolute(given) for given in self._own.values()}
        for needed in rule.own_files():
            if absolute(needed) not in allowed:
                raise NotNamedError(f"{self._path} needs {needed}, which --own does not name")
        for name in self._own.keys() - self._used:
            raise UsageError(
                f"--own {self._own[name]}: {self._path} has no use for it, it needs "
                + (", ".join(sorted(self._used)) or "nothing of your own")
            )


class NotNamedError(UsageError):
    """A file of one's own that a rule file needs, and nobody has named."""


def needed_of(card: Mapping[str, Any], own: Sequence[str]) -> tuple[str, ...]:
    """Those of one's own files that a card's rule names, where several cards share a list."""
    named = {text.partition("=")[0] for text in _texts(card["rule"])}
    return tuple(given for given in own if portable(given) in named)


def absolute(given: str) -> str:
    """A file of one's own, `./mine.py:my_term`, as it is found from any folder."""
    file, dot, name = given.rpartition(".py")
    return f"{Path(file + dot).expanduser().resolve()}{name}"


def _is_free_text(hint: Any) -> bool:
    """Is it made of texts that are not words of a `Literal`?"""
    if get_origin(hint) is Literal:
        return False
    return hint is str or any(_is_free_text(own) for own in get_args(hint))


def used_options(card: Mapping[str, Any], hints: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What a card says of options that it may set. Raises `UsageError` for a wrong type."""
    found = {name: value for name, value in card.get("use", {}).items() if name in hints}
    for name, value in found.items():
        wanted = misfit(hints[name], value)
        if wanted is not None:
            option = name.replace("_", "-")
            raise UsageError(f"{path}: its card has --{option} {value!r} where {wanted} belongs")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
