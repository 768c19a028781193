"""Terms of a pool that act in some layers alone: `ehebb=2,3`."""

from collections.abc import Collection, Sequence

from .._errors import UsageError, nearest


def read_only(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The layers, counted from 1, in which a term acts, by its name.

    Raises `UsageError` for what is not TERM=LAYERS.
    """
    return dict(map(_read, texts))


def check_only(texts: Sequence[str], names: Collection[str]) -> None:
    """Raises `UsageError` for a term that is not in the pool, or that is named twice."""
    limited = [_read(text)[0] for text in texts]
    for text, name in zip(texts, limited, strict=True):
        if name not in names:
            raise UsageError(
                f"--rule.only {text}: {name} is none of the terms; {nearest(name, names)}"
            )
        if limited.count(name) > 1:
            raise UsageError(
                f"--rule.only names {name} twice: write all of its layers together, {name}=1,2"
            )


def check_layers(texts: Sequence[str], layers: int) -> None:
    """Raises `UsageError` for a layer that the network does not have."""
    for text in texts:
        name, where = _read(text)
        if any(not 1 <= index <= layers for index in where):
            raise UsageError(
                f"--rule.only {text}: the network has {layers} layers, {name} can act in 1 to "
                f"{layers}"
            )


def _read(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, where = text.partition("=")
    try:
        return name, tuple(int(own) for own in where.split(","))
    except ValueError:
        raise UsageError(f"--rule.only {text}: write TERM=LAYERS, such as ehebb=2,3") from None
