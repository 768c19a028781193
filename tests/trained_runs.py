"""A run of meta-training as it lies in its folder, made without training anything."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from metaplastic.report.records import RunFolder
from metaplastic.train.checkpoint import Checkpoints
from metaplastic.train.design import Design, Part
from metaplastic.train.meta_options import MetaOptions
from metaplastic.train.meta_trainer import MetaTrainer

DESIGN = Design(
    learner=Part(
        "online", {"hidden": (3,), "activation": "tanh", "rates": "global", "start": "fresh"}
    ),
    rule=Part("backprop"),
    task=Part("sinusoid", {"moments": 2, "shots": 4, "queries": 4}),
)
OPTIONS = MetaOptions(steps=2, test_lifetimes=3, species=2)
RATES = jnp.array([0.02, 0.03, 0.04, 0.05])


def make_run(path) -> RunFolder:
    """Only the rates were learned; the first species of seed 0 leads, the second of seed 1."""
    config = {"command": "meta", "design": DESIGN.record(), "seeds": [0, 1], "data": None}
    with RunFolder.create(path, "meta") as folder:
        folder.write_config({**config, "options": dataclasses.asdict(OPTIONS)})
        folder.append_metrics([{"step": 2, "species_loss": [[1.0, 2.0], [3.0, 2.0]]}])
        state = MetaTrainer(*DESIGN.make(), OPTIONS).initial([0, 1])
        state = eqx.tree_at(lambda own: own.learner.rate, state, RATES)
        Checkpoints(folder.checkpoints, run=folder.path).save(2, state)
    return folder
