"""Killed at any moment and resumed, a run ends as if nothing had happened."""

import os
import random
import signal
import time

import pytest
from processes import assert_same_run, checkpoint_names

OPTIONS = ["--data", "digits", "--hidden", "8", "--epochs", "10", "--seeds", "2", "--quiet"]
OPTIONS += ["--checkpoint-every", "1", "--validation", "100", "--no-alignment"]
TRAIN = ["train", "feedback_alignment", *OPTIONS]
COMPARE = ["compare", "feedback_alignment", "shallow", "--no-ends", "--rates", "0.01", "0.1"]
COMPARE += OPTIONS


@pytest.fixture(scope="module")
def reference(line):
    """The run that nobody disturbed."""
    status, _, err = line.run(*TRAIN, "--out", "reference")
    assert (status, err) == (0, "")
    return line.folder / "reference"


def moment(run, name: str):
    """When to strike."""
    return {
        "before the first checkpoint": lambda: (run / "config.json").exists(),
        "between checkpoints": lambda: "40" in checkpoint_names(run),
        "while a checkpoint is written": lambda: any(
            "tmp" in own and not own.startswith("20") for own in checkpoint_names(run)
        ),
    }[name]


def strike(line, number, name, run, *argv) -> str:
    """Start a command, stop it in that moment, and see that it was in the middle of its work."""
    status, err = line.stop(number, moment(run, name), *argv)
    assert status == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert not (run / "result.json").exists()
    return err


def test_killed_while_a_checkpoint_is_written(line, reference):
    run = line.folder / "killed"
    strike(line, signal.SIGKILL, "while a checkpoint is written", run, *TRAIN, "--out", "killed")
    assert line.run("resume", "killed", "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)


@pytest.mark.slow
def test_interrupted_says_how_to_resume_and_can_be(line, reference):
    run = line.folder / "interrupted"
    argv = [*TRAIN, "--out", "interrupted"]
    err = strike(line, signal.SIGINT, "between checkpoints", run, *argv)
    assert err == ("metaplastic: interrupted: `metaplastic resume interrupted` continues the run\n")
    assert line.run("resume", "interrupted", "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["before the first checkpoint", "between checkpoints"])
def test_killed_at_a_moment(line, reference, name):
    out = name.replace(" ", "-")
    strike(line, signal.SIGKILL, name, line.folder / out, *TRAIN, "--out", out)
    assert line.run("resume", out, "--quiet")[::2] == (0, "")
    assert_same_run(line.folder / out, reference)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_twice_at_random(line, reference, seed):
    """Moments are drawn from the time that a run takes once its folder is there."""
    out, draw = f"random-{seed}", random.Random(seed)
    run = line.folder / out
    for argv in ([*TRAIN, "--out", out], ["resume", out, "--quiet"]):
        seen: list[float] = []
        wait = draw.uniform(0, 4)

        def now(seen: list[float] = seen, wait: float = wait) -> bool:
            if not seen and (run / "config.json").exists():
                seen.append(time.monotonic())
            return bool(seen) and time.monotonic() - seen[0] > wait

        line.stop(signal.SIGKILL, now, *argv)
    assert line.run("resume", out, "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("folders", [1, 2, 3, 4])
def test_comparison_is_killed(line, folders):
    """In the grid and in the final run of the first rule, and of the second."""
    whole = line.folder / "whole-comparison"
    if not whole.exists():
        assert line.run(*COMPARE, "--out", whole.name)[::2] == (0, "")
    run = line.folder / f"comparison-{folders}"

    def now() -> bool:
        return sum(path.endswith("checkpoints") for path, *_ in os.walk(run)) == folders

    status, _ = line.stop(signal.SIGKILL, now, *COMPARE, "--out", run.name)
    assert status == -signal.SIGKILL
    assert not (run / "result.json").exists()
    assert line.run("resume", run.name, "--quiet")[::2] == (0, "")
    assert_same_run(run, whole)
