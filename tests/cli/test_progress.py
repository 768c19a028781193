"""Progress: plain lines where there is no terminal, a bar where there is one, silence on demand."""

import io

import pytest

from metaplastic.cli import _progress
from metaplastic.cli._progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now[0])
    return now


def work(progress: Progress, clock: list[float]) -> None:
    with progress:
        progress.begin(100, title="seed 0")
        progress.compiling("train")
        for second, done in [(10, 20), (12, 60), (20, 80), (21, 90), (24, 100)]:
            clock[0] = second
            progress.update(done, {"loss": 1 / done})
        progress.note("saved")


def test_lines(clock):
    stream = io.StringIO()
    work(Progress(stream=stream), clock)
    assert stream.getvalue().splitlines() == [
        "seed 0: compiling train…",
        "seed 0: steps 20/100 · loss 0.05",
        "seed 0: steps 80/100 · 6 steps/s · loss 0.0125 · 3 s left",
        "seed 0: steps 100/100 · 5.71 steps/s · loss 0.01",
        "seed 0: saved",
    ]


def test_bar(clock):
    stream = Terminal()
    work(Progress(stream=stream), clock)
    shown = stream.getvalue()
    assert "100/100" in shown
    assert "5.71 steps/s" in shown
    assert "saved" in shown


def test_quiet(clock):
    for stream in (io.StringIO(), Terminal()):
        work(Progress(quiet=True, stream=stream), clock)
        assert stream.getvalue() == ""


def test_bar_goes_away_after_an_error():
    progress = Progress(stream=Terminal())
    with pytest.raises(ZeroDivisionError), progress:
        progress.begin(3)
        raise ZeroDivisionError
    assert progress._bar is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 01 s"), (7384, "2 h 03 min")]
)
def test_durations(seconds, text):
    assert _progress._duration(seconds) == text
