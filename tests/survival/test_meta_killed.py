"""Meta-training that is killed at any moment and resumed ends as if nothing had happened."""

import random
import signal
import time

import pytest
from processes import assert_same_run, checkpoint_names

META = ["meta", "online", "--task", "sinusoid", "--learner.hidden", "6", "--steps", "40", "--quiet"]
META += ["--seeds", "2", "--record-every", "4", "--checkpoint-every", "4", "--test-every", "8"]
META += ["--test-lifetimes", "5"]


@pytest.fixture(scope="module")
def reference(line):
    """The run that nobody disturbed."""
    status, _, err = line.run(*META, "--out", "reference")
    assert (status, err) == (0, "")
    return line.folder / "reference"


@pytest.mark.slow
def test_killed_between_checkpoints(line, reference):
    run = line.folder / "killed"
    status, _ = line.stop(
        signal.SIGKILL, lambda: "8" in checkpoint_names(run), *META, "--out", "killed"
    )
    assert status == -signal.SIGKILL
    assert not (run / "result.json").exists()
    assert line.run("resume", "killed", "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)


@pytest.mark.slow
def test_interrupted_says_how_to_resume_and_can_be(line, reference):
    run = line.folder / "interrupted"
    status, err = line.stop(
        signal.SIGINT, lambda: "8" in checkpoint_names(run), *META, "--out", "interrupted"
    )
    assert status == 130
    assert err == ("metaplastic: interrupted: `metaplastic resume interrupted` continues the run\n")
    assert line.run("resume", "interrupted", "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_twice_at_random(line, reference, seed):
    """Moments are drawn from the time that a run takes once its folder is there."""
    out, draw = f"random-{seed}", random.Random(seed)
    run = line.folder / out
    for argv in ([*META, "--out", out], ["resume", out, "--quiet"]):
        seen: list[float] = []
        wait = draw.uniform(0, 4)

        def now(seen: list[float] = seen, wait: float = wait) -> bool:
            if not seen and (run / "config.json").exists():
                seen.append(time.monotonic())
            return bool(seen) and time.monotonic() - seen[0] > wait

        line.stop(signal.SIGKILL, now, *argv)
    assert line.run("resume", out, "--quiet")[::2] == (0, "")
    assert_same_run(run, reference)
