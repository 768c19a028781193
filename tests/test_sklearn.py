"""`PlasticClassifier` keeps scikit-learn's contract and trains by the rule that it names."""

import pickle
import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from metaplastic import data
from metaplastic._errors import DivergedError, UsageError
from metaplastic.rules.backprop import Backprop
from metaplastic.rules.feedback_alignment import FeedbackAlignment
from metaplastic.sklearn import PlasticClassifier, _kept_program
from metaplastic.train import Trainer, TrainOptions, fit

QUICK = {"hidden": (8,), "epochs": 10, "batch_size": 16, "lr": 0.1}


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(90, centers=3, n_features=4, random_state=0)


@pytest.fixture(scope="module")
def fitted(blobs):
    return PlasticClassifier(**QUICK, random_state=0).fit(*blobs)


@parametrize_with_checks([PlasticClassifier(**QUICK)])
def test_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_learns_digits_and_says_how_the_loss_fell():
    digits = data.load("digits")
    x, x_test = (part.reshape(len(part), -1) for part in (digits.x_train, digits.x_test))
    own = PlasticClassifier(hidden=(32,), epochs=8, random_state=0).fit(x, digits.y_train)
    assert own.score(x_test, digits.y_test) > 0.9
    assert len(own.loss_curve_) == 8
    assert own.loss_curve_[-1] < 0.3 * own.loss_curve_[0]


def test_is_the_trainer_on_standardised_inputs(blobs, fitted):
    """An independent run of the trainer from the same seed ends with the same weights."""
    x, y = blobs
    standard = StandardScaler().fit_transform(x).astype(np.float32)
    dataset = data.Dataset("blobs", standard, y, standard, y, 3, 1.0, "", "")
    options = TrainOptions(**QUICK, activation="relu", bias=True, alignment=False)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    outcome = fit(Trainer(FeedbackAlignment(), dataset, options), [seed], [0.1])
    for mine, theirs in zip(fitted.weights_, jax.tree.leaves(outcome.state.model), strict=True):
        np.testing.assert_allclose(mine, theirs[0], rtol=1e-4, atol=1e-5)
    accuracy = outcome.records[-1]["test_accuracy"][0]
    assert fitted.score(x, y) == pytest.approx(accuracy)


def test_same_random_state_same_weights(blobs, fitted):
    again = clone(fitted).fit(*blobs)
    other = clone(fitted).set_params(random_state=1).fit(*blobs)
    assert all(np.array_equal(a, b) for a, b in zip(again.weights_, fitted.weights_, strict=True))
    assert not np.array_equal(other.weights_[0], fitted.weights_[0])


def test_rates_and_new_data_of_the_same_shape_compile_nothing(blobs, fitted):
    x, y = blobs
    before = _kept_program.cache_info().misses
    for lr in (0.01, 0.03):
        PlasticClassifier(**{**QUICK, "lr": lr}, random_state=0).fit(x + lr, y).predict(x)
    assert _kept_program.cache_info().misses == before


def test_scores_and_probabilities_agree(blobs, fitted):
    x, _ = blobs
    scores, likely = fitted.decision_function(x), fitted.predict_proba(x)
    np.testing.assert_array_equal(scores.argmax(1), likely.argmax(1))
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(likely, expected, rtol=1e-9)


def test_many_examples_go_through_in_blocks(blobs, fitted):
    x, _ = blobs
    many = np.tile(x, (100, 1))
    np.testing.assert_allclose(
        fitted.decision_function(many), np.tile(fitted.decision_function(x), (100, 1)), atol=1e-5
    )


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("backprop", {"loss": "binary_cross_entropy"}),
        (Backprop, {"loss": "binary_cross_entropy"}),
        (Backprop(), {"loss": "binary_cross_entropy"}),
        (Backprop(loss="binary_cross_entropy"), None),
    ],
)
def test_rule_by_name_class_or_instance(blobs, rule, options):
    x, y = blobs
    own = PlasticClassifier(rule, rule_options=options, **QUICK, random_state=0).fit(x, y)
    sigmoids = 1 / (1 + np.exp(-own.decision_function(x)))
    expected = sigmoids / sigmoids.sum(1, keepdims=True)
    np.testing.assert_allclose(own.predict_proba(x), expected, rtol=1e-6)
    assert own.score(x, y) > 0.9


def test_own_rule_from_a_file(tmp_path, blobs, fitted):
    path = tmp_path / "mine.py"
    path.write_text(
        '"""Mine."""\n'
        "from metaplastic.rules.feedback_alignment import FeedbackAlignment as Theirs\n"
        '\n\nclass Mine(Theirs):\n    """Mine."""\n    properties = Theirs.properties\n'
    )
    own = PlasticClassifier(f"{path}:Mine", **QUICK, random_state=0).fit(*blobs)
    np.testing.assert_array_equal(own.weights_[0], fitted.weights_[0])


def test_labels_of_any_type_in_a_pipeline_and_a_grid(blobs):
    x, y = blobs
    names = np.array(["ox", "ant", "bee"])[y]
    pipeline = make_pipeline(StandardScaler(), PlasticClassifier(**QUICK, random_state=0))
    grid = {"plasticclassifier__lr": [1e-9, 0.1]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(x, names)
    assert search.best_params_ == {"plasticclassifier__lr": 0.1}
    assert set(search.predict(x)) == {"ox", "ant", "bee"}
    assert search.score(x, names) > 0.9


def test_pickle_predicts_the_same_in_another_process(tmp_path, blobs, fitted):
    x, _ = blobs
    (tmp_path / "own.pickle").write_bytes(pickle.dumps((fitted, x)))
    code = (
        "import pickle, sys, numpy as np\n"
        "own, x = pickle.load(open(sys.argv[1], 'rb'))\n"
        "np.save(sys.argv[2], own.decision_function(x))\n"
    )
    argv = [sys.executable, "-c", code, tmp_path / "own.pickle", tmp_path / "scores.npy"]
    subprocess.run(argv, check=True)
    there = np.load(tmp_path / "scores.npy")
    np.testing.assert_allclose(there, fitted.decision_function(x), atol=1e-5)


def test_large_mean_is_taken_out_before_single_precision(blobs, fitted):
    x, y = blobs
    shifted = PlasticClassifier(**QUICK, random_state=0).fit(x + 1e7, y)
    np.testing.assert_allclose(shifted.loss_curve_, fitted.loss_curve_, rtol=1e-2)


def test_batch_is_at_most_the_data(blobs):
    own = PlasticClassifier(hidden=(8,), epochs=1, batch_size=1000).fit(*blobs)
    assert (own.batch_size_, own.batch_size) == (90, 1000)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"rule": "bakprop"}, "'backprop'"),
        ({"rule": 3}, "rule=3"),
        ({"rule": int}, "rule=<class 'int'>"),
        ({"rule_options": {"feedback_scal": 1}}, "unknown field 'feedback_scal'"),
        ({"optimiser": "adma"}, "optimiser adma: did you mean 'adam'"),
        ({"activation": "rleu"}, "activation rleu: did you mean 'relu'"),
        ({"batch_size": 0}, "batch_size 0: it must be positive"),
        ({"weight_decay": -1}, "weight_decay -1"),
        ({"hidden": (2.5,)}, "hidden=(2.5,)"),
        ({"hidden": (0,)}, "every width must be at least 1"),
        ({"lr": "a"}, "lr='a': give a finite number"),
        ({"lr": None}, "lr=None: give a finite number"),
        ({"batch_size": "auto"}, "batch_size='auto': give a whole number"),
        ({"batch_size": 2.5}, "batch_size=2.5: give a whole number"),
        ({"epochs": 1.5}, "epochs=1.5: give a whole number"),
        ({"bias": "no"}, "bias='no': give true or false"),
        ({"standardise": None}, "standardise=None: give true or false"),
        ({"clip": "x"}, "clip='x': give a finite number or nothing"),
        ({"rule": "pepita", "rule_options": {"feedback_scale": np.nan}}, "feedback_scale=nan"),
        ({"rule": "pepita", "rule_options": {"feedback_scale": -1}}, "rule_options feedback-scale"),
        ({"rule": "backprop", "rule_options": {"loss": "bogus"}}, "rule_options loss bogus"),
    ],
)
def test_wrong_arguments_are_named(blobs, options, advice):
    with pytest.raises(UsageError) as error:
        PlasticClassifier(**{**QUICK, **options}).fit(*blobs)
    assert advice in str(error.value)
    assert "--" not in str(error.value)


def test_numbers_of_numpy_are_numbers(blobs, fitted):
    own = {**QUICK, "lr": np.float32(0.1), "epochs": np.int64(QUICK["epochs"]), "bias": np.True_}
    again = PlasticClassifier(**own, random_state=0).fit(*blobs)
    np.testing.assert_allclose(again.weights_[0], fitted.weights_[0], rtol=1e-4)


class Scaled(Backprop):
    """Backpropagation, times an array."""

    factor: jax.Array | None = None


def test_fields_that_no_file_can_hold_are_passed_on(blobs):
    options = {"factor": np.ones(2)}
    own = PlasticClassifier(Scaled, rule_options=options, **QUICK, random_state=0).fit(*blobs)
    assert own.score(*blobs) > 0.9


def test_parameters_wait_for_the_next_fit(blobs):
    x, y = blobs
    own = PlasticClassifier(**QUICK, random_state=0).fit(x, y)
    before = own.predict_proba(x)
    own.set_params(activation="sigmoid", bias=False, rule="forward_forward", standardise=False)
    np.testing.assert_array_equal(own.predict_proba(x), before)
    assert len(own.set_params(rule="backprop").fit(x, y).weights_) < 4


@pytest.mark.parametrize("value", [0.1, 0.0, -1e6 / 3])
def test_a_feature_that_never_varies_is_not_scaled(blobs, value):
    """Its spread is rounding, by which nothing is to be divided."""
    x, y = blobs
    wide = np.c_[x, np.full(len(x), value)]
    own = PlasticClassifier(**QUICK, random_state=0).fit(wide, y)
    np.testing.assert_allclose(own._inputs(wide)[:, -1], 0, atol=1e-9)
    moved = wide + np.eye(5)[4] * 1e-3
    np.testing.assert_allclose(own._inputs(moved)[:, -1], 1e-3, rtol=1e-3)
    assert own.score(moved, y) == own.score(wide, y)


def test_numbers_that_single_precision_has_not_are_named(blobs, fitted):
    x, y = blobs
    far = np.where(np.arange(x.size).reshape(x.shape) == 6, 1e39, x)
    with pytest.raises(UsageError, match=r"X\[1, 2\] is 1e\+39, too far from the training data"):
        fitted.predict(far)
    with pytest.raises(UsageError, match=r"X\[:, 0\] reaches .*divide it by a constant first"):
        PlasticClassifier(**QUICK).fit(x * 1e300, y)


def test_divergence_is_an_error(blobs):
    options = {**QUICK, "lr": 1e30}
    with pytest.raises(DivergedError, match=r"diverged at step \d+: .* at lr=1e\+30; try a rate"):
        PlasticClassifier(**options, random_state=0).fit(*blobs)


def test_missing_scikit_learn_is_one_sentence():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import importlib.util as u; u.find_spec = lambda name, find=u.find_spec: "
        "None if name == 'sklearn' else find(name)\n"
        "import metaplastic.sklearn"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert last.endswith("this needs sklearn: pip install 'metaplastic[sklearn]'")
