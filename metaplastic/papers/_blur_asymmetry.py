"""Is BLUR's update a gradient? The Jacobian of one update, whose asymmetry says no."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.random as jr
import numpy as np

from ..report.records import RunFolder
from ..train.design import Design, Part
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from ._blur_studies import GRADIENT
from ._blur_toy import FULL, HIDDEN, SHORT, TASK
from ._meta_trained import meta_trained
from .base import Experiment, Found, Study, StudyArm

_BACKPROPAGATION: dict[str, Any] = {
    "channels": "single",
    "symmetric": True,
    "backward": "second_state",
    "second_state": "slope",
    "feedback": "error",
    "backward_activation": "identity",
    "norm": "none",
}


def _study(fields: Mapping[str, Any], options: MetaOptions | None, lifetimes: int) -> Study:
    """The asymmetry of each update of some lifetimes, of a genome as it is or meta-trained."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.jacobian_asymmetry import asymmetry_over_lifetime

        learner = Part("blur", {"hidden": HIDDEN, **fields})
        design = Design(learner=learner, task=Part(TASK, {}), estimator=GRADIENT)
        made = design.make()
        held = made.task.held_out()
        if options is None:
            learners = [made.build(jr.key(seed)) for seed in seeds]
        else:
            learners = meta_trained(
                design, options, seeds, folder, reporter, name="genomes"
            ).learners()
        reporter.compiling("Jacobians")

        @jax.jit
        def lived(own: Any, keys: jax.Array) -> jax.Array:
            def one(key: jax.Array) -> jax.Array:
                sample_key, life_key = jr.split(key)
                return asymmetry_over_lifetime(own, held.sample(sample_key), key=life_key)

            return jax.lax.map(one, keys).mean(0)

        pairs = zip(learners, seeds, strict=True)
        found = [lived(own, jr.split(jr.key(seed), lifetimes)) for own, seed in pairs]
        values = np.asarray(found, np.float64)
        return Found({"": values.mean(1)}, {"asymmetry": values.tolist()})

    return study


def asymmetry() -> Experiment:
    """The test on functions of the plane: 204 synapses, as in the paper."""

    def arms(options: MetaOptions, lifetimes: int) -> tuple[StudyArm, ...]:
        genomes: dict[str, tuple[dict[str, Any], MetaOptions | None]] = {
            "BLUR, meta-trained": ({"symmetric": True}, options),
            "BLUR, not normalised": ({"symmetric": True, "norm": "none"}, options),
            "BLUR, not meta-trained": ({"symmetric": True}, None),
            "backpropagation as a genome": (_BACKPROPAGATION, None),
        }
        return tuple(
            StudyArm(setting=name, study=_study(fields, own, lifetimes), figure="blur_asymmetry")
            for name, (fields, own) in genomes.items()
        )

    return Experiment(
        name="asymmetry",
        title="Is the update a gradient?",
        metric="asymmetry of the Jacobian",
        quick=arms(SHORT, 4),
        full=arms(FULL, 100),
        seeds={"quick": 3, "full": 5},
        protocol=(
            "|J - J^T| / |J + J^T| of the Jacobian J of one update of all synapses, mean over the "
            "10 updates of lifetimes on held-out functions; 0 for a gradient, as the genome that "
            "is backpropagation shows. The paper shows its Jacobian as a plot."
        ),
    )
