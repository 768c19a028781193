"""Progress of long work on standard error: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any


class Progress:
    """Steps per second, current metrics and time left; says when a program is being compiled.

    Use as a context: `begin(total)`, then `update(done, metrics)` after every chunk of steps, and
    `compiling()` before the first chunk of a new program, whose time is left out of the rate.
    """

    def __init__(
        self, *, quiet: bool = False, stream: Any = None, every: float | int = 5.0
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.quiet = quiet
        self.every = every
        """Seconds between lines where there is no terminal."""
        self._bar: Any = None
        self._total, self._unit, self._title = 0, "steps", ""
        self._start: tuple[float, int] | None = None
        self._last_line = -float("inf")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def begin(self, total: int, *, unit: str = "steps", title: str = "") -> None:
        """Start a piece of work of `total` steps; an earlier piece is over."""
        self._stop()
        self._total, self._unit, self._title = total, unit, title
        self._start = (time.monotonic(), 0)
        if not self.quiet and self.stream.isatty():
            self._bar = _Bar(self.stream, total, title)

    def compiling(self, what: str = "") -> None:
        """A program is about to be compiled."""
        self._start = None
        if self._bar is not None:
            self._bar.show(text=f"compiling {what}…".replace(" …", "…"))
        elif not self.quiet:
            self._line(f"compiling {what}…".replace(" …", "…"))

    def update(self, done: int, metrics: Mapping[str, Any] | None = None) -> None:
        """`done` steps are finished; `metrics` are the newest values."""
        now = time.monotonic()
        rate = None
        if self._start is None:  # the chunk that was compiled: count from its end
            self._start = (now, done)
        elif done > self._start[1] and now > self._start[0]:
            rate = (done - self._start[1]) / (now - self._start[0])
        parts = [] if rate is None else [f"{rate:.3g} {self._unit}/s"]
        parts += [f"{name} {value:.4g}" for name, value in (metrics or {}).items()]
        if rate is not None and done < self._total:
            parts.append(f"{_duration((self._total - done) / rate)} left")
        text = " · ".join(parts)
        if self._bar is not None:
            self._bar.show(done=done, text=text)
        elif not self.quiet and (now - self._last_line >= self.every or done >= self._total):
            self._last_line = now
            self._line(f"{self._unit} {done}/{self._total} · {text}".rstrip(" ·"))

    def note(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._bar is not None:
            self._bar.print(text)
        elif not self.quiet:
            self._line(text)

    def _line(self, text: str) -> None:
        print(f"{self._title}: {text}" if self._title else text, file=self.stream, flush=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Bar:
    """The bar of rich, imported only where it is drawn."""

    def __init__(self, stream: Any, total: int, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )
        self._progress = Progress(*columns, console=Console(file=stream))
        self._task = self._progress.add_task(title, total=total, text="")
        self._progress.start()

    def show(self, *, text: str, done: int | None = None) -> None:
        self._progress.update(self._task, completed=done, text=text)

    def print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._progress.stop()


def _duration(seconds: float | int) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
