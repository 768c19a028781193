"""The Sphinx extension: writes the generated pages, and stops the build on a missing name."""

from pathlib import Path
from typing import Any

from sphinx.util import logging

from . import coverage, pages

_LOGGER = logging.getLogger(__name__)


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
    """Fail the build, with a line for each public name that is not documented."""
    objects = env.domains["py"].objects
    for own in pages.PACKAGE.public(""):  # a link to `Trainer` means the page that defines it
        if own.full in objects:
            objects[own.full] = objects[own.full]._replace(aliased=True)
    names = [*coverage.public_names(pages.PACKAGE), *coverage.members()]
    for problem in coverage.undocumented(names, objects):
        _LOGGER.error(problem)
        app.statuscode = 1
