"""The Sphinx extension: writes the generated pages, and stops the build on a missing name."""

from pathlib import Path
from typing import Any

from sphinx.errors import SphinxError

from . import coverage, pages


class Undocumented(SphinxError):
    """A public name is missing from the documentation."""

    category = "All public names must be documented"


def setup(app: Any) -> dict[str, Any]:
    """Connect to Sphinx."""
    app.connect("builder-inited", write_pages)
    app.connect("env-check-consistency", check_names)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_pages(app: Any) -> None:
    """Bring docs/generated up to date; files that are as they should be stay untouched."""
    folder = Path(app.srcdir) / "generated"
    wanted = pages.build(Path(app.srcdir))
    for path in sorted(folder.rglob("*.md")):
        if str(path.relative_to(folder)) not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def check_names(app: Any, env: Any) -> None:
    """Raise `Undocumented`, with a line for each name, unless all are there."""
    del app
    names = [*coverage.public_names(pages.PACKAGE), *coverage.members()]
    problems = coverage.undocumented(names, env.domains["py"].objects)
    if problems:
        raise Undocumented("\n" + "\n".join(problems))
