"""One-shot labelling meta-trained for 60 seeds in one program, against one NumPy step at a time."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..learners.hebbian import hebbian
from ..meta.unrolled import Unrolled
from ..papers._bohp_protocol import ONE_SHOT
from ..train.meta_trainer import MetaTrainer
from ._timing import row

_SEEDS, _EPISODES, _REFERENCE_EPISODES, _REPEATS = 60, 10_000, 60, 3


def run() -> list[dict[str, Any]]:
    """Time of a lifetime of one seed, gradient and step included: ours, and the arithmetic of the
    first publication, which sums over the inputs and over all earlier moments in Python, twice.

    The reference runs fewer lifetimes; both are milliseconds of one.
    """
    trainer = _trainer()
    state = trainer.initial(range(_SEEDS))
    jax.block_until_ready(trainer.chunk(state, 0, length=_EPISODES))
    ours, reference = [], []
    for repeat in range(_REPEATS):
        reference.append(_seconds(lambda seed=repeat: _reference(seed)) / _REFERENCE_EPISODES)
        whole = _seconds(lambda: trainer.chunk(state, 0, length=_EPISODES))
        ours.append(whole / (_SEEDS * _EPISODES))
    return [row("one-shot lifetime: NumPy by moments / ours", reference, ours, ">= 1000")]


def _seconds(candidate: Any) -> float:
    began = time.perf_counter()
    jax.block_until_ready(candidate())
    return time.perf_counter() - began


def _trainer() -> MetaTrainer:
    task = ONE_SHOT.make_task()

    def build(key: jax.Array) -> Any:
        return hebbian(task, eta=1 - ONE_SHOT.gamma, key=key)

    return MetaTrainer(build, task, Unrolled(), ONE_SHOT.options(_EPISODES))


def _reference(seed: int) -> Any:
    """The arithmetic of the 2016 scripts: one seed, one lifetime, one moment after the other."""
    source = np.random.default_rng(seed)
    shapes = {"w": (2, 10), "alpha": (2, 10), "b": (2,), "v": (2, 2), "c": (2,)}
    theta = {name: 0.1 * source.normal(size=shape) for name, shape in shapes.items()}
    theta["v"] = np.abs(theta["v"])
    square: dict[str, np.ndarray] = {}
    for episode in range(_REFERENCE_EPISODES):
        gradient = _reference_gradient(theta, _reference_inputs(source))
        for name, g in gradient.items():
            square[name] = g * g if episode == 0 else square[name] + 0.01 * (g * g - square[name])
            step = np.clip(-0.01 * g / np.sqrt(square[name] + 1e-8), -0.01, 0.01)
            theta[name] = theta[name] + step
            if name in ("w", "alpha", "v"):
                theta[name] = theta[name] - 1e-4 * np.sign(theta[name])
    return jnp.asarray(theta["w"])


def _reference_inputs(source: np.random.Generator) -> np.ndarray:
    patterns = np.where(source.random((2, 8)) > 0.5, 1.0, -1.0)
    x = np.zeros((20, 10))
    for t in range(20):
        x[t, 2:] = patterns[t % 2]
        if t < 2:
            x[t, t] = 1.0
    return x


def _reference_gradient(theta: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """Derivatives of a trace as a sum over the moments that made it."""
    gamma, w, alpha = ONE_SHOT.gamma, theta["w"], theta["alpha"]
    trace = np.zeros_like(w)
    by_alpha: list[np.ndarray] = []  # dy / dalpha at each earlier moment, [units, inputs]
    by_weight: list[np.ndarray] = []
    total = {name: np.zeros_like(value) for name, value in theta.items()}
    for t in range(len(x)):
        y = np.tanh((w + alpha * trace) @ x[t] + theta["b"])
        z = theta["v"] @ y + theta["c"]
        slope = 1 - np.tanh(y) ** 2
        from_alpha, from_weight = x[t] * trace, np.tile(x[t], (len(y), 1))
        for past, own in ((by_alpha, from_alpha), (by_weight, from_weight)):
            for k in range(x.shape[1]):  # the input that the earlier moments imprinted
                imprint = np.zeros_like(w)
                for u in range(t):
                    imprint += (1 - gamma) * gamma ** (t - 1 - u) * x[u, k] * past[u]
                own += (alpha[:, k] * x[t, k])[:, None] * imprint
        by_alpha.append(slope[:, None] * from_alpha)
        by_weight.append(slope[:, None] * from_weight)
        if t >= 2:
            error = np.exp(z) / (1e-8 + np.exp(z).sum())
            error[t % 2] -= 1
            back = theta["v"].T @ error
            total["alpha"] += back[:, None] * by_alpha[t]
            total["w"] += back[:, None] * by_weight[t]
            total["b"] += back * (1 - y * y)
            total["v"] += np.outer(error, y)
            total["c"] += error
        trace = gamma * trace + (1 - gamma) * np.outer(y, x[t])
    return total
