"""A contrastive meta-step on sinusoids: against the same arithmetic in an eager PyTorch loop."""

import contextlib
import itertools
import math
from collections.abc import Callable
from typing import Any

from .._errors import MissingExtraError, require_extra
from ..learners.complex_synapse import ComplexSynapse, complex_synapse
from ..meta.contrastive import Contrastive
from ..rules.backprop import Backprop
from ..tasks.sinusoid import Sinusoid
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from ._timing import seconds_each, turned

_META_BATCH, _SHOTS, _HIDDEN = 25, 10, (40, 40)
_FREE, _NUDGED, _RATE, _BETA, _STRENGTH, _LR = 500, 250, 0.01, 0.1, 0.3, 3e-3
_OURS, _THEIRS = 2, 1
"""Meta-steps, and lifetimes of a meta-step, of one measurement."""


def run() -> list[dict[str, Any]]:
    """A meta-step of a 1-40-40-1 network: 25 curves, 500 steps free and twice 250 nudged.

    Sampling, Adam within the phases, the contrast and Adam across meta-steps are in both programs.
    The loop goes through one lifetime after another, so that one of them is timed and counts 25
    times.
    """
    candidates: dict[str, Callable[[], Any]] = {"ours": _ours()}
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = _torch()
    if "torch" not in candidates:
        require_extra("torch", "bench")
    seconds = seconds_each(candidates, repeats=5)
    ours = [s / _OURS for s in seconds["ours"]]
    theirs = [s * _META_BATCH / _THEIRS for s in seconds["torch"]]
    return [turned("CML, 500 + 2 x 250 steps: eager PyTorch / ours", theirs, ours, ">= 50")]


def _ours() -> Callable[[], Any]:
    task = Sinusoid(shots=_SHOTS, queries=_SHOTS)

    def build(key: Any) -> ComplexSynapse:
        return complex_synapse(
            task,
            rule=Backprop(),
            hidden=_HIDDEN,
            strength=_STRENGTH,
            rate=_RATE,
            steps=_FREE,
            key=key,
        )

    options = MetaOptions(steps=_OURS, meta_batch=_META_BATCH, lr=_LR)
    estimator = Contrastive(beta=_BETA, steps=_NUDGED, measure=False)
    trainer = MetaTrainer(build, task, estimator, options)
    state = trainer.initial([0])
    return lambda: trainer.chunk(state, 0, length=_OURS)


def _torch() -> Callable[[], Any]:
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine, two wait for each other most of the time
    omega = []
    for fan_in, fan_out in itertools.pairwise((1, *_HIDDEN, 1)):
        omega += [torch.randn(fan_in, fan_out) / fan_in**0.5, torch.zeros(fan_out)]
    outer = torch.optim.Adam([own.requires_grad_() for own in omega], lr=_LR)

    def loss(phi: Any, x: Any, y: Any) -> Any:
        for layer in range(0, len(phi) - 2, 2):
            x = torch.relu(x @ phi[layer] + phi[layer + 1])
        return ((x @ phi[-2] + phi[-1] - y) ** 2).mean()

    def phase(start: Any, support: Any, query: Any, beta: float, steps: int) -> Any:
        phi = [own.detach().clone().requires_grad_() for own in start]
        inner = torch.optim.Adam(phi, lr=_RATE)
        for _ in range(steps):
            own = loss(phi, *support)
            if beta:
                own = own + beta * loss(phi, *query)
            pairs = zip(phi, omega, strict=True)
            own = own + 0.5 * _STRENGTH * sum(((p - o.detach()) ** 2).sum() for p, o in pairs)
            for p, slope in zip(phi, torch.autograd.grad(own, phi), strict=True):
                p.grad = slope
            inner.step()
        return phi

    def points(amplitude: Any, shift: Any) -> tuple[Any, Any]:
        x = torch.rand(_SHOTS, 1) * 10 - 5
        return x, amplitude * torch.sin(x - shift)

    def lifetimes() -> None:
        total = [torch.zeros_like(own) for own in omega]
        for _ in range(_THEIRS):
            curve = 0.1 + 4.9 * torch.rand(()), math.pi * torch.rand(())
            support, query = points(*curve), points(*curve)
            free = phase(omega, support, query, 0.0, _FREE)
            ends = [phase(free, support, query, beta, _NUDGED) for beta in (_BETA, -_BETA)]
            for own, up, down in zip(total, *ends, strict=True):
                own -= _STRENGTH * (up - down).detach() / (2 * _BETA * _THEIRS)
        for own, gradient in zip(omega, total, strict=True):
            own.grad = gradient
        outer.step()

    return lifetimes
