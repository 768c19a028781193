"""Any learner under any estimator: it can be compiled, or one sentence says why not."""

import equinox as eqx
import jax
import jax.random as jr
import pytest
from helpers import spread

from metaplastic import _registry
from metaplastic._errors import UsageError
from metaplastic.benchmarks.compositions import estimators, pair
from metaplastic.learners.online import online
from metaplastic.rules.backprop import Backprop
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.testing._learner_subject import build
from metaplastic.train.design import Part
from metaplastic.train.meta_options import MetaOptions

TASK = Sinusoid(shots=3, moments=4, queries=2)
ESTIMATORS = [
    _registry.load("estimators", part.name)(**part.fields) for part in estimators().values()
]
LEARNERS = [name for name in _registry.names("learners") if name != "online"]


def refusals(made):
    """The sentences of the estimators that cannot, by name; the others have a gradient."""
    episodes = jax.vmap(TASK.sample)(jr.split(jr.key(0), 2))
    found = {}
    try:
        learner = eqx.filter_eval_shape(lambda key: made(key=key), jr.key(0))
    except UsageError as error:
        return {type(own).__name__: str(error) for own in ESTIMATORS}
    for estimator in ESTIMATORS:
        try:
            gradient, aux = eqx.filter_eval_shape(
                lambda key, episodes, own=estimator: own(made(key=key), episodes, key=key),
                jr.key(0),
                episodes,
            )
        except UsageError as error:
            found[type(estimator).__name__] = str(error)
            continue
        expected = jax.tree.leaves(eqx.filter(learner, lambda leaf: hasattr(leaf, "shape")))
        own = [leaf.shape for leaf in jax.tree.leaves(gradient)]
        assert own == [
            leaf.shape for leaf in expected if jax.numpy.issubdtype(leaf.dtype, jax.numpy.inexact)
        ]
        assert aux.loss.shape == (2,)
    return found


@pytest.mark.parametrize("rule", spread(_registry.names("rules"), 4))
def test_a_rule_under_every_estimator(rule):
    own = _registry.load("rules", rule)()
    found = refusals(lambda key: online(TASK, rule=own, hidden=(3,), key=key))
    allowed = {"HebbianRecursion", "Contrastive", "Implicit"}
    if rule == "forward_forward":  # one output has no wrong label
        allowed = {type(own).__name__ for own in ESTIMATORS}
    assert found.keys() == allowed


@pytest.mark.parametrize("name", spread(LEARNERS, 2))
def test_a_learner_under_every_estimator(name):
    builder = _registry.load("learners", name)
    found = refusals(lambda key: build(builder, TASK, key=key))
    assert all(len(sentence) > 20 for sentence in found.values())
    if name == "hebbian":  # its traces are born empty, and its lifetimes end in questions
        assert found.keys() == {"Reptile", "HebbianRecursion", "Contrastive", "Implicit"}


@pytest.mark.slow
def test_a_pair_is_trained():
    options = MetaOptions(steps=20, meta_batch=4, lr=3e-3, test_lifetimes=50)
    found = pair("backprop", Part("unrolled"), options)
    assert found["after"] < found["before"]


def test_a_pair_that_cannot_work_says_why():
    found = pair("forward_forward", Part("unrolled"), MetaOptions(steps=1))
    assert found.keys() == {"sentence"}
    assert Backprop().loss == "cross_entropy"  # `pair` takes the task's loss, not the default's
