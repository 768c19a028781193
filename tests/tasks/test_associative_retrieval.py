"""Associative retrieval: sequences by their letters, how they are distributed, fixed sets."""

import jax
import jax.random as jr
import numpy as np
import pytest

from metaplastic._errors import UsageError
from metaplastic.tasks.associative_retrieval import SYMBOLS, AssociativeRetrieval

TEXT = "abcdefghijklmnopqrstuvwxyz0123456789?"


def drawn(task, key, n=3000):
    """Sequences as text, and their answers."""
    episodes = jax.jit(jax.vmap(task.sample))(jr.split(key, n))
    stream = episodes.stream
    assert stream.y is None and episodes.query is None
    x, target = np.array(stream.x[:, :, 0]), np.array(stream.target[:, :, 0])
    assert (x.sum(-1) == 1).all() and set(np.unique(x)) == {0, 1}
    assert not target[:, :-1].any() and (target[:, -1].sum(-1) == 1).all()
    weight = np.array(stream.weight)
    assert (weight[:, -1] == 1).all() and not weight[:, :-1].any()
    lines = ["".join(TEXT[i] for i in own) for own in x.argmax(-1)]
    return lines, "".join(TEXT[i] for i in target[:, -1].argmax(-1))


@pytest.mark.parametrize("pairs", [1, 3, 26])
def test_the_answer_came_with_the_key(pairs, getkey):
    lines, answers = drawn(AssociativeRetrieval(pairs=pairs), getkey(), n=100)
    for line, answer in zip(lines, answers, strict=True):
        letters, digits = line[: 2 * pairs : 2], line[1 : 2 * pairs : 2]
        assert len(line) == 2 * pairs + 3 and line[-3:-1] == "??"
        assert letters.isalpha() and digits.isdigit() and len(set(letters)) == pairs
        assert dict(zip(letters, digits, strict=True))[line[-1]] == answer


def test_everything_is_equally_likely(getkey):
    task = AssociativeRetrieval(examples=None)
    assert task.input_shape == (SYMBOLS,) == (37,) and task.outputs == 37
    lines, answers = drawn(task, getkey())
    for places, names, tolerance in (([0], TEXT[:26], 0.015), ([1, 3, 5], TEXT[26:36], 0.02)):
        seen = "".join(line[place] for line in lines for place in places)
        shares = np.array([seen.count(name) for name in names]) / len(seen)
        assert abs(shares - 1 / len(names)).max() < tolerance
    asked = np.array([line[:6:2].index(line[-1]) for line in lines])
    assert abs(np.bincount(asked) / len(asked) - 1 / 3).max() < 0.04
    assert len(set(lines)) == len(lines) and len(set(answers)) == 10


def test_fixed_sets_and_others_for_the_test(getkey):
    task = AssociativeRetrieval(examples=50)
    known, other = set(drawn(task, getkey())[0]), set(drawn(task.held_out(), getkey())[0])
    assert len(known) == len(other) == 50 and not known & other
    assert task.held_out().held_out() == task.held_out()
    # A smaller set is a part of a larger one: the k-th sequence depends on k alone.
    fewer = set(drawn(AssociativeRetrieval(examples=20), getkey())[0])
    assert fewer < known


@pytest.mark.parametrize(
    "options, words",
    [
        ({"pairs": 0}, "1 to 26"),
        ({"pairs": 27}, "1 to 26"),
        ({"examples": 0}, "--task.examples 0"),
    ],
)
def test_impossible_tasks_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        AssociativeRetrieval(**options)
