"""Meta-parameters by path."""

import jax
import pytest
from toys import delta

from metaplastic._errors import UsageError
from metaplastic.learners.paths import matches, paths, select


def test_paths_are_in_the_order_of_fields():
    assert list(paths(delta(jax.random.key(0)))) == ["start", "rate"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("model", True),
        ("model.nodes", True),
        ("model.nodes.1.weight", True),
        ("*.weight", True),
        ("model.nodes.?.weight", True),
        ("mod", False),
        ("nodes", False),
        ("*.bias", False),
    ],
)
def test_patterns(pattern, expected):
    assert matches("model.nodes.1.weight", pattern) == expected


def test_select_marks_what_is_named():
    where = select(delta(jax.random.key(0)), ["rate"], option="freeze")
    assert (where.start, where.rate) == (False, True)


def test_pattern_that_names_nothing():
    with pytest.raises(UsageError, match=r"--freeze strat: no meta-parameter.*'start'"):
        select(delta(jax.random.key(0)), ["strat"], option="freeze")
