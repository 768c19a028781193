"""PEPITA 784-1024-10, batch 64, momentum and dropout: against the floor and against PyTorch."""

import contextlib
from typing import Any

import jax
import jax.numpy as jnp

from .._errors import MissingExtraError, require_extra
from ..rules.pepita import Pepita
from ..train import Trainer, TrainOptions
from ._synthetic import images
from ._timing import row, seconds_each

_BATCH, _HIDDEN, _STEPS = 64, 1024, 150


def run() -> list[dict[str, Any]]:
    """Rows: one chunk of steps against the same steps written by hand in PyTorch, and against two
    full and one weight-gradient matrix product a step."""
    candidates = {"ours": _ours(), "floor": _floor()}
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = _torch()
    seconds = seconds_each(candidates)
    per_step = {name: [s / _STEPS for s in own] for name, own in seconds.items()}
    rows = [row("PEPITA / matrix-product floor", per_step["ours"], per_step["floor"], "<= 1.5")]
    if "torch" in per_step:
        rows.append(row("PyTorch by hand / PEPITA", per_step["torch"], per_step["ours"], ">= 4"))
    return rows


def _ours() -> Any:
    data = images(_BATCH * _STEPS, 28, 28)
    options = TrainOptions(hidden=(_HIDDEN,), dropout=0.1, batch_size=_BATCH, epochs=1, lr=0.01)
    trainer = Trainer(Pepita(), data, options)
    state = trainer.initial([0], [0.01])
    return lambda: trainer.chunk(state, jnp.int32(0), length=_STEPS)


def _floor() -> Any:
    x = jax.random.normal(jax.random.key(0), (_BATCH, 784))
    w = jax.random.normal(jax.random.key(1), (784, _HIDDEN))
    d = jax.random.normal(jax.random.key(2), (_BATCH, _HIDDEN))
    forward, gradient = jax.jit(lambda x, w: x @ w), jax.jit(lambda x, d: x.T @ d)

    def steps() -> None:
        for _ in range(_STEPS):
            jax.block_until_ready((forward(x, w), forward(x, w), gradient(x, d)))

    return steps


def _torch() -> Any:
    """The same arithmetic, without automatic differentiation: two passes, one mask a step,
    heavy-ball momentum on preallocated buffers."""
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(2)
    images_ = torch.randint(0, 256, (_BATCH * _STEPS, 784), dtype=torch.uint8)
    labels = torch.randint(0, 10, (_BATCH * _STEPS,))
    w1, w2 = torch.randn(784, _HIDDEN) * 0.05, torch.randn(_HIDDEN, 10) * 0.04
    v1, v2 = torch.zeros_like(w1), torch.zeros_like(w2)
    feedback = torch.randn(784, 10) * 0.003

    def steps() -> None:
        order = torch.randperm(len(images_))
        for step in range(_STEPS):
            index = order[step * _BATCH : (step + 1) * _BATCH]
            x = images_[index].float() / 255
            y = torch.nn.functional.one_hot(labels[index], 10).float()
            mask = (torch.rand(_BATCH, _HIDDEN) >= 0.1).float() / 0.9
            h = torch.relu(x @ w1) * mask
            error = torch.softmax(h @ w2, 1) - y
            x_err = x + error @ feedback.t()
            h_err = torch.relu(x_err @ w1) * mask
            g1 = x_err.t() @ (h - h_err) / _BATCH
            g2 = h_err.t() @ error / _BATCH
            for w, v, g in ((w1, v1, g1), (w2, v2, g2)):
                v.mul_(0.9).add_(g)
                w.add_(v, alpha=-0.01)

    return steps
