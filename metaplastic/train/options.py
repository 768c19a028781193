"""What a training run is made of; the fields are the options of `metaplastic train`.

Plain Python: a run record holds exactly these fields.
"""

from dataclasses import dataclass
from typing import Literal

from .._errors import UsageError, require_number
from .._hints import check_choices

OptimiserName = Literal["momentum", "nesterov", "sgd", "adam", "adamw", "rmsprop"]
ScheduleName = Literal["constant", "step", "cosine", "linear", "cooldown"]
InputRange = Literal["unit", "symmetric", "standardised"]


@dataclass(kw_only=True)
class TrainOptions:
    """Data, network, optimiser and protocol of one training run."""

    data: str = "digits"
    """A data set's name, or the path of an .npz with x_train, y_train, x_test, y_test."""
    model: str = "mlp"
    """A network's name (`metaplastic list models`), or your own file.py:function."""
    hidden: tuple[int, ...] | None = None
    """Widths of the hidden layers; the network's own where it is not given."""
    filters: tuple[int, ...] | None = None
    """Filters of the convolutions; the network's own where it is not given."""
    activation: Literal["relu", "tanh", "sigmoid", "softplus", "identity"] | None = None
    """Activation of the hidden layers; the network's own where it is not given."""
    bias: bool | None = None
    """Biases; the network's own where it is not given."""
    norm: Literal["none", "batch", "running"] | None = None
    """Batch normalisation: statistics of the batch always, or running averages in evaluation."""
    dropout: float | None = None
    """Dropout rate of the hidden units (0 to 1)."""
    initialiser: str | None = None
    """Distribution of the initial weights; the network's own where it is not given."""
    epochs: int = 20
    """Passes over the training set."""
    batch_size: int = 64
    """Examples a step; what is left over of an epoch's shuffled order is skipped."""
    lr: float = 0.05
    """Learning rate."""
    optimiser: OptimiserName = "momentum"
    """What turns a rule's updates into steps."""
    momentum: float = 0.9
    """Momentum of `momentum` and `nesterov`."""
    weight_decay: float = 0.0
    """Decay of the weights: added to the updates (`adamw`: decoupled)."""
    clip: float | None = None
    """Largest global norm of the updates."""
    schedule: ScheduleName = "constant"
    """How the learning rate changes; `cooldown`: linearly to 0 in the second half."""
    milestones: tuple[float, ...] = (60.0, 90.0)
    """Epochs after which the schedule `step` multiplies the rate by `decay`."""
    decay: float = 0.1
    """Factor of the schedule `step`."""
    input_range: InputRange = "unit"
    """`unit`: data / scale; `symmetric`: 2 unit - 1; `standardised`: zero mean, unit variance."""
    resize: int | None = None
    """Side length that images are resized to, bilinearly."""
    augment: bool = False
    """Random crops (after padding by 4) and horizontal flips of the training images."""
    validation: float = 0.0
    """Part (below 1) or number of the training examples kept apart for validation."""
    select: Literal["last", "best"] = "last"
    """Epoch that is reported: the last, or the best on the validation set."""
    average_last: int = 1
    """Accuracy reported is the mean over this many last epochs."""
    alignment: bool = True
    """Measure at every epoch the angles of each layer's update and deltas to backpropagation's, and
    angles and sizes of forward and feedback weights."""
    parallel: Literal["auto", "batch", "loop"] = "auto"
    """Many seeds: in one batched program, or one after the other; `auto` decides by size."""
    devices: int | None = None
    """Devices that share the replicas (seeds, and learning rates of a grid). A CPU becomes as many
    as are asked for, of which each core runs one; one where it is not given."""
    checkpoint_every: int | None = None
    """Epochs between checkpoints; every 30 seconds where it is not given."""

    def check(self) -> None:
        """Raise `UsageError` for a value that cannot work."""
        check_choices(self, "--")
        for name, value in vars(self).items():
            require_number(f"--{name.replace('_', '-')}", value)
        for milestone in self.milestones:
            if milestone < 0:
                raise UsageError(f"--milestones {milestone:g}: it must not be negative")
        positive = {
            "epochs": self.epochs,
            "batch-size": self.batch_size,
            "average-last": self.average_last,
            "resize": self.resize,
            "checkpoint-every": self.checkpoint_every,
            "devices": self.devices,
            "lr": self.lr,
            "clip": self.clip,
        }
        for name, value in positive.items():
            if value is not None and not value > 0:
                raise UsageError(f"--{name} {value}: it must be positive")
        unit = {"momentum": self.momentum, "dropout": self.dropout}
        for name, value in unit.items():
            if value is not None and not 0 <= value < 1:
                raise UsageError(f"--{name} {value}: it must be at least 0 and below 1")
        for name, value in {"weight-decay": self.weight_decay, "decay": self.decay}.items():
            if not value >= 0:
                raise UsageError(f"--{name} {value}: it must not be negative")
        if not self.validation >= 0:
            raise UsageError(f"--validation {self.validation}: it must not be negative")
        if self.select == "best" and self.validation == 0:
            raise UsageError("--select best needs a validation set: pass --validation 0.1, say")
        if self.average_last > self.epochs:
            raise UsageError(
                f"--average-last {self.average_last} is more than --epochs {self.epochs}"
            )
        if self.select == "best" and self.average_last > 1:
            raise UsageError("--average-last goes with --select last, not with best")
        if self.devices is not None:
            from .._devices import provide  # which imports JAX

            provide(self.devices)
