"""Rule files that a command is given, and the files of one's own that they need."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from metaplastic import _registry
from metaplastic._errors import UsageError

if TYPE_CHECKING:
    from metaplastic.rule_file import RuleFile


@dataclasses.dataclass(kw_only=True)
class OwnFiles:
    """The option of commands that read rule files."""

    own: tuple[str, ...] = ()
    """Files of your own that a rule file needs, ./mine.py:my_term; nothing else is imported."""


def gather(argv: list[str], option: str) -> list[str]:
    """The arguments with `--option A … --option B` as one `--option A B`, so that none is lost.

    Raises `UsageError` where one of them has no value.
    """
    word, rest, values = f"--{option}", list[str](), list[str]()
    count = None
    """Of the values at the last `--option`, while they are read."""
    for token in [*argv, "--"]:
        name, equals, value = token.partition("=")
        if token.startswith("-") and count == 0:
            raise UsageError(f"{word} needs a name: {word} NAME")
        if name.replace("_", "-") == word:
            values += [value] if equals else []
            count = None if equals else 0
        elif count is None or token.startswith("-"):
            rest.append(token)
            count = None
        else:
            values.append(token)
            count += 1
    return rest[:-1] + ([word, *values] if values else [])


def entrants(
    given: Sequence[str], own: Sequence[str], names: Sequence[str]
) -> list[tuple[str, str, Any]]:
    """`(label, name, rule)` of each rule file of a comparison, beside the rules `names`.

    Raises `UsageError` for a file that is named twice, by whatever path, and for one of `own` that
    none of them needs.
    """
    if not given and not own:
        return []
    from metaplastic import rule_file
    from metaplastic._rule_card import needed_of

    files = [rule_file.read(rule_file.find(path)) for path in given]
    _check_different(given, files)
    needed = [needed_of(file.card, own) for file in files]
    for path in own:
        if not any(path in paths for paths in needed):
            raise UsageError(f"--own {path}: no rule file here has a use for it, leave it out")
    labels = _labels(files, {*names, *_registry.names("rules")})
    return [
        (label, file.path.stem, rule_file.load(file.path, own=paths))
        for label, file, paths in zip(labels, files, needed, strict=True)
    ]


def _check_different(given: Sequence[str], files: Sequence["RuleFile"]) -> None:
    """Raise `UsageError` where two of the files hold the same."""
    seen: dict[str, str] = {}
    for path, file in zip(given, files, strict=True):
        first = seen.setdefault(file.sha256, path)
        if path == first and list(given).count(path) > 1:
            raise UsageError(f"--rule-file {path} is named twice: name it once")
        if path != first:
            raise UsageError(f"--rule-file {first} and {path} hold the same rule: name one of them")


def _labels(files: Sequence["RuleFile"], taken: Collection[str]) -> list[str]:
    """What the files are called: by their names, and where that does not tell them from other
    entrants, by as many of their folders as do."""
    ways = [file.path.absolute().with_suffix("").parts for file in files]

    def label(i: int) -> str:
        others = [way for j, way in enumerate(ways) if j != i]
        for count in range(1, len(ways[i])):
            tail = ways[i][-count:]
            found = "/".join(tail)
            if found not in taken and all(way[-count:] != tail for way in others):
                return found
        raise UsageError(
            f"--rule-file {files[i].path}: another has the same name but for its suffix: rename one"
        )

    return [label(i) for i in range(len(files))]
