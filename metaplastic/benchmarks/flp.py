"""Feedback + local plasticity at the published size: one meta-gradient against PyTorch.

Nine layers, 993,600 synapses, batches of 32, all layers plastic; the lifetime is shortened alike on
all sides. Extra `bench` for the comparison.
"""

import contextlib
import itertools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import MissingExtraError, require_extra
from ..learners.online import online
from ..meta.unrolled import Unrolled
from ..rules.flp import FLP
from ..tasks.base import Episode
from ..tasks.sinusoid_sequence import SinusoidSequence
from ._timing import row, seconds_each

_HIDDEN = (300, 300, 300, 300, 300, 900, 300, 300)
_FUNCTIONS, _SHOTS, _MOMENTS = 10, 32, 40


def run() -> list[dict[str, Any]]:
    """Rows: the gradient of one lifetime of 40 moments and 320 questions against its matrix
    products alone, against a second, against the same arithmetic in PyTorch, and against the
    published way of computing it."""
    candidates = {"ours": _ours(), "floor": _floor()}
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates |= {"torch": _torch(every_moment=False), "published": _torch(every_moment=True)}
    seconds = seconds_each(candidates, repeats=5)
    rows = [row("FLP / its matrix products", seconds["ours"], seconds["floor"], "<= 2")]
    second = [1.0] * len(seconds["ours"])
    rows.append(
        row("FLP, 40 moments with their gradient / a second", seconds["ours"], second, "< 1")
    )
    if "torch" in seconds:
        same, published = seconds["torch"], seconds["published"]
        rows.append(row("PyTorch, same arithmetic / FLP", same, seconds["ours"], ">= 10"))
        rows.append(row("PyTorch, query at every moment / FLP", published, seconds["ours"], "none"))
    return rows


def _ours() -> Callable[[], Any]:
    task = SinusoidSequence(
        functions=_FUNCTIONS, batches=_MOMENTS // _FUNCTIONS, shots=_SHOTS, queries=_SHOTS
    )
    learner = online(
        task,
        rule=FLP(plasticity=1e-6),
        hidden=_HIDDEN,
        initialiser="he_normal",
        rate=1.0,
        key=jr.key(0),
    )
    arrays, static = eqx.partition(learner, eqx.is_array)
    episodes = jax.tree.map(lambda leaf: leaf[None], task.sample(jr.key(1)))

    @jax.jit
    def gradient(arrays: Any, episodes: Episode) -> Any:
        return Unrolled()(eqx.combine(arrays, static), episodes, key=jr.key(2))

    return lambda: gradient(arrays, episodes)


def _floor() -> Callable[[], Any]:
    """The products that a moment and its derivative cannot do without: two forward (drive, Hebb),
    four back (each factor of both)."""
    widths = (_FUNCTIONS + 1, *_HIDDEN, 1)
    keys = iter(jr.split(jr.key(0), 2 * len(widths)))
    weights = [jr.normal(next(keys), (a, b)) for a, b in itertools.pairwise(widths)]
    signals = [jr.normal(next(keys), (_SHOTS, width)) for width in widths]

    @jax.jit
    def products(weights: Any, signals: Any) -> Any:
        def moment(total: Any, _: Any) -> tuple[Any, None]:
            found = []
            for index, w in enumerate(weights):
                # Made from the sum so far, so that no moment is the same and none is left out.
                pre, post = signals[index] + total, signals[index + 1] + total
                ahead, back = pre @ w, post @ w.T
                squares = pre.T @ post, pre.T @ ahead
                more = back @ squares[0], ahead @ squares[1].T
                found.append(sum(jnp.abs(own).max() for own in more))
            return 1e-9 * sum(found), None

        return jax.lax.scan(moment, jnp.zeros(()), None, length=_MOMENTS)[0]

    return lambda: products(weights, signals)


def _torch(*, every_moment: bool) -> Callable[[], Any]:
    """A loop over moments under autograd; `every_moment`: the questions asked so far are answered
    after each of them, though the last answers alone count, as the published code does."""
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(2)
    widths = (_FUNCTIONS + 1, *_HIDDEN, 1)
    shapes = list(itertools.pairwise(widths))
    make = lambda *shape, scale=1.0: (scale * torch.randn(*shape)).requires_grad_()  # noqa: E731
    weights = [make(a, b, scale=(2 / a) ** 0.5) for a, b in shapes]
    biases = [make(b, scale=0.0) for _, b in shapes]
    plasticity = [torch.full((a, b), 1e-6, requires_grad=True) for a, b in shapes]
    feedback = [make(1, b, scale=2**0.5) for _, b in shapes[:-1]]
    offsets = [make(b, scale=0.0) for _, b in shapes[:-1]]
    strength = [torch.tensor(0.5, requires_grad=True) for _ in shapes[:-1]]
    learned = [*weights, *biases, *plasticity, *feedback, *offsets, *strength]
    x = torch.randn(_MOMENTS, _SHOTS, widths[0])
    y = torch.randn(_MOMENTS, _SHOTS, 1)
    asked, answers = torch.randn(_FUNCTIONS * _SHOTS, widths[0]), torch.randn(320, 1)

    def forward(own: list[Any], x: Any) -> list[Any]:
        activity = [x]
        for index, (w, b) in enumerate(zip(own, biases, strict=True)):
            drive = torch.addmm(b, activity[-1], w)
            activity.append(drive if index == len(own) - 1 else torch.relu(drive))
        return activity

    def changed(own: list[Any], activity: list[Any], signal: Any) -> list[Any]:
        after = []
        for index, (w, a) in enumerate(zip(own, plasticity, strict=True)):
            post = signal
            if index < len(own) - 1:
                fed = torch.relu(torch.addmm(offsets[index], signal, feedback[index]))
                post = strength[index] * fed + (1 - strength[index]) * activity[index + 1]
            after.append(w + a * (activity[index].t() @ post - (post**2).sum(0) * w))
        return after

    def gradient() -> Any:
        own = weights
        for moment in range(_MOMENTS):
            activity = forward(own, x[moment])
            own = changed(own, activity, y[moment] - activity[-1])
            if every_moment:
                count = (moment + 1) * len(asked) // _MOMENTS
                loss = ((forward(own, asked[:count])[-1] - answers[:count]) ** 2).mean()
        if not every_moment:
            loss = ((forward(own, asked)[-1] - answers) ** 2).mean()
        torch.autograd.grad(loss, learned)  # pyright: ignore[reportPossiblyUnboundVariable]

    return gradient
