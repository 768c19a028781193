"""What networks share that live through one sequence: its entry, their start, their answer."""

import abc
import math

import equinox as eqx
import jax
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import UsageError
from .._types import Key
from ..tasks.base import AbstractTask
from ._entry import beside, told_width, width
from .base import AbstractLearner, Life
from .hebbian import Readout

Entering = Float[Array, " inputs"]
Units = Float[Array, " units"]


class FirstUnits(eqx.Module):
    """A read-out without weights: output = the activity of the first units."""

    outputs: int = eqx.field(static=True)

    def __call__(self, activity: Float[Array, "batch units"]) -> Float[Array, "batch outputs"]:
        return activity[:, : self.outputs]


class AbstractSequenceLearner(AbstractLearner):
    """A network that carries its life from one moment of a sequence to the next.

        life_t, h_t = advance(life_{t-1}, x_t)      output_t = h_t V + c

    A lifetime is one sequence, one example a moment: a life has no axis for a batch, and many
    sequences are many lifetimes side by side. Where a task tells the learner a y, it stands behind
    x, and zeros where an answer is asked for.
    """

    readout: eqx.AbstractVar[Readout | FirstUnits]
    told: eqx.AbstractVar[int]
    """Inputs that hold y; 0 where the task tells none."""

    @abc.abstractmethod
    def start(self) -> Life:
        """The life before the first moment."""

    @abc.abstractmethod
    def advance(self, life: Life, entering: Entering) -> tuple[Life, Units]:
        """Life and activity after a moment."""

    @abc.abstractmethod
    def energy(self, life: Life, entering: Entering) -> Units:
        """`sum_j |G_ij| u_j^2` of each unit i at this moment: what synapses of efficacy `G` cost
        that the activities `u` drive, by the proxy of Garcia Rodriguez, Guo & Moraitis (2022)."""

    def birth(self, *, key: Key) -> Life:
        del key
        return self.start()

    def step(
        self, life: Life, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[Life, jax.Array]:
        del key
        life, activity = self.advance(life, self.entering(x, y))
        return life, self.readout(activity[None])

    def predict(self, life: Life, x: jax.Array) -> jax.Array:
        """Each question is answered as if it were the next moment."""
        asked = beside(x, None, self.told)
        return self.readout(jax.vmap(lambda own: self.advance(life, own)[1])(asked))

    def entering(self, x: jax.Array, y: jax.Array | None) -> Entering:
        """x in one row, and y (or zeros) where the task tells it; of the only example."""
        if x.shape[0] != 1:
            raise UsageError(
                f"{type(self).__name__} lives through one sequence, one example a moment, not "
                f"{x.shape[0]}: choose a task, or task options, that show one at a time"
            )
        return beside(x, y, self.told)[0]


def inputs_of(task: AbstractTask) -> tuple[int, int]:
    """`(width of what enters, how much of it is y)`."""
    told = told_width(task)
    return width(task) + told, told


def check_hidden(hidden: int) -> None:
    """Raise `UsageError` for a network without units."""
    if hidden < 1:
        raise UsageError(f"--learner.hidden {hidden}: at least one unit is needed")


def check_decay(decay: float) -> None:
    """Raise `UsageError` for what cannot be the part of a memory that is kept."""
    if not 0 <= decay <= 1:
        raise UsageError(f"--learner.decay {decay}: what is kept is a part, between 0 and 1")


def bounded(shape: tuple[int, ...], units: int, *, key: Key) -> jax.Array:
    """U(+-1/sqrt(units)), how recurrent networks usually start."""
    bound = 1 / math.sqrt(units)
    return jr.uniform(key, shape, minval=-bound, maxval=bound)


def draw_readout(units: int, outputs: int, *, key: Key) -> Readout:
    """V, c ~ U(+-1/sqrt(units))."""
    weight_key, bias_key = jr.split(key)
    return Readout(
        bounded((units, outputs), units, key=weight_key), bounded((outputs,), units, key=bias_key)
    )
