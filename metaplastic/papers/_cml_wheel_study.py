"""Contrastive meta-learning: agents play on wheel bandits, once they are meta-trained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..report.records import RunFolder
from ..train.design import Design
from ..train.fit import Reporter
from ..train.meta_options import MetaOptions
from .base import Found, Study

_SHOWN = 0.9
"""Radius of the wheel whose policy is drawn."""
_DOTS = 1500
"""Its last trials, which are drawn."""


@dataclass(frozen=True)
class Online:
    """How an agent goes on learning: optimiser, rate, steps, batch, and trials between."""

    optimiser: str
    rate: float
    steps: int
    batch: int
    every: int


@dataclass(frozen=True)
class Trained:
    """An agent with a learner that was meta-trained."""

    name: str
    design: Design
    options: MetaOptions
    online: Online

    def agent(self, seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Any:
        """One a seed: their arrays have a leading axis."""
        from ..analysis.bandit_agents import Greedy
        from ..learners.solver import Solver
        from ..train.entrant import part
        from ..train.meta_fit import meta_fit
        from ..train.meta_trainer import MetaTrainer

        trainer = MetaTrainer(*self.design.make(), self.options)
        own = part(folder, "meta")
        outcome = meta_fit(trainer, seeds, folder=own, reporter=reporter, name=self.name)
        online = self.online
        solver = Solver(online.optimiser, online.steps, online.batch)
        return Greedy(
            learner=trainer.learner(outcome.state),
            solver=solver,
            rate=online.rate,
            train_every=online.every,
        )


def regret_study(make: Callable[..., Any], *, each: bool, trials: int) -> Study:
    """Normalised regret on every wheel; `make(seeds, folder, reporter)` gives the agent."""

    def study(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Found:
        from ..analysis.bandit_regret import RADII, bandit_regret

        agent = make(seeds, folder, reporter)
        reporter.compiling(f"{trials} trials")
        found = bandit_regret(agent, seeds=seeds, trials=trials, each=each)
        shares = found.curve / (found.trials * found.uniform[:, None])
        data = {
            "radii": list(RADII),
            "trials": found.trials.tolist(),
            "regret": np.median(shares, 0).tolist(),
            "policy": _policy(agent, seeds[0], trials, each=each),
        }
        rows = {f"radius {own:g}": found.score[:, i] for i, own in enumerate(RADII)}
        return Found(rows, data)

    return study


def _policy(agent: Any, seed: int, trials: int, *, each: bool) -> dict[str, Any]:
    """Contexts and arms of the last trials on one wheel."""
    import contextlib

    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from ..analysis.bandit_regret import play
    from ..tasks._wheel import contexts

    if each:
        agent = jax.tree.map(lambda leaf: leaf[0] if eqx.is_array(leaf) else leaf, agent)
    with jax.enable_x64(True) if agent.precise else contextlib.nullcontext():
        key, radius = jr.key(seed), jnp.asarray(_SHOWN, float)
        lived = eqx.filter_jit(play)(agent, radius, trials=trials, key=key)
        # As `play` draws them.
        x = contexts(jr.split(jr.split(key, 4)[0])[0], trials, dtype=jnp.float32)
    x, arm = np.asarray(x)[-_DOTS:], np.asarray(lived.arm)[-_DOTS:]
    return {"radius": _SHOWN, "x": x.round(4).tolist(), "arm": arm.tolist()}


def plain_agent(name: str, **fields: Any) -> Callable[..., Any]:
    """An agent that was not meta-trained, by the name of its class."""

    def make(seeds: tuple[int, ...], folder: RunFolder, reporter: Reporter) -> Any:
        from ..analysis import bandit_agents

        return getattr(bandit_agents, name)(**fields)

    return make
