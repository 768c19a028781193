"""The contract of a learner whose lifetimes settle to the minimum of a loss.

    phi*(theta) = argmin_phi L_learn(phi, theta)        minimise over theta: E L_eval(phi*, theta)

The learner's arrays are theta, what changes within a lifetime (`BilevelLife.fast`) is phi. One
moment of a stream is one set of examples, on which the learner settles wholly; the questions at the
end of the lifetime are those of L_eval. How the problem is differentiated is for an estimator to
say: `contrastive` and `implicit` need this contract, `unrolled` and the others see the steps of
the solver as moments. Zucchet et al. (2022), "A contrastive rule for meta-learning", section 2.
"""

import abc
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.flatten_util import ravel_pytree

from .._errors import UsageError, require_positive
from .._types import Key, Scalar
from ..tasks.base import Episode, Stream
from ..tasks.criteria import Criterion
from .base import AbstractLearner
from .solver import Batch, Solver, draw

Fast: TypeAlias = Any
"""phi: a pytree of arrays."""


class BilevelLife(eqx.Module):
    """Fast state, and that of the optimiser that makes it settle."""

    fast: Fast
    optimiser: Any


class AbstractBilevelLearner(AbstractLearner):
    """A lifetime that minimises `learn_loss`, and is judged by `eval_loss`."""

    solver: eqx.AbstractVar[Solver]
    rate: eqx.AbstractVar[Any]
    """Learning rate of the solver."""
    criterion: eqx.AbstractVar[Criterion]

    def __check_init__(self):
        require_positive("--learner.rate", self.rate)
        self.require_slopes(self.solver)

    @property
    def slope_is_gradient(self) -> bool:
        """Is what a phase descends the gradient of its own loss?

        If not (a local rule, a pseudo-derivative), a phase may settle where its loss is higher, and
        no derivative of that loss says where phases settle.
        """
        return True

    @property
    def forgotten(self) -> str | None:
        """Why a settled phase depends on no meta-parameter; None where it depends on one."""
        return None

    @abc.abstractmethod
    def start(self, *, key: Key) -> Fast:
        """phi at birth."""

    @abc.abstractmethod
    def answer(self, fast: Fast, x: jax.Array) -> jax.Array:
        """Answers [n, outputs] to `x` [n, *input] (which has gone through `perceive`)."""

    @abc.abstractmethod
    def learn_loss(self, fast: Fast, batch: Batch) -> Scalar:
        """L_learn: mean loss of the examples, and the synapses' own regulariser."""

    def eval_loss(self, fast: Fast, batch: Batch) -> Scalar:
        """L_eval: mean loss of the examples, by the task's criterion."""
        return self.criterion.loss(self.answer(fast, batch.x), batch.y).mean()

    def learn_slope(self, fast: Fast, batch: Batch, *, key: Key) -> Fast:
        """What the solver descends: dL_learn/dphi, or what a local rule takes for it."""
        del key
        return jax.grad(self.learn_loss)(fast, batch)

    def eval_slope(self, fast: Fast, batch: Batch, *, key: Key) -> Fast:
        """dL_eval/dphi, or what a local rule takes for it."""
        del key
        return jax.grad(self.eval_loss)(fast, batch)

    def augmented_loss(
        self, fast: Fast, support: Batch, query: Batch | None = None, beta: Any = 0.0
    ) -> Scalar:
        """L(phi, theta, beta) = L_learn(phi, theta) + beta L_eval(phi, theta)."""
        loss = self.learn_loss(fast, support)
        return loss if query is None else loss + beta * self.eval_loss(fast, query)

    def augmented_slope(
        self,
        fast: Fast,
        support: Batch,
        query: Batch | None = None,
        beta: Any = 0.0,
        *,
        key: Key,
    ) -> Fast:
        """What a phase descends: `learn_slope + beta eval_slope`."""
        learn_key, eval_key = jr.split(key)
        slope = self.learn_slope(fast, support, key=learn_key)
        if query is None:
            return slope
        nudge = self.eval_slope(fast, query, key=eval_key)
        return jax.tree.map(lambda a, b: a + beta * b, slope, nudge)

    def require_slopes(self, solver: Solver) -> None:
        """Raise `UsageError` for a solver that would follow the loss where a rule is to be
        followed."""
        if solver.searches and not self.slope_is_gradient:
            raise UsageError(
                f"{solver.searches} follows the gradient of the loss, and these weights another "
                "slope: use another --learner.optimiser without Newton steps, or --rule backprop"
            )

    def settle(
        self,
        fast: Fast,
        support: Batch,
        query: Batch | None = None,
        beta: Any = 0.0,
        *,
        solver: Solver | None = None,
        rate: Any = None,
        key: Key,
    ) -> Fast:
        """phi at the end of a phase that starts at `fast`: argmin L(., theta, beta).

        Without `query` it is the free phase; with it, `beta` may be traced. The optimiser starts
        afresh. The same key draws the same examples at every step of any phase.
        """
        return self._settled(fast, support, query, beta, solver, rate, key)[0]

    def _settled(
        self,
        fast: Fast,
        support: Batch,
        query: Batch | None,
        beta: Any,
        solver: Solver | None,
        rate: Any,
        key: Key,
    ) -> tuple[Fast, Any]:
        solver = self.solver if solver is None else solver
        self.require_slopes(solver)
        # One vector: the optimiser's arithmetic is then one loop over all synapses.
        flat, unravel = ravel_pytree(fast)

        def slope(phi: jax.Array, own: Key) -> jax.Array:
            return self.flat_slope(unravel(phi), support, query, beta, solver, own)

        def objective(phi: jax.Array) -> jax.Array:
            return self.augmented_loss(unravel(phi), support, query, beta)

        rate = self.rate if rate is None else rate
        phi, state = solver.minimise(slope, objective, flat, rate, key=key)
        return unravel(phi), state

    def flat_slope(
        self,
        fast: Fast,
        support: Batch,
        query: Batch | None,
        beta: Any,
        solver: Solver,
        key: Key,
    ) -> jax.Array:
        """The slope of one step as a vector, on the examples that its key draws."""
        support_key, query_key, own = jr.split(key, 3)
        support = draw(support, solver.batch, key=support_key)
        query = None if query is None else draw(query, solver.batch, key=query_key)
        return ravel_pytree(self.augmented_slope(fast, support, query, beta, key=own))[0]

    # A bilevel learner as a learner

    def birth(self, *, key: Key) -> BilevelLife:
        fast = self.start(key=key)
        return BilevelLife(fast, self.solver.init(ravel_pytree(fast)[0], self.rate))

    def step(
        self, life: BilevelLife, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[BilevelLife, jax.Array]:
        """Settle on the examples of a moment, from where the life is."""
        output = self.answer(life.fast, x)
        if y is None:
            return life, output
        fast, state = self._settled(life.fast, Batch(x, y), None, 0.0, None, None, key)
        return BilevelLife(fast, state), output

    def predict(self, life: BilevelLife, x: jax.Array) -> jax.Array:
        return self.answer(life.fast, x)

    def unfold(self, stream: Stream, *, key: Key) -> tuple[Any, Any]:
        """A stream of one moment is unfolded into the steps of the solver."""
        plain = stream.mask is None and stream.target is None and stream.y is not None
        if stream.x.shape[0] != 1 or not plain or not self.solver.fixed or not self.solver.steps:
            return super().unfold(stream, key=key)
        assert stream.y is not None
        support = Batch(self.perceive(stream.x[0]), stream.y[0])
        key = jr.fold_in(key, 0)  # that of the one moment

        def step(life: BilevelLife, index: jax.Array) -> tuple[BilevelLife, jax.Array]:
            flat, unravel = ravel_pytree(life.fast)
            own = jr.fold_in(key, index)
            slope = self.flat_slope(life.fast, support, None, 0.0, self.solver, own)
            phi, state = self.solver.advance(flat, life.optimiser, slope, self.rate)
            return BilevelLife(unravel(phi), state), jnp.zeros(())

        return step, jnp.arange(self.solver.steps)


def support_and_query(
    learner: AbstractBilevelLearner, episode: Episode, *, who: str
) -> tuple[Batch, Batch]:
    """The examples of L_learn and of L_eval, as the learner perceives them.

    Raises `UsageError`, naming the estimator `who`, for an episode that has not exactly one moment
    that is told its targets, or no questions.
    """
    stream, query = episode.stream, episode.query
    if stream.x.shape[0] != 1 or stream.y is None or stream.mask is not None:
        raise UsageError(
            f"{who} needs lifetimes that settle on one set of examples, and this task's have "
            f"{stream.x.shape[0]} moments: pass --task.moments 1 where the task has it"
        )
    if query is None:
        raise UsageError(
            f"{who} needs questions at the end of a lifetime, which this task does not ask: use "
            "sinusoid, few_shot, regularisation or another task with a query set"
        )
    x, y = learner.perceive(stream.x[0]), stream.y[0]
    return Batch(x, y), Batch(learner.perceive(query.x), query.y)


def require_bilevel(learner: Any, *, who: str) -> AbstractBilevelLearner:
    """The learner, if its lifetimes settle; raises `UsageError`, naming the estimator, if not."""
    if isinstance(learner, AbstractBilevelLearner):
        return learner
    raise UsageError(
        f"{who} needs a learner that settles to the minimum of a loss, and "
        f"{type(learner).__name__} does not: use complex_synapse, modulated or weight_decay, or "
        "the estimator unrolled"
    )
