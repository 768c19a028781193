"""The example's rule, and copies of it with a fault."""

from pathlib import Path

from metaplastic import _registry

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_rule" / "sparse_feedback.py"


def changed(folder: Path, *changes: tuple[str, str]) -> type:
    """The class of a copy of the example in which each `(old, new)` is replaced."""
    source = EXAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in source, f"the example no longer holds {old!r}"
        source = source.replace(old, new)
    path = folder / "changed.py"
    path.write_text(source, encoding="utf-8")
    return _registry.load("rules", str(path))
