"""scikit-learn's classifier on top of the trainer: any rule in a pipeline or a grid search."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from ._errors import DivergedError, UsageError, require_extra
from ._sklearn_arguments import arguments, checked, options_of, rule_of
from .data import Dataset
from .rules.base import AbstractRule
from .train import Trainer, fit
from .train.trainer import Replica

require_extra("sklearn", "sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.utils import check_random_state, column_or_1d  # noqa: E402
from sklearn.utils.multiclass import check_classification_targets  # noqa: E402
from sklearn.utils.validation import check_is_fitted, validate_data  # noqa: E402

_FEWEST, _MOST = 256, 4096
"""Examples that one call of a compiled prediction takes: powers of two between these."""


class PlasticClassifier(ClassifierMixin, BaseEstimator):
    """A multilayer perceptron that learns by a local rule.

    h_l = f(h_{l-1} W_l + b_l), with W_l and b_l changed by the rule's updates.

    **Arguments:** `rule` is a name (`metaplastic list rules`), a `path.py:Name`, a rule's class or
    a rule; `rule_options` are fields of it, `{"feedback_scale": 0.2}`. `hidden` are the widths of
    the hidden layers. `standardise` brings every feature to zero mean and unit variance, as seen in
    training; one that never varied there is only moved. `batch_size` is at most the number of
    examples (`batch_size_` is what was used); what is left over of an epoch's shuffled order is
    skipped. `random_state` decides every random number. The others are the options of
    `metaplastic train`. Changes of arguments wait for the next `fit`.

    **Attributes:** `classes_`, `n_features_in_`, `feature_names_in_`, `batch_size_`; `loss_curve_`,
    the mean loss of every epoch; `weights_`, the arrays of the trained network; `rule_state_`,
    those that the rule carries (feedback weights).

    `fit` raises `UsageError` (a ValueError) for an argument that cannot work and `DivergedError`
    where the loss or a weight is not finite.

    >>> from metaplastic.data import load
    >>> digits = load("digits")
    >>> x = digits.x_train.reshape(len(digits.x_train), -1)
    >>> own = PlasticClassifier("pepita", hidden=(32,), epochs=3, random_state=0)
    >>> own.fit(x, digits.y_train).predict_proba(x[:5]).shape
    (5, 10)
    """

    n_features_in_: int

    # Any: scikit-learn asks that values are checked in `fit`, not here.
    def __init__(
        self,
        rule: Any = "feedback_alignment",
        *,
        rule_options: Any = None,
        hidden: Any = (100,),
        activation: Any = "relu",
        bias: Any = True,
        dropout: Any = 0.0,
        epochs: Any = 50,
        batch_size: Any = 32,
        lr: Any = 0.02,
        optimiser: Any = "momentum",
        momentum: Any = 0.9,
        weight_decay: Any = 0.0,
        clip: Any = None,
        schedule: Any = "constant",
        standardise: Any = True,
        random_state: Any = None,
    ):
        self.rule = rule
        self.rule_options = rule_options
        self.hidden = hidden
        self.activation = activation
        self.bias = bias
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.optimiser = optimiser
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.clip = clip
        self.schedule = schedule
        self.standardise = standardise
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "PlasticClassifier":
        """Train on `X` [n, features] and the labels `y` [n], of any type; from scratch always."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise UsageError(
                f"y holds one class only ({self.classes_[0]!r}): a classifier needs at least two"
            )
        self._parameters = self.get_params(deep=False)  # changes of them wait for the next fit
        self._examples = len(labels)
        given = checked(self._parameters)
        self.batch_size_ = min(given["batch_size"], len(labels))
        self._fit_inputs(X)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        trainer = self._program().trainer.on(_dataset(self._inputs(X), labels, self.classes_))
        with arguments():
            outcome = fit(trainer, [seed], [given["lr"]], raise_divergence=False)
        for own in outcome.diverged.values():
            raise DivergedError(
                f"PlasticClassifier diverged at step {own.step}: {own.what} is {own.value} at "
                f"lr={given['lr']:g}; try a rate ten times smaller, or clip=1"
            )
        self.loss_curve_ = [r["loss"][0] for r in outcome.records if r["epoch"] > 0]
        self.weights_ = _arrays(outcome.state.model)
        self.rule_state_ = _arrays(outcome.state.rule)
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most likely class of each example, [n]."""
        scores = self._scores(X)  # first: it says so where there has been no fit
        return self.classes_[scores.argmax(1)]

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities [n, classes]: softmax of the scores, or, for a rule whose loss is the
        binary cross-entropy, their sigmoids divided by the sum."""
        scores = self._scores(X)
        if self._rule().loss == "binary_cross_entropy":
            scores = -np.logaddexp(0, -scores)
        likely = np.exp(scores - scores.max(1, keepdims=True))
        return likely / likely.sum(1, keepdims=True)

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Scores of the classes, [n, classes]; of the second over the first, [n], for two."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def _fit_inputs(self, X: npt.NDArray[Any]) -> None:
        """Mean and spread of the features. Of one that never varies the spread is rounding."""
        if not self.standardise:
            self._mean, self._spread = np.zeros(X.shape[1]), np.ones(X.shape[1])
            return
        with np.errstate(over="ignore", invalid="ignore"):
            self._mean, spread = X.mean(0), X.std(0)
            # What n additions of the mean may leave of it.
            rounding = X.shape[0] * np.finfo(X.dtype).eps * np.abs(self._mean)
        if not np.isfinite(spread).all():
            feature = int(np.flatnonzero(~np.isfinite(spread))[0])
            raise UsageError(
                f"X[:, {feature}] reaches {np.abs(X[:, feature]).max():g}, and the square of that "
                "is no number: divide it by a constant first"
            )
        self._spread = np.where(spread > rounding, spread, 1.0)

    def _inputs(self, X: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        with np.errstate(over="ignore"):
            inputs = ((X - self._mean) / self._spread).astype(np.float32)
        if not np.isfinite(inputs).all():
            row, feature = np.argwhere(~np.isfinite(inputs))[0]
            raise UsageError(
                f"X[{row}, {feature}] is {X[row, feature]:g}, too far from the training data for "
                "single precision: is it in the same units?"
            )
        return inputs

    def _scores(self, X: Any) -> npt.NDArray[np.float64]:
        """Scores [n, classes]; blocks of few sizes go through the network, so that few programs
        are compiled."""
        check_is_fitted(self)
        checked: Any = validate_data(self, X, dtype=np.float64, reset=False)
        X = self._inputs(checked)
        program, found = self._program(), []
        for first in range(0, len(X), _MOST):
            block = X[first : first + _MOST]
            rows = max(_FEWEST, 1 << (len(block) - 1).bit_length())
            padded = np.pad(block, ((0, rows - len(block)), (0, 0)))
            scores = program.predict(self.weights_, self.rule_state_, padded)
            found.append(np.asarray(scores, np.float64)[: len(block)])
        return np.concatenate(found)

    def _rule(self) -> AbstractRule:
        """The rule as it was at the last fit."""
        with arguments():
            return rule_of(self._parameters["rule"], self._parameters["rule_options"])

    def _program(self) -> "_Program":
        """What is compiled for the parameters of the last fit; kept for those that are the same."""
        # The rate is an argument of what is compiled.
        given = checked(self._parameters) | {"batch_size": self.batch_size_, "lr": 1.0}
        shape = self._examples, self.n_features_in_, len(self.classes_)
        key = self._rule(), tuple(given.items()), shape
        with arguments():
            try:
                return _kept_program(*key)
            except TypeError:  # a rule that holds arrays has no hash
                return _Program(*key)


class _Program:
    """The compiled functions for data of one shape `(examples, features, classes)`."""

    def __init__(
        self, rule: AbstractRule, options: tuple[tuple[str, Any], ...], shape: tuple[int, int, int]
    ):
        examples, features, classes = shape
        x, y = np.zeros((examples, features), np.float32), np.arange(examples) % classes
        dataset = _dataset(x, y, np.arange(classes))
        self.trainer = Trainer(rule, dataset, options_of(dict(options)))
        # Shapes are enough for `on`: the examples of an earlier fit are not kept.
        self.trainer.batches = jax.eval_shape(lambda: self.trainer.batches)
        keys, rates = jax.random.split(jax.random.key(0), 1), jnp.ones(1)
        state: Replica = jax.eval_shape(self.trainer.start, keys, rates)
        self._structure = jax.tree.structure((state.model, state.rule))
        self.predict = jax.jit(self._predict)

    def _predict(self, weights: list[Any], rule_state: list[Any], x: jax.Array) -> jax.Array:
        model, state = jax.tree.unflatten(self._structure, weights + rule_state)
        network = eqx.combine(model, self.trainer.static)
        return self.trainer.rule.predict(network, state, x)


@functools.lru_cache(maxsize=32)
def _kept_program(*parts: Any) -> _Program:
    return _Program(*parts)


def _dataset(x: npt.NDArray[Any], labels: npt.NDArray[Any], classes: npt.NDArray[Any]) -> Dataset:
    """The training examples; one of them stands for the test set, which is not looked at."""
    return Dataset(
        name="X",
        x_train=x,
        y_train=labels,
        x_test=x[:1],
        y_test=labels[:1],
        classes=len(classes),
        scale=1.0,
        source="fit",
        licence="",
    )


def _arrays(tree: Any) -> list[npt.NDArray[Any]]:
    """The leaves of the one replica; NumPy's arrays go through any pickle and copy."""
    return [np.asarray(leaf[0]) for leaf in jax.tree.leaves(tree)]
