"""Agents with a Bayesian linear regression for every arm: on the context, or on learned features.

Riquelme, Tucker & Snoek (2018), "Deep Bayesian bandits showdown", section 3; the hyper-parameters
are those that Zucchet et al. (2022), "A contrastive rule for meta-learning", publish for the wheel.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..models import AbstractNetwork, mlp, plastic_layers
from ..tasks._wheel import ARMS
from ..tasks.criteria import PARTIAL_REGRESSION
from ._bandit import AbstractAgent, Replay, check_epsilon, explore
from ._bayesian_linear import Belief, drawn_value, fitted, observed, prior


class LinFullPost(AbstractAgent):
    """Thompson sampling from a linear regression of the reward on (x, 1), in float64."""

    precise: ClassVar[bool] = True
    ridge: float = eqx.field(static=True, default=0.25)
    """Inverse variance of the weights' prior, in units of the noise's variance."""
    shape: float = eqx.field(static=True, default=6.0)
    """a of the noise's prior InvGamma(a, b)."""
    scale: float = eqx.field(static=True, default=6.0)
    """b"""
    train_every: int = eqx.field(static=True, default=100)

    def birth(self, radius: jax.Array, *, key: Key) -> Belief:
        del radius, key
        return _each_arm(prior(3, ridge=self.ridge, shape=self.shape, scale=self.scale))

    def choose(self, state: Belief, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return _thompson(state, _with_one(x), key=key)

    def notice(
        self, state: Belief, x: Float[Array, "2"], arm: jax.Array, reward: jax.Array
    ) -> Belief:
        return _observed_at(state, arm, _with_one(x), reward)


class LinGreedy(AbstractAgent):
    """Epsilon-greedy on a ridge regression of the reward on (x, 1), in float64."""

    precise: ClassVar[bool] = True
    epsilon: float = eqx.field(static=True, default=0.05)
    ridge: float = eqx.field(static=True, default=0.25)
    train_every: int = eqx.field(static=True, default=100)

    def __check_init__(self):
        check_epsilon(self.epsilon)

    def birth(self, radius: jax.Array, *, key: Key) -> Belief:
        del radius, key
        return _each_arm(prior(3, ridge=self.ridge, shape=1.0, scale=1.0))

    def choose(self, state: Belief, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return explore((state.mean @ _with_one(x)).argmax(), self.epsilon, key=key)

    def notice(
        self, state: Belief, x: Float[Array, "2"], arm: jax.Array, reward: jax.Array
    ) -> Belief:
        return _observed_at(state, arm, _with_one(x), reward)


class NeuralLinearState(eqx.Module):
    """What NeuralLinear carries."""

    network: Any
    """The arrays of the network."""
    heads: Belief


class NeuralLinear(AbstractAgent):
    """Thompson sampling from a linear regression on the last hidden layer of a trained network.

    Every `train_every` trials the network takes `steps` of RMSprop (a fresh optimiser, rate / (1 +
    decay * step), slopes clipped) on batches of all trials so far, and the regressions are fitted
    anew to its features; in between they take in every trial.
    """

    hidden: tuple[int, ...] = eqx.field(static=True, default=(100, 100))
    steps: int = eqx.field(static=True, default=50)
    batch: int = eqx.field(static=True, default=512)
    rate: float = eqx.field(static=True, default=0.01)
    decay: float = eqx.field(static=True, default=0.5)
    clip: float = eqx.field(static=True, default=5.0)
    """Largest norm of a slope."""
    ridge: float = eqx.field(static=True, default=23.0)
    shape: float = eqx.field(static=True, default=12.0)
    scale: float = eqx.field(static=True, default=30.0)
    train_every: int = eqx.field(static=True, default=20)

    def __check_init__(self):
        if not self.hidden or min(*self.hidden, self.steps, self.batch) < 1:
            raise UsageError(
                f"NeuralLinear with hidden {self.hidden}, steps {self.steps}, batch {self.batch}: "
                "each must be at least 1, and there must be a hidden layer"
            )

    def _prior(self) -> Belief:
        return prior(self.hidden[-1], ridge=self.ridge, shape=self.shape, scale=self.scale)

    def birth(self, radius: jax.Array, *, key: Key) -> NeuralLinearState:
        del radius
        network = mlp((2,), ARMS, hidden=self.hidden, bias=True, key=key)
        return NeuralLinearState(network, _each_arm(self._prior()))

    def choose(self, state: NeuralLinearState, x: Float[Array, "2"], *, key: Key) -> jax.Array:
        return _thompson(state.heads, _features(state.network, x[None])[0], key=key)

    def notice(
        self, state: NeuralLinearState, x: Float[Array, "2"], arm: jax.Array, reward: jax.Array
    ) -> NeuralLinearState:
        z = _features(state.network, x[None])[0]
        return NeuralLinearState(state.network, _observed_at(state.heads, arm, z, reward))

    def learn(self, state: NeuralLinearState, replay: Replay, *, key: Key) -> NeuralLinearState:
        network = self._trained(state.network, replay, key)
        z, before = _features(network, replay.x), self._prior()

        def head(weight: jax.Array) -> Belief:
            return fitted(before, z, replay.reward, weight, ridge=self.ridge)

        return NeuralLinearState(network, jax.vmap(head, 1)(replay.taken()))

    def _trained(self, network: AbstractNetwork, replay: Replay, key: Key) -> AbstractNetwork:
        optimiser = optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.rmsprop(lambda step: self.rate / (1 + self.decay * step)),
        )

        def step(carry: Any, key: Key) -> tuple[Any, None]:
            network, state = carry
            batch = replay.draw(self.batch, key=key)

            def loss(own: AbstractNetwork) -> jax.Array:
                return PARTIAL_REGRESSION.loss(own(batch.x), batch.y).mean()

            with jax.numpy_dtype_promotion("standard"):
                steps, state = optimiser.update(jax.grad(loss)(network), state)
            return (eqx.apply_updates(network, steps), state), None

        params: Any = network
        start = network, optimiser.init(params)
        return jax.lax.scan(step, start, jr.split(key, self.steps))[0][0]


def _features(network: AbstractNetwork, x: Float[Array, "n 2"]) -> Float[Array, "n features"]:
    """Activity of the last hidden layer."""
    return network.trace(x).layers[len(plastic_layers(network)) - 1].pre


def _with_one(x: Float[Array, "2"]) -> Float[Array, "3"]:
    return jnp.concatenate([x, jnp.ones(1, x.dtype)])


def _each_arm(belief: Belief) -> Belief:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (ARMS, *leaf.shape)), belief)


def _thompson(heads: Belief, z: Float[Array, " features"], *, key: Key) -> jax.Array:
    """The arm of the largest value, each drawn from what is believed of it."""
    values = jax.vmap(lambda own, key: drawn_value(own, z, key=key))(heads, jr.split(key, ARMS))
    return values.argmax()


def _observed_at(heads: Belief, arm: jax.Array, z: jax.Array, reward: jax.Array) -> Belief:
    own = observed(jax.tree.map(lambda leaf: leaf[arm], heads), z, reward)
    return jax.tree.map(lambda leaf, new: leaf.at[arm].set(new), heads, own)
