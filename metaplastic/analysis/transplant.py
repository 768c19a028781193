"""What one learner has learned, in another: arrays by path, where their shapes agree."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import jax

from .._errors import UsageError, nearest
from ..learners.base import AbstractLearner
from ..learners.paths import is_inexact, matches, path_name, paths


class Transplanted(NamedTuple):
    """A learner with another's meta-parameters."""

    learner: Any
    copied: tuple[str, ...]
    """Paths of the arrays that it has from the other."""
    anew: tuple[str, ...]
    """Paths of those that it has kept as it was built."""
    dropped: tuple[str, ...]
    """Paths of the other's arrays for which it has no place."""


def transplant(source: Any, target: Any, *, fresh: Iterable[str] = ()) -> Transplanted:
    """`target` with every meta-parameter of `source` whose path and shape agree.

    `fresh` holds patterns of paths that stay as the target was built (or are left behind) where
    they do not agree: initial weights that are drawn anew in every lifetime, say. Both are learners
    (or the arrays of learners, stacked alike). Raises `UsageError`, naming path and shapes, for a
    mismatch anywhere else.
    """
    fresh, given, wanted = tuple(fresh), paths(source), paths(target)
    for pattern in fresh:
        if not any(matches(name, pattern) for name in {**given, **wanted}):
            raise UsageError(
                f"--fresh {pattern}: neither learner has an array of this path; "
                + nearest(pattern, {**given, **wanted})
            )
    copied = tuple(n for n, leaf in wanted.items() if _shape(given, n) == leaf.shape)
    anew = tuple(name for name in wanted if name not in copied)
    dropped = tuple(name for name in given if name not in wanted)
    for name in (*anew, *dropped):
        if not any(matches(name, pattern) for pattern in fresh):
            if isinstance(target, AbstractLearner):
                target.admit(source)  # which may know better what is wrong
            raise _mismatch(name, _shape(given, name), _shape(wanted, name))

    def one(path: tuple[Any, ...], leaf: Any) -> Any:
        name = path_name(path)
        return given[name].astype(leaf.dtype) if is_inexact(leaf) and name in copied else leaf

    learner = jax.tree_util.tree_map_with_path(one, target)
    return Transplanted(learner, copied, anew, dropped)


def free_paths(
    source: Any, target: Any, free: Callable[[Iterable[str]], Collection[str]]
) -> tuple[str, ...]:
    """Paths that do not agree and hold nothing that was learned, so that they may be drawn anew.

    `free(paths)` says which of the source's paths hold nothing that was learned. A path that only
    one of the two has is free where all that lies beside it in the source is: the weights of one
    layer more, where those of the others were not learned.
    """
    given, wanted = paths(source), paths(target)
    unequal = [n for n in {**given, **wanted} if _shape(given, n) != _shape(wanted, n)]
    beside = {name: _beside(name, given) for name in unequal}
    empty = set(free(set().union(*beside.values()))) if unequal else set()
    return tuple(name for name in unequal if beside[name] <= empty)


def _beside(name: str, given: Mapping[str, Any]) -> set[str]:
    """The path itself, or the source's paths that share the most of its beginning with it."""
    if name in given:
        return {name}
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:cut])
        if found := {own for own in given if matches(own, head)}:
            return found
    return set(given)


def _shape(arrays: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
    return arrays[name].shape if name in arrays else None


def _mismatch(
    name: str, given: tuple[int, ...] | None, wanted: tuple[int, ...] | None
) -> UsageError:
    if wanted is None:
        what = f"is learned, with shape {given}, and has no place in the other learner"
    elif given is None:
        what = f"of shape {wanted} is not among what was learned"
    else:
        what = f"was learned with shape {given}, the other learner's has {wanted}"
    return UsageError(f"{name} {what}: pass --fresh {name} to do without what was learned there")
