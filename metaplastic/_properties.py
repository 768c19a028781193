"""What a synapse needs to know under a rule: the declarations behind the plausibility table.

Kept free of JAX, and declared with literals only, so that `metaplastic list rules` can read the
declarations from a rule's source without importing it.
"""

from dataclasses import dataclass
from typing import Literal

WeightTransport = Literal["yes", "signs", "learned", "no"]


@dataclass(frozen=True)
class Properties:
    """Biological properties of a rule; every field says what the rule *needs* (False is better).

    The columns follow Dellaferrera & Kreiman (2022) and the reviews of its successor: "a signal
    that is not local" and "stored earlier state" are kept apart from "weight transport".
    """

    weight_transport: WeightTransport
    """Does the update of a layer read forward weights of other layers? `signs`: only their signs;
    `learned`: through feedback weights that a local process aligns."""
    nonlocal_signal: str
    """What reaches the synapse beyond pre, post and a layer-local signal ("" for nothing)."""
    backward_sweep: bool
    """A separate backward pass through the layers."""
    frozen_activity: bool
    """Forward activity must be held while the error travels."""
    update_locked: Literal["yes", "partly", "no"]
    """Must a layer wait for signals from the output before it can change?"""
    stored_state: bool
    """The update combines activity from different moments, so the earlier one must be stored."""
    needs_slope: bool
    """The derivative of the activation function enters the update."""
    forward_passes: int = 1
    """Forward passes for one update."""
    batch_linear: bool = True
    """The update of a batch is the mean of the updates of its examples."""
    batch_sum: bool = False
    """The update of a batch is the sum of those of its examples, not their mean."""
