"""What the synapses of a network cost while it lives: a proxy that counts no hardware."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..learners._entry import beside
from ..learners._sequence import AbstractSequenceLearner
from ..learners.base import AbstractLearner, Life
from ..learners.hebbian_recurrent import RecurrentHebbianLearner
from ..learners.lifetime import Moment, moments, stepper
from ..tasks.base import Episode

Energy = Float[Array, "lifetimes time units"]


def synaptic_energy(learner: AbstractLearner, episodes: Episode, *, key: Key) -> Energy:
    """`sum_j |G_ij| u_j^2` of each unit at each moment of each lifetime.

    `G` are the efficacies that act at that moment and `u` the activities before them: a current
    of conductance |G| under a voltage u. Read-outs are not counted. Garcia Rodriguez, Guo &
    Moraitis (2022), "Short-term plasticity neurons learning to learn and forget".

    Raises `UsageError` for learners that do not live through a sequence in this sense.
    """
    if not isinstance(learner, AbstractSequenceLearner | RecurrentHebbianLearner):
        raise UsageError(
            f"{type(learner).__name__} has no synaptic energy: take a learner such as stpn, rnn, "
            "lstm, fast_weights, hebb_ff or hebbian_recurrent"
        )

    return _energies(learner, episodes, jr.split(key, episodes.stream.x.shape[0]))


@eqx.filter_jit
def _energies(
    learner: AbstractSequenceLearner | RecurrentHebbianLearner, episodes: Episode, keys: jax.Array
) -> Energy:
    def one(episode: Episode, key: Key) -> Float[Array, "time units"]:
        birth_key, step_key = jr.split(key)

        step = stepper(learner, key=step_key)

        def moment(life: Life, now: Moment) -> tuple[Life, jax.Array]:
            return step(life, now)[0], _cost(learner, life, now.x, now.y)

        life = learner.birth(key=birth_key)
        return jax.lax.scan(moment, life, moments(learner, episode.stream))[1]

    return jax.vmap(one)(episodes, keys)


def _cost(
    learner: AbstractSequenceLearner | RecurrentHebbianLearner,
    life: Life,
    x: jax.Array,
    y: jax.Array | None,
) -> Float[Array, " units"]:
    if isinstance(learner, AbstractSequenceLearner):
        return learner.energy(life, learner.entering(x, y))
    weight = learner.weight
    if learner.plasticity is not None and life.traces is not None:
        weight = learner.plasticity.efficacy(weight, life.traces)
    cost = jnp.square(life.activity) @ jnp.abs(weight)
    if learner.entrance is not None and learner.entrance.weight is not None:
        given = beside(x, y, learner.told)
        cost += jnp.square(given) @ jnp.abs(learner.entrance.weight)
    elif learner.entry == "drive":  # one synapse from each input to its unit
        cost += learner.input_scale * jnp.square(learner.entering(x, y))
    return cost[0]
