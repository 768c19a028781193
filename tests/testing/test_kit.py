"""The functions of the kit, and the networks that it checks."""

import equinox as eqx
import jax.numpy as jnp
import pytest
from example import changed

from metaplastic._errors import UsageError
from metaplastic.models import Dense, Sequential, mlp
from metaplastic.rules.backprop import Backprop
from metaplastic.testing import (
    ConformanceError,
    assert_conforms,
    check_model,
    check_names,
    check_rule,
)

REFUSE = """
        if len(x.shape) {than} 2:
            raise UsageError("for nobody")
        trace ="""
IMPORT = ("import equinox", "from metaplastic._errors import UsageError\nimport equinox")


def test_example_conforms(tmp_path):
    findings = check_rule(changed(tmp_path))
    assert [own.check for own in findings] == list(check_names())
    assert {own.check for own in findings if own.status != "passed"} == {"declared-only"}


def test_all_failures_are_raised_together(tmp_path):
    rule = changed(
        tmp_path, ("needs_slope=True", "needs_slope=False"), ("(2016)", ""), ("(2019)", "")
    )
    with pytest.raises(ConformanceError, match=r"(?s)docstring: .*\nneeds-slope: "):
        assert_conforms(rule, only=["docstring", "needs-slope"])


def test_an_instance_is_checked_with_its_own_options(tmp_path):
    rule = changed(tmp_path)
    assert_conforms(rule(density=0.5), only=["fields", "structure"])
    (finding,) = check_rule(rule(density=jnp.nan), only=["runs"])
    assert finding.status == "failed"


def test_kinds_of_network_may_be_refused(tmp_path):
    rule = changed(tmp_path, IMPORT, ("\n        trace =", REFUSE.format(than=">")))
    (finding,) = check_rule(rule, only=["networks"])
    assert finding.status == "passed"
    assert "declared unsupported: convolutional (for nobody)" in finding.sentence


def test_the_dense_network_may_not_be_refused(tmp_path):
    rule = changed(tmp_path, IMPORT, ("\n        trace =", REFUSE.format(than="==")))
    findings = {own.check: own for own in check_rule(rule, only=["runs", "jit"])}
    assert findings["runs"].status == "failed"
    assert "for nobody" in findings["runs"].sentence
    assert findings["jit"].status == "skipped"
    assert "runs" in findings["jit"].sentence


def test_unknown_check_tells_the_nearest():
    with pytest.raises(UsageError, match="'batch-mean'"):
        check_rule(Backprop, only=["batch-means"])


def test_what_is_no_rule():
    with pytest.raises(UsageError, match="AbstractRule"):
        check_rule(Dense)


class WrongSlope(Dense):
    def slope(self, drive):
        return jnp.ones_like(drive)


class WrongTranspose(Dense):
    def send_back(self, signal, weight, input_shape):
        return signal @ self.weight.T


class OtherTrace(Sequential):
    def __call__(self, x):
        return 2 * self.forward(x, training=False, masks=None, first_drive=None, key=None)[0]


@pytest.mark.parametrize(
    ("kind", "check", "part"),
    [(WrongSlope, "slope", "layer 1"), (WrongTranspose, "transposes", "send_back")],
)
def test_faulty_layer(getkey, kind, check, part):
    hidden = kind(4, 3, activation="tanh", key=getkey())
    head = Dense(3, 2, activation="identity", key=getkey())
    findings = check_model(Sequential(hidden, head, input_shape=(4,)))
    found = {own.check: own.sentence for own in findings if own.status == "failed"}
    assert list(found) == [check]
    assert part in found[check]


def test_faulty_network(getkey):
    good = mlp((4,), 2, hidden=(3,), key=getkey())
    bad = OtherTrace(*good.nodes, input_shape=(4,))
    found = {own.check for own in check_model(bad) if own.status == "failed"}
    assert found == {"trace"}


def test_network_without_input_shape(getkey):
    with pytest.raises(UsageError, match="input_shape"):
        check_model(Sequential(Dense(4, 2, key=getkey())))


def test_check_leaves_the_dtype_of_the_session(getkey):
    check_rule(Backprop, only=["structure"])
    assert eqx.filter(mlp((4,), 2, key=getkey()), eqx.is_array).nodes[1].weight.dtype == jnp.float32
