"""The cue-reward task: what a trial is, what can be known, how often the target is there."""

import jax
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.cue_reward import CueReward


def streams(task, key, n=100):
    """`(x, answers, weight)` of lifetimes, moments second."""
    stream = jax.jit(jax.vmap(task.sample))(jr.split(key, n)).stream
    assert stream.y is None
    return np.array(stream.x[:, :, 0]), np.array(stream.target[:, :, 0]), np.array(stream.weight)


def trials(x, answers):
    """The trials of a lifetime: `(cues, blanks, was the target there)`, read moment by moment."""
    found, cues, blanks, since = [], [], 0, 0
    for moment, row in enumerate(x):
        bits, (asked, _, told) = row[:-3], row[-3:]
        if told:
            since = moment + 1
            assert not bits.any() and (told > 0) == found[-1][2]
            cues, blanks = [], 0
        elif asked:
            found.append((cues, blanks, bool(answers[moment].argmax())))
        elif bits.any():
            assert moment > since, "a trial begins with a blank"
            cues.append(tuple(bits))
        else:
            blanks += moment > since
    return found


def test_trials_are_consistent_with_one_target(getkey):
    task = CueReward()
    x, answers, weight = streams(task, getkey())
    np.testing.assert_allclose(weight.sum(1), 1, rtol=1e-6)
    assert ((weight > 0) == (x[:, :, -3] == 1)).all()
    np.testing.assert_allclose(x[0, :, -2], np.arange(120) / 120, rtol=1e-6)
    shares, pauses = [], []
    for own, said in zip(x, answers, strict=True):
        seen = trials(own, said)
        assert 15 <= len(seen) + 1 <= 25
        known = {cue for cues, _, _ in seen for cue in cues}
        assert len(known) <= 4
        possible = known
        for cues, blanks, there in seen:
            assert len(set(cues)) == 2 and set(np.abs(cues).flat) == {1}
            possible = {cue for cue in possible if (cue in cues) == there}
            shares.append(there)
            pauses.append(blanks)
        assert len(possible) == 1
    assert abs(np.mean(shares) - 0.5) < 0.05
    assert abs(np.bincount(pauses) / len(pauses) - 0.25).max() < 0.05


def test_a_lifetime_of_one_trial(getkey):
    task = CueReward(bits=3, cues=2, moments=5, pause=0)
    x, answers, _ = streams(task, getkey(), n=20)
    for own, said in zip(x, answers, strict=True):
        # Both cues are shown, so that the target always is.
        [(cues, blanks, there)] = trials(own, said)
        assert len(cues) == 2 and blanks == 0 and there


@pytest.mark.parametrize(
    "options, words",
    [
        ({"bits": 0}, "--task.bits 0"),
        ({"cues": 1}, "--task.cues 1"),
        ({"pause": -1}, "--task.pause -1"),
        ({"moments": 7}, "--task.moments 7: a trial takes up to 8"),
    ],
)
def test_impossible_tasks_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        CueReward(**options)
