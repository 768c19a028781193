"""A table, made once and shown as text, as Markdown, in a page, or as JSON."""

import dataclasses
from collections.abc import Iterable
from typing import Any

NONE = "—"
"""What stands in a cell that has nothing to say."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as they are shown, and the records that they were made from."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[dict[str, Any], ...] = ()
    """For JSON: one a row, with unrounded numbers."""
    notes: tuple[str, ...] = ()
    right: frozenset[int] = frozenset()
    """Columns of numbers, which are aligned at the right."""

    def print(self) -> None:
        """Print as text, as wide as it needs to be to stay legible."""
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=box.SIMPLE, padding=(0, 1, 0, 0))
        widths = self._widths()
        for i, column in enumerate(self.columns):
            justify = "right" if i in self.right else "left"
            table.add_column(Text(column), justify=justify, width=widths[i])
        for row in self.rows:
            table.add_row(*map(Text, row))
        console = Console(highlight=False)
        console.width = max(console.width, sum(widths) + 4 * len(widths))  # none is squeezed
        if self.title:
            console.print(Text(self.title, "bold"))
        console.print(table)
        for note in self.notes:
            console.print(Text(note))

    def _widths(self) -> list[int]:
        """Columns hold their longest cell and the words of their heads. Cells are cut after 26
        letters, unless that would make two of them alike."""

        def width(cells: list[str], head: str) -> int:
            alike = len({cell[:25] for cell in cells}) < len(set(cells))
            longest = max(map(len, cells), default=0)
            return max([longest if alike else min(26, longest), *map(len, head.split())])

        return [
            width([row[i] for row in self.rows], column) for i, column in enumerate(self.columns)
        ]

    def markdown(self) -> str:
        """As a Markdown table, the title above and the notes below."""
        lines = [f"**{self.title}**", ""] if self.title else []
        lines.append(_markdown_row(self.columns))
        lines.append(_markdown_row("---:" if i in self.right else "---" for i in self._places()))
        lines += map(_markdown_row, self.rows)
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def json(self) -> list[dict[str, Any]]:
        """As records: one a row, numbers as they are."""
        return [dict(record) for record in self.records]

    def _places(self) -> range:
        return range(len(self.columns))


def _markdown_row(cells: Iterable[str]) -> str:
    safe = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(safe)} |"


def digits(value: float) -> str:
    """The format of a number of percent: two places, or two digits of one that is close to 0."""
    return ".2f" if value == 0 or abs(value) >= 0.05 else ".2g"
