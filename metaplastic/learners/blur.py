"""BLUR: networks whose neurons and synapses follow one learned genome, and know no gradient.

Sandler, Vladymyrov, Zhmoginov, Miller, Jackson, Madams & Agüera y Arcas (2021), "Meta-learning
bidirectional update rules".
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax.random as jr

from .._errors import UsageError, nearest, require_not_negative, require_positive
from .._types import Key
from ..models import ActivationName
from ..tasks.base import AbstractTask
from ._blur_learner import Blur as Blur, BlurLife as BlurLife, Shape, sizes_of
from ._blur_passes import BackwardUpdate, Feedback, Over, SecondState, Wiring
from ._genome import GenomeInit, make_genome

Normalised = Literal["none", "forward", "backward", "both"]
Channels = Literal["single", "multi"]


def blur(
    task: AbstractTask,
    *,
    hidden: Sequence[int] = (20,),
    states: int = 2,
    init: GenomeInit = "backprop",
    per_layer: bool = False,
    symmetric: bool = False,
    channels: Channels = "multi",
    backward: BackwardUpdate = "additive",
    feedback: Feedback = "target",
    second_state: SecondState = "activity",
    activation: ActivationName = "tanh",
    backward_activation: ActivationName = "tanh",
    output_activation: ActivationName = "tanh",
    norm: Normalised = "both",
    over: Over = "batch",
    synapse_rate: float = 0.1,
    synapse_norm: bool = False,
    oja: float | None = None,
    saturation: float | None = None,
    scaled: bool = True,
    draw: int | None = None,
    key: Key,
) -> Blur:
    """A network under a genome that is to be learned.

    Args:
        task: What it is to learn.
        hidden: Widths of the hidden layers.
        states: States of a neuron.
        init: Genome to begin with: that of backpropagation, or a random one.
        per_layer: A genome for each layer of synapses instead of a shared one.
        symmetric: Feedback runs through the forward synapses.
        channels: Synapses have one number (single), or one for each state (multi).
        backward: Feedback is added to the activity, multiplies it, or multiplies all states but
            the first, which stays (second_state).
        feedback: The second state of the outputs becomes the target, or the derivative of the
            task's loss times that state (error: no rule without a gradient any more).
        second_state: In the forward pass, the second state is an activity as the others are, or
            the slope of the nonlinearity, as in backpropagation.
        activation: Nonlinearity of hidden neurons, forward.
        backward_activation: Nonlinearity of hidden neurons, backward.
        output_activation: Nonlinearity of the outputs.
        norm: Passes that are normalised before the nonlinearity.
        over: Statistics are those of a unit over the batch, or of a whole layer and the batch.
        synapse_rate: What synapses take of the mean change over a batch, to begin with.
        synapse_norm: Synapses act normalised over the presynaptic units of a neuron.
        oja: Strength, to begin with, of the inhibition that bounds synapses; none if not given.
        saturation: Largest size of synapses, to begin with; none if not given.
        scaled: Synapses start in U(-1, 1) divided by the root of the number of presynaptic units.
        draw: Seed of one draw of synapses for all lifetimes; each has its own if not given.
        key: Draws the genome.
    """
    wiring = Wiring(
        symmetric,
        backward,
        activation,
        backward_activation,
        output_activation,
        second_state,
        feedback,
        over,
    )
    chosen = {name: own for name, own in wiring._asdict().items() if name in _CHOICES}
    _check(states, **chosen, channels=channels, norm=norm, init=init)
    require_not_negative("--learner.oja", oja)
    require_positive("--learner.saturation", saturation)
    sizes = sizes_of(task, hidden)
    genome = [
        make_genome(
            states,
            states if channels == "multi" else 1,
            init,
            synapse_rate=-synapse_rate if feedback == "error" else synapse_rate,
            forward_norm=norm in ("forward", "both"),
            backward_norm=norm in ("backward", "both"),
            oja=oja,
            saturation=saturation,
            scale=1.0 if synapse_norm else None,
            key=own,
        )
        for own in jr.split(key, len(sizes) - 1 if per_layer else 1)
    ]
    return Blur(genome, Shape(sizes, scaled, draw), wiring, task.criterion)


_CHOICES: dict[str, Any] = {
    "backward": BackwardUpdate,
    "feedback": Feedback,
    "second_state": SecondState,
    "over": Over,
    "channels": Channels,
    "norm": Normalised,
    "init": GenomeInit,
}


def _check(states: int, **chosen: str) -> None:
    if states < 2:
        raise UsageError(
            f"--learner.states {states}: at least 2 are needed, one for the answer and one for "
            "the feedback"
        )
    for name, value in chosen.items():
        known = get_args(_CHOICES[name])
        if value not in known:
            raise UsageError(f"--learner.{name.replace('_', '-')} {value}: {nearest(value, known)}")
