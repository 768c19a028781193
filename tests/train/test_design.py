"""Designs by name: made, recorded, restored, and refused in one sentence."""

import json

import jax
import pytest

from metaplastic._errors import UsageError
from metaplastic.train.design import Design, Part, restore_design


def design(**parts) -> Design:
    given = {
        "learner": Part("online", {"hidden": (3,), "rate": 0.1}),
        "rule": Part("backprop"),
        "task": Part("sinusoid", {"shots": 2}),
    }
    return Design(**{**given, **parts})


def test_it_makes_its_parts():
    made = design(estimator=Part("unrolled", {"rematerialise": "steps"})).make()
    learner = made.build(jax.random.key(0))
    assert learner.rate == 0.1
    assert learner.rule.loss == "squared_error"
    assert (made.task.shots, made.estimator.rematerialise) == (2, "steps")


def test_record_and_restore():
    own = design()
    record = json.loads(json.dumps(own.record()))
    restored = restore_design(record)
    assert restored == own
    assert record["learner"]["name"] == "online"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"rule": None}, "the learner online is trained by a rule"),
        ({"task": Part("sinusoid", {"shot": 2})}, "the task sinusoid has no option 'shot'.*shots"),
        ({"learner": Part("online", {"hiden": 2})}, "the learner online has no option 'hiden'"),
        ({"learner": Part("onlin")}, "unknown learner 'onlin': did you mean 'online'"),
        ({"rule": Part("backprp")}, "unknown rule 'backprp': did you mean 'backprop'"),
        ({"estimator": Part("unroled")}, "unknown estimator 'unroled'"),
        ({"learner": Part("hebbian")}, "the learner hebbian is not trained by a rule"),
        ({"learner": Part("online", {"rate": float("nan")})}, "--learner.rate nan: .* finite"),
        ({"rule": Part("flp", {"feedback_scale": float("inf")})}, "--rule.feedback-scale inf"),
        ({"task": Part("sinusoid", {"highest": float("nan")})}, "--task.highest nan: .* finite"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(UsageError, match=message):
        design(**parts).make()
