"""A meta-step of short-term plasticity on retrieval: against PyTorch, against its products."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import MissingExtraError
from ..learners.stpn import ShortTermLearner, stpn
from ..meta.unrolled import Unrolled
from ..tasks.associative_retrieval import SYMBOLS, AssociativeRetrieval
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from ._timing import row, seconds_each, turned

_META_BATCH, _HIDDEN, _LR = 128, 11, 1e-3
_OURS, _THEIRS = 50, 5
"""Meta-steps of one measurement."""


def run() -> list[dict[str, Any]]:
    """Sampling 128 sequences of 9 symbols, 11 plastic units, the gradient of all moments, Adam.

    Against the same in an eager PyTorch loop over the moments, with automatic differentiation; and
    against three batched products a moment: forward, back to the input, and of the synapses.
    """
    candidates: dict[str, Callable[[], Any]] = {"ours": _ours(), "floor": _floor()}
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = torch_steps(_THEIRS)
    seconds = seconds_each(candidates)
    ours = [s / _OURS for s in seconds["ours"]]
    floor = [s / _OURS for s in seconds["floor"]]
    rows = [row("STPN, 128 x 9 moments / matrix products", ours, floor, "<= 20")]
    if "torch" in seconds:
        theirs = [s / _THEIRS for s in seconds["torch"]]
        rows.append(turned("STPN, 128 x 9 moments: eager PyTorch / ours", theirs, ours, ">= 2"))
    return rows


def _ours() -> Callable[[], Any]:
    task = AssociativeRetrieval()

    def build(key: Any) -> ShortTermLearner:
        return stpn(task, hidden=_HIDDEN, key=key)

    options = MetaOptions(steps=_OURS, meta_batch=_META_BATCH, lr=_LR, parallel="loop")
    trainer = MetaTrainer(build, task, Unrolled(), options)
    state = trainer.initial([0])
    return lambda: trainer.chunk(state, 0, length=_OURS)


def _floor() -> Callable[[], Any]:
    moments, entering = AssociativeRetrieval().moments, SYMBOLS + _HIDDEN
    keys = jr.split(jr.key(0), 3)
    synapses = jr.normal(keys[0], (moments, _META_BATCH, _HIDDEN, entering))
    pre = jr.normal(keys[1], (moments, _META_BATCH, entering))
    delta = jr.normal(keys[2], (moments, _META_BATCH, _HIDDEN))

    def moment(total: jax.Array, own: tuple[jax.Array, ...]) -> tuple[jax.Array, Any]:
        synapses, pre, delta = own
        forward = jnp.einsum("bij,bj->bi", synapses, pre + total)
        back = jnp.einsum("bij,bi->bj", synapses, delta)
        change = jnp.einsum("bi,bj->ij", delta, pre)
        # Each moment waits for the one before, and nothing is left out.
        return 1e-9 * (forward.sum() + back.sum() + change.sum()), None

    @jax.jit
    def steps() -> jax.Array:
        def step(total: jax.Array, _: Any) -> tuple[jax.Array, None]:
            return jax.lax.scan(moment, total, (synapses, pre, delta))[0], None

        return jax.lax.scan(step, jnp.zeros(()), length=_OURS)[0]

    return steps


def torch_steps(count: int) -> Callable[[], Any]:
    """So many meta-steps of the same arithmetic, one moment after the other."""
    from .._errors import require_extra

    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine, two wait for each other most of the time
    bound = _HIDDEN**-0.5
    shape = (_HIDDEN, SYMBOLS + _HIDDEN)
    theta = {
        "weight": torch.empty(shape).uniform_(-bound, bound),
        "bias": torch.empty(_HIDDEN).uniform_(-bound, bound),
        "decay": torch.rand(shape),
        "rate": torch.empty(shape).uniform_(-1e-3 * bound, 1e-3 * bound),
        "out": torch.empty(_HIDDEN, SYMBOLS).uniform_(-bound, bound),
        "shift": torch.zeros(SYMBOLS),
    }
    outer = torch.optim.Adam([own.requires_grad_() for own in theta.values()], lr=_LR)

    def sequences() -> tuple[Any, Any]:
        letters = torch.rand(_META_BATCH, 26).argsort(1)[:, :3]
        digits = 26 + torch.randint(0, 10, (_META_BATCH, 3))
        asked = torch.randint(0, 3, (_META_BATCH, 1))
        pairs = torch.stack([letters, digits], 2).reshape(_META_BATCH, 6)
        between = torch.full((_META_BATCH, 2), SYMBOLS - 1)
        symbols = torch.cat([pairs, between, letters.gather(1, asked)], 1)
        x = torch.nn.functional.one_hot(symbols, SYMBOLS).float()
        return x, digits.gather(1, asked)[:, 0]

    def loss(x: Any, answer: Any) -> Any:
        activity = torch.zeros(_META_BATCH, _HIDDEN)
        memory = torch.zeros(_META_BATCH, *shape)
        for moment in range(x.shape[1]):
            pre = torch.cat([x[:, moment], activity], 1)
            efficacy = theta["weight"] + memory
            norm = efficacy.norm(dim=2)
            received = torch.einsum("bij,bj->bi", efficacy, pre) / norm
            activity = torch.tanh(received + theta["bias"])
            product = torch.einsum("bi,bj->bij", activity, pre)
            memory = theta["decay"] * (memory / norm[..., None]) + theta["rate"] * product
        output = activity @ theta["out"] + theta["shift"]
        return torch.nn.functional.cross_entropy(output, answer)

    def steps() -> None:
        for _ in range(count):
            outer.zero_grad()
            loss(*sequences()).backward()
            outer.step()

    steps.loss, steps.theta = loss, theta  # what a test compares
    return steps
