"""Rules with one fault each are told exactly that."""

import pytest
from example import changed
from helpers import spread

from metaplastic.rules.shallow import Shallow
from metaplastic.testing import check_rule

JNP = ("import jax\n", "import jax\nimport jax.numpy as jnp\n")
LAYERS = (
    "import draw_feedback",
    "import draw_feedback\nfrom metaplastic.models import plastic_layers",
)
ZEROS = (LAYERS[0], LAYERS[1].replace("plastic_layers", "zero_updates"))
ERROR = "error = self._loss.error(trace.output, y)"
TRACE = "model.trace(x, key=key)"
RESULT = "return updates, state, aux(self._loss, trace, y)"
FEEDBACK = "sweep(model, trace, error, state)"


def after(line: str) -> tuple[str, str]:
    """The change that adds a line before the result."""
    return RESULT, f"{line}\n        {RESULT}"


def last_layer(what: str, value: str) -> tuple[str, str]:
    """The change that replaces a leaf of the last layer's update."""
    return after(
        f"own = lambda m: plastic_layers(m)[-1].{what}\n"
        f"        updates = eqx.tree_at(own, updates, {value})"
    )


def failures(rule: type, only: list[str] | None = None) -> dict[str, str]:
    return {f.check: f.sentence for f in check_rule(rule, only=only) if f.status == "failed"}


@pytest.mark.parametrize(
    ("changes", "check", "parts"),
    [
        (
            [(ERROR, ERROR + " / x.shape[0]")],
            "batch-size",
            ["divides by the batch size twice in every layer"],
        ),
        ([JNP, (TRACE, "model.trace(x, key=jax.random.key(0))")], "key", ["do not depend"]),
        (
            [JNP, (ERROR, f"{ERROR}\n        assert float(jnp.abs(error).max()) >= 0")],
            "networks",
            ["traced value", "(changed.py, line ", "jnp.where"],
        ),
        (
            [JNP, (RESULT, RESULT.replace("updates,", "jax.tree.leaves(updates),"))],
            "structure",
            ["list"],
        ),
    ],
    ids=["divides twice", "ignores its key", "breaks under jit", "wrong structure"],
)
def test_one_fault_is_told_once(tmp_path, changes, check, parts):
    found = failures(changed(tmp_path, *changes))
    assert list(found) == [check]
    for part in parts:
        assert part in found[check]


FAULTS = {
    "forgets the division": (
        [JNP, after("updates = jax.tree.map(lambda g: g * x.shape[0], updates)")],
        "batch-size",
        "forgets to divide by the batch size in every layer",
    ),
    "sums the loss": (
        [
            JNP,
            (
                RESULT,
                "own = aux(self._loss, trace, y)\n        "
                "return updates, state, eqx.tree_at(lambda a: a.loss, own, own.loss * x.shape[0])",
            ),
        ],
        "batch-size",
        "aux.loss changes",
    ),
    "joins its examples": (
        [JNP, (ERROR, ERROR + "\n        error = error * jnp.abs(error).max()")],
        "batch-mean",
        "batch_linear=False",
    ),
    "draws its own masks": (
        [JNP, (TRACE, "model.trace(x, key=jax.random.fold_in(key, 1))")],
        "key",
        "are not those of the key",
    ),
    "counts its calls": (
        [
            ("class SparseF", "CALLS = []\n\n\nclass SparseF"),
            (ERROR, f"CALLS.append(1)\n        {ERROR} * len(CALLS)"),
        ],
        "same-key",
        "differ in their updates",
    ),
    "knows that it is compiled": (
        [JNP, (ERROR, ERROR + "\n        error = error * (1 + isinstance(x, jax.core.Tracer))")],
        "jit",
        "other updates than step by step",
    ),
    "cannot be mapped over seeds": (
        [(ERROR, ERROR + "\n        error = jax.pure_callback(lambda e: e, error, error)")],
        "vmap",
        "raises NotImplementedError (changed.py, line",
    ),
    "misses a bias": ([LAYERS, last_layer("bias", "None")], "structure", "bias is missing"),
    "transposes a weight": (
        [LAYERS, last_layer("weight", "own(updates).T")],
        "structure",
        "(3, 6) instead of (6, 3): it is transposed",
    ),
    "returns a pair": ([(RESULT, "return updates, state")], "runs", "(updates, state, aux)"),
    "is not finite": ([(ERROR, ERROR + " / 0")], "runs", "not finite"),
    "refuses signals": ([("key, **signals", "key, learning_rate")], "signals", "**signals"),
    "points uphill": ([(ERROR, ERROR.replace("self", "-self"))], "learns", "uphill"),
    "does not learn": ([ZEROS, (FEEDBACK, "zero_updates(model)")], "learns", "does not fall"),
    "errs at zero error": ([(ERROR, ERROR + " + 0.01")], "zero-error", "error is zero"),
    "changes the dtype": (
        [JNP, after("updates = jax.tree.map(lambda g: g.astype(jnp.float32), updates)")],
        "dtype",
        "is float32 where the weights are float64",
    ),
    "lets its state grow": (
        [(RESULT, RESULT.replace("state,", "(*state, state[-1]),"))],
        "state",
        "before a step and",
    ),
    "changes its state's shape": (
        [JNP, (RESULT, RESULT.replace("state,", "jax.tree.map(lambda b: b[None], state),"))],
        "state",
        "changes from an array float64[7, 6] to an array float64[1, 7, 6]",
    ),
    "keeps a name in its state": (
        [
            ("(thin, feedback)", "(thin, feedback) + ('mine',)"),
            (FEEDBACK, FEEDBACK.replace("state", "state[:-1]")),
        ],
        "state",
        "of type str",
    ),
    "has another loss in aux": (
        [(RESULT, "return updates, state, None")],
        "aux",
        "of type NoneType",
    ),
}


@pytest.mark.parametrize("fault", spread(FAULTS, 4))
def test_fault_of_a_step(tmp_path, fault):
    changes, check, part = FAULTS[fault]
    found = failures(changed(tmp_path, *changes), only=[check])
    assert list(found) == [check]
    assert part in found[check]


WEIGHTS = "[None, *(own.weight for own in plastic_layers(model)[1:])]"
SIGNS = WEIGHTS.replace("own.weight for", "jnp.sign(own.weight) for")
AUTODIFF = (
    "jax.grad(lambda own: self._loss.value(eqx.combine(own, model)"
    ".trace(x, key=key).output, y))(weights(model))"
)
DECLARATIONS = {
    "weights carried": (
        [LAYERS, (FEEDBACK, FEEDBACK.replace("state", WEIGHTS))],
        "weight-transport",
        "the update of layer 1 changes when the weight of layer 2 is replaced",
    ),
    "signs carried": (
        [JNP, LAYERS, (FEEDBACK, FEEDBACK.replace("state", SIGNS))],
        "weight-transport",
        "declare 'signs'",
    ),
    "weights carried by automatic differentiation": (
        [JNP, (FEEDBACK, AUTODIFF), (LAYERS[0], LAYERS[1].replace("plastic_layers", "weights"))],
        "weight-transport",
        "declare 'yes'",
    ),
    "weights declared": (
        [('weight_transport="no"', 'weight_transport="yes"')],
        "weight-transport",
        "no update reads the weights",
    ),
    "slope denied": (
        [("needs_slope=True", "needs_slope=False")],
        "needs-slope",
        "changes when the slope",
    ),
    "passes miscounted": (
        [("needs_slope=True,", "needs_slope=True,\n        forward_passes=2,")],
        "forward-passes",
        "makes 1: declare 1",
    ),
    "sweep denied": (
        [("backward_sweep=True", "backward_sweep=False")],
        "backward-sweep",
        "sends signals back through 2 layers",
    ),
    "lock denied": (
        [('update_locked="yes"', 'update_locked="no"')],
        "update-locked",
        "the update of layer 1 changes with what the layers above it compute",
    ),
    "not literal": (
        [("stored_state=True", "stored_state=bool(1)")],
        "declaration",
        "with literals",
    ),
    "no paper": (
        [("(2016)", ""), ("(2019)", "")],
        "docstring",
        "names no paper",
    ),
    "no equation": (
        [("_L = e,  delta_l = (", ", ("), ("(a_l),  dW_l = pre", ", pre")],
        "docstring",
        "no equation",
    ),
    "no locality": ([("**Locality:**", "")], "docstring", "**Locality:**"),
    "no reference": ([("```bibtex", "```")], "docstring", "fence"),
    "reference that does not parse": (
        [("Raychowdhury, A.},", "Raychowdhury, A.,")],
        "docstring",
        "braces",
    ),
    "reference without a year": ([(", year={2019}}", "}")], "docstring", "has no year"),
    "field without docstring": (
        [('"""Share of the feedback synapses that exist."""', "")],
        "fields",
        "'density' has no docstring",
    ),
    "field that no record holds": ([("float = 0.25", "object = print")], "fields", "'density'"),
    "field without default": ([("float = 0.25", "float")], "constructs", "default"),
}


@pytest.mark.parametrize("fault", spread(DECLARATIONS, 4))
def test_fault_of_a_declaration(tmp_path, fault):
    changes, check, part = DECLARATIONS[fault]
    found = failures(changed(tmp_path, *changes), only=[check])
    assert list(found) == [check]
    assert part in found[check]


def test_trained_says_yes_or_no_for_each_weight():
    class Vague(Shallow):
        def trained(self, model):
            return True

    (sentence,) = failures(Vague, only=["hooks"]).values()
    assert sentence.startswith("`trained` does not say True or False for each weight")
