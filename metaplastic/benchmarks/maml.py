"""MAML on sinusoids, second order: against the same arithmetic in PyTorch's torch.func."""

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

from .._errors import MissingExtraError, require_extra
from ..learners.online import OnlineLearner, online
from ..meta.unrolled import Unrolled
from ..rules.backprop import Backprop
from ..tasks.sinusoid import Sinusoid
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from ._timing import seconds_each, turned

_META_BATCH, _SHOTS, _RATE, _LR, _HIDDEN = 25, 10, 0.01, 1e-3, (40, 40)
THREADS = 1
"""As PyTorch's: for products as small as these, more of them cost time on both sides."""
_OURS, _THEIRS = 200, 20
"""Meta-steps of one measurement."""


def run() -> list[dict[str, Any]]:
    """A meta-step of a 1-40-40-1 network, 25 curves, one and five steps within a lifetime.

    Sampling, inner steps, second-order meta-gradient and Adam are in both programs.
    """
    candidates: dict[str, Callable[[], Any]] = {}
    for moments in (1, 5):
        candidates[f"ours {moments}"] = _ours(moments)
        with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
            candidates[f"torch {moments}"] = _torch(moments)
    seconds = seconds_each(candidates)
    rows = []
    for moments in (1, 5):
        ours = [s / _OURS for s in seconds[f"ours {moments}"]]
        if f"torch {moments}" in seconds:
            theirs = [s / _THEIRS for s in seconds[f"torch {moments}"]]
            name = f"MAML, {moments} inner steps: torch.func / ours"
            rows.append(turned(name, theirs, ours, ">= 10"))
    if not rows:
        require_extra("torch", "bench")
    return rows


def _ours(moments: int) -> Callable[[], Any]:
    task = Sinusoid(shots=_SHOTS, moments=moments, queries=_SHOTS)

    def build(key: Any) -> OnlineLearner:
        return online(task, rule=Backprop(), hidden=_HIDDEN, rate=_RATE, key=key)

    options = MetaOptions(steps=_OURS, meta_batch=_META_BATCH, lr=_LR)
    trainer = MetaTrainer(build, task, Unrolled(), options)
    state = trainer.initial([0])
    return lambda: trainer.chunk(state, 0, length=_OURS)


def _torch(moments: int) -> Callable[[], Any]:
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine, two wait for each other most of the time
    widths = (1, *_HIDDEN, 1)
    parameters = []
    for fan_in, fan_out in itertools.pairwise(widths):
        parameters += [torch.randn(fan_in, fan_out) / fan_in**0.5, torch.zeros(fan_out)]
    optimiser = torch.optim.Adam([p.requires_grad_() for p in parameters], lr=_LR)

    def network(own: Any, x: Any) -> Any:
        for layer in range(0, len(own) - 2, 2):
            x = torch.relu(x @ own[layer] + own[layer + 1])
        return x @ own[-2] + own[-1]

    def inner(own: Any, x: Any, y: Any) -> Any:
        return 0.5 * ((network(own, x) - y) ** 2).sum(-1).mean()

    def lifetime(own: Any, x: Any, y: Any, asked: Any, answer: Any) -> Any:
        for _ in range(moments):
            step = torch.func.grad(inner)(own, x, y)
            own = [w - _RATE * g for w, g in zip(own, step, strict=True)]
        return ((network(own, asked) - answer) ** 2).mean()

    def meta_loss(own: Any, *episodes: Any) -> Any:
        lives = torch.func.vmap(lifetime, in_dims=(None, 0, 0, 0, 0))
        return lives(own, *episodes).mean()

    def points(amplitude: Any, phase: Any) -> tuple[Any, Any]:
        x = torch.rand(_META_BATCH, _SHOTS, 1) * 10 - 5
        return x, amplitude * torch.sin(x - phase)

    def steps() -> None:
        for _ in range(_THEIRS):
            amplitude = 0.1 + 4.9 * torch.rand(_META_BATCH, 1, 1)
            phase = math.pi * torch.rand(_META_BATCH, 1, 1)
            episodes = (*points(amplitude, phase), *points(amplitude, phase))
            own = [p.detach() for p in parameters]
            for p, g in zip(parameters, torch.func.grad(meta_loss)(own, *episodes), strict=True):
                p.grad = g
            optimiser.step()

    return steps
