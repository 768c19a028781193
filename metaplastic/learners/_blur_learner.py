"""The learner that runs a genome of BLUR: its network, its life, other networks for it."""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..models import ActivationName
from ..tasks.base import AbstractTask
from ..tasks.criteria import Criterion
from ._blur_passes import Wiring, changes, downwards, strengthened, upwards
from ._blur_products import Activity, Synapses
from ._genome import Genome
from .base import AbstractLearner


class Shape(eqx.Module):
    """The network that a genome runs, and how it is born."""

    sizes: tuple[int, ...] = eqx.field(static=True)
    """Units of the input, of each hidden layer and of the output."""
    scaled: bool = eqx.field(static=True)
    """Synapses start in U(-1, 1) divided by the root of the number of presynaptic units."""
    draw: int | None = eqx.field(static=True)
    """Seed of one draw of synapses for all lifetimes; None: every lifetime has its own."""


class BlurLife(eqx.Module):
    """Fast state: the synapses below each layer."""

    up: tuple[Synapses, ...]
    """[channels, units below + 1, units above], of every layer; the last row is the bias."""
    down: tuple[Synapses, ...]
    """[channels, units below, units above], of all layers but the first, whose inputs get no
    feedback; none where feedback runs through `up`."""


class Blur(AbstractLearner):
    """Neurons of k states and synapses of as many channels, changed by a genome.

        up:        a_j^c <- sigma(norm(eta sum_{i,d} w_ij^c nu^{cd} a_i^d))
        feedback:  the outputs keep state 1, state 2 becomes the target (+1 or -1), the others 0
        down:      a_i^c <- sigma(norm(f a_i^c + eta sum_{j,d} w_ji^c mu^{cd} a_j^d))
        synapses:  w_ij^c <- f~ w_ij^c + eta~ mean_batch sum_{e,d} a_i^e nu~^{ec} mu~^{cd} a_j^d

    Meta-parameters: the `genome`, one for all layers or one a layer. A life is the synapses, which
    a birth draws from U(-1, 1). In a moment all activities begin at zero, the input stands in the
    first state, and a unit that is 1 in every state serves as bias. The answer is the first state
    of the outputs. Upward and downward synapses change by the same equation, each with its own pre-
    and postsynaptic neurons. The equations of the paper sum over the batch; here it is the mean, so
    that neither eta~ nor the size of a meta-step on it depends on the batch: eta~ here is the
    paper's times the batch. Sandler et al. (2021), section 3, equations 5 to 8.
    """

    genome: tuple[Genome, ...]
    """One, shared by all layers of synapses, or one for each from the input up."""
    shape: Shape
    wiring: Wiring = eqx.field(static=True)
    criterion: Criterion = eqx.field(static=True)

    def __init__(
        self, genome: Sequence[Genome], shape: Shape, wiring: Wiring, criterion: Criterion
    ):
        """Raises `UsageError` for genomes that do not fit one another or the network."""
        layers = len(shape.sizes) - 1
        if len(genome) not in (1, layers):
            raise UsageError(
                f"a genome for each of {len(genome)} layers cannot run a network of {layers}: "
                "meta-train a shared one (without --learner.per-layer), or keep the depth"
            )
        self.genome, self.shape, self.wiring = tuple(genome), shape, wiring
        self.criterion = criterion.whole("blur")

    def birth(self, *, key: Key) -> BlurLife:
        sizes, draw = self.shape.sizes, self.shape.draw
        key = key if draw is None else jr.key(draw)
        layers = range(len(sizes) - 1)
        up = tuple(self._born(jr.fold_in(key, 2 * i), i, up=True) for i in layers)
        if self.wiring.symmetric:
            return BlurLife(up, ())
        down = (self._born(jr.fold_in(key, 2 * i + 1), i, up=False) for i in layers[1:])
        return BlurLife(up, tuple(down))

    def _born(self, key: Key, layer: int, *, up: bool) -> Synapses:
        below, above = self.shape.sizes[layer : layer + 2]
        genome, below = self.genes(layer), below + int(up)
        limit = (below if up else above) ** -0.5 if self.shape.scaled else 1.0
        shape = (genome.channels, below, above)
        return jr.uniform(key, shape, genome.forward.dtype, -limit, limit)

    def step(
        self, life: BlurLife, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[BlurLife, jax.Array]:
        del key
        if y is None:
            return life, self.predict(life, x)
        # Activities of a batch are many times the synapses, and quicker computed twice than stored.
        return jax.checkpoint(Blur._learn)(self, life, x, y)

    def _learn(self, life: BlurLife, x: jax.Array, y: jax.Array) -> tuple[BlurLife, jax.Array]:
        activities = self.ascend(life, x)
        output = activities[-1][:, 0]
        activities[-1] = self.told(activities[-1], y)
        return self.strengthen(life, self.descend(life, activities)), output

    def predict(self, life: BlurLife, x: jax.Array) -> jax.Array:
        return self.ascend(life, x)[-1][:, 0]

    def genes(self, layer: int) -> Genome:
        """The genome of the synapses below a layer, and of the neurons that they reach."""
        return self.genome[layer % len(self.genome)]

    def ascend(self, life: BlurLife, x: jax.Array) -> list[Activity]:
        """Activities of the input, whose other states are zero and left out, and of each layer
        after the forward pass.

        Raises `UsageError` for a batch of one that is to be normalised over the batch.
        """
        norms = self.genome[0].forward_norm, self.genome[0].backward_norm
        if x.shape[0] == 1 and self.wiring.over == "batch" and norms != (None, None):
            raise UsageError(
                "blur normalises over the batch, and one example has no deviation: pass "
                "--learner.over layer or --learner.norm none, or take larger batches"
            )
        activities = [x.reshape(x.shape[0], 1, -1).astype(life.up[0].dtype)]
        last = len(life.up) - 1
        for layer, synapses in enumerate(life.up):
            wiring = self.wiring
            name = wiring.output_activation if layer == last else wiring.activation
            above = upwards(self.genes(layer), synapses, activities[-1], name, wiring)
            activities.append(above)
        return activities

    def told(self, output: Activity, y: jax.Array) -> Activity:
        """The outputs with the feedback in their second state."""
        answer, signal = output[:, 0], y.astype(output.dtype)
        if self.wiring.feedback == "error":
            wanted = signal
            slope = jax.grad(lambda own: self.criterion.loss(own, wanted).sum())(answer)
            signal = output[:, 1] * slope
        elif self.criterion.rule_loss == "cross_entropy":
            signal = 2 * signal - 1
        rest = jnp.zeros_like(output[:, 2:])
        return jnp.concatenate([answer[:, None], signal[:, None], rest], 1)

    def descend(self, life: BlurLife, activities: Sequence[Activity]) -> list[Activity]:
        """Activities after the backward pass, which reaches the hidden layers."""
        after = list(activities)
        for layer in range(len(life.up) - 1, 0, -1):
            synapses = life.up[layer][:, :-1] if self.wiring.symmetric else life.down[layer - 1]
            after[layer] = downwards(
                self.genes(layer), synapses, after[layer], after[layer + 1], self.wiring
            )
        return after

    def strengthen(self, life: BlurLife, activities: Sequence[Activity]) -> BlurLife:
        """The synapses after a moment."""
        up, down = [], []
        for layer, synapses in enumerate(life.up):
            genome, ends = self.genes(layer), activities[layer : layer + 2]
            one_way = self.wiring.symmetric or layer == 0
            hebb, back = changes(genome, *ends, symmetric=one_way)
            up.append(strengthened(genome, synapses, hebb, axis=1))
            if back is not None:
                down.append(strengthened(genome, life.down[layer - 1], back, axis=2))
        return BlurLife(tuple(up), tuple(down))

    # Another network, another genome

    def with_network(
        self,
        task: AbstractTask,
        *,
        hidden: Sequence[int] | None = None,
        activation: ActivationName | None = None,
        backward_activation: ActivationName | None = None,
        output_activation: ActivationName | None = None,
    ) -> "Blur":
        """This genome in a network for another task, of other widths, depth or nonlinearities.

        What is not given stays. Raises `UsageError` where a genome of each layer meets another
        number of layers.
        """
        own = {
            "activation": activation,
            "backward_activation": backward_activation,
            "output_activation": output_activation,
        }
        wiring = self.wiring._replace(**{k: v for k, v in own.items() if v is not None})
        hidden = self.shape.sizes[1:-1] if hidden is None else hidden
        shape = Shape(sizes_of(task, hidden), self.shape.scaled, self.shape.draw)
        return Blur(self.genome, shape, wiring, task.criterion)

    def with_genome(self, genome: Genome | Sequence[Genome]) -> "Blur":
        """This network under another genome.

        Raises `UsageError` for one of another number of states or channels.
        """
        genomes = (genome,) if isinstance(genome, Genome) else tuple(genome)
        for own in genomes:
            for what in ("states", "channels"):
                needed, found = getattr(self.genome[0], what), getattr(own, what)
                if needed != found:
                    count = found if what == "states" else "single" if found == 1 else "multi"
                    raise UsageError(
                        f"this genome is of {found} {what} and the network of {needed}: build the "
                        f"network with --learner.{what} {count}"
                    )
        return Blur(genomes, self.shape, self.wiring, self.criterion)

    def admit(self, source: Any) -> None:
        if isinstance(source, Blur):
            self.with_genome(source.genome)


def sizes_of(task: AbstractTask, hidden: Sequence[int]) -> tuple[int, ...]:
    """Units of each layer of a network for a task."""
    for width in hidden:
        if width < 1:
            raise UsageError(f"--learner.hidden {width}: a layer has at least 1 unit")
    return (math.prod(task.input_shape), *hidden, task.outputs)
