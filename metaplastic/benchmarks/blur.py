"""A meta-step of BLUR on functions of the plane: PyTorch, the floor of its products, species."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import MissingExtraError, require_extra
from ..learners.blur import Blur, blur
from ..meta.unrolled import Unrolled
from ..tasks.plane_functions import PlaneFunctions
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from ._timing import row, seconds_each, shared_by, turned

_LIVES, _MOMENTS, _BATCH, _HIDDEN, _STATES, _SPECIES, _LR, _CLIP = 12, 10, 128, 20, 2, 8, 3e-3, 10.0
DEVICES = 2
_STEPS = 10
"""Meta-steps of one measurement of ours."""


def run() -> list[dict[str, Any]]:
    """A meta-step of 12 lifetimes of 10 moments: network 2-20-2, two states, batches of 128.

    Sampling, normalisation, the reverse pass, clipping and Adam are in both programs; PyTorch goes
    through one lifetime after another. The floor is the time of the products of matrices alone, in
    NumPy: those of each moment and of the questions, each with the two of its reverse pass, of all
    lifetimes at once. Eight species are as many genomes in one program, which all devices share.
    """
    devices = shared_by()
    candidates: dict[str, Callable[[], Any]] = {
        "ours": _ours(1, 1),
        "shared": _ours(1, devices),
        "species": _ours(_SPECIES, devices),
    }
    candidates["floor"] = _floor()
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = _torch()
    if "torch" not in candidates:
        require_extra("torch", "bench")
    seconds = seconds_each(candidates, repeats=5)
    own = {name: [s / _STEPS for s in seconds[name]] for name in ("ours", "shared", "species")}
    more = f"{devices} devices"
    return [
        turned("BLUR meta-step: eager PyTorch / ours", seconds["torch"], own["ours"], ">= 20"),
        turned(
            f"BLUR meta-step, {more}: eager PyTorch / ours",
            seconds["torch"],
            own["shared"],
            ">= 20",
        ),
        row("BLUR meta-step / its matrix products", own["ours"], seconds["floor"], "reported"),
        row(f"BLUR, eight species on {more} / one on one", own["species"], own["ours"], "< 4"),
        # One species has its lifetimes divided, which leaves the others less to gain.
        row(
            f"BLUR, eight species on {more} / one on {devices}",
            own["species"],
            own["shared"],
            "reported",
        ),
    ]


def _ours(species: int, devices: int) -> Callable[[], Any]:
    task = PlaneFunctions(moments=_MOMENTS, batch=_BATCH, queries=_BATCH)

    def build(key: Any) -> Blur:
        return blur(task, hidden=(_HIDDEN,), states=_STATES, key=key)

    options = MetaOptions(
        steps=_STEPS,
        meta_batch=_LIVES,
        lr=_LR,
        clip=_CLIP,
        species=species,
        devices=devices,
        parallel="batch" if species > 1 else "loop",  # an axis of one costs a third more
    )
    trainer = MetaTrainer(build, task, Unrolled(), options)
    state = trainer.initial([0])
    return lambda: trainer.chunk(state, 0, length=_STEPS)


def _floor() -> Callable[[], Any]:
    products = operands()

    def multiply() -> None:
        for x, w, z in products:
            x @ w, z @ w.swapaxes(1, 2), x.swapaxes(1, 2) @ z  # pyright: ignore[reportUnusedExpression]

    return multiply


def operands() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Inputs, weights and outputs of every product of all lifetimes."""
    k, h = _STATES, _HIDDEN
    forward = [(2, k * h), (k * h, k * 2)]
    backward = [(k * 2, k * h)]
    moment = [*forward, *backward, *forward]  # a correlation is as large as its forward product
    random = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return random.standard_normal((_LIVES, *shape), dtype=np.float32)

    sizes = moment * _MOMENTS + forward
    return [(drawn(_BATCH, a), drawn(a, b), drawn(_BATCH, b)) for a, b in sizes]


def _torch() -> Callable[[], Any]:
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    torch.set_num_threads(1)  # on a busy machine, two wait for each other most of the time
    genome = {name: value.requires_grad_() for name, value in _torch_genome(torch).items()}
    adam = torch.optim.Adam(genome.values(), lr=_LR)

    def meta_step() -> None:
        adam.zero_grad()
        for _ in range(_LIVES):
            x = torch.rand(_MOMENTS + 1, _BATCH, 2) * 2 - 1
            y = torch.where(x[..., :1] * x[..., 1:] > 0, 1.0, -1.0) * torch.tensor([1.0, -1.0])
            (torch_lifetime(torch, genome, x, y) / _LIVES).backward()
        torch.nn.utils.clip_grad_norm_(genome.values(), _CLIP)
        adam.step()

    return meta_step


def _torch_genome(torch: Any) -> dict[str, Any]:
    """The genome that ours begins with."""
    identity = torch.eye(2)
    return {
        "forward": torch.tensor([[1.0, 0.0], [1.0, 0.0]]),
        "backward": identity.clone(),
        "pre": identity.clone(),
        "post": identity.flip(0).clone(),
        "keep": torch.ones(()),
        "gain": torch.ones(()),
        "synapse_keep": torch.ones(()),
        "synapse_rate": torch.tensor(0.1),
        **{f"{which}_mean": torch.zeros(2) for which in ("forward", "backward")},
        **{f"{which}_deviation": torch.ones(2) for which in ("forward", "backward")},
    }


def torch_lifetime(torch: Any, g: Any, x: Any, y: Any, born: Any = None) -> Any:
    """Mean squared error of the last batch after a lifetime on the others, [time, batch, 2] each.

    Activities are [states, batch, units], and states are mixed before the products. `born` are the
    synapses up, up and down at birth; drawn where they are not given.
    """
    one = torch.ones(2, x.shape[1], 1, dtype=x.dtype)

    def uniform(*shape: int, fan: int) -> Any:
        return (torch.rand(2, *shape) * 2 - 1) / fan**0.5

    def mix(mixer: Any, a: Any) -> Any:
        return torch.einsum("cd,dbi->cbi", mixer, a)

    def active(drive: Any, which: str) -> Any:
        centred = drive - drive.mean(1, keepdim=True)
        scale = g[f"{which}_deviation"][:, None, None]
        scale = scale * torch.rsqrt((centred * centred).mean(1, keepdim=True) + 1e-5)
        return torch.tanh(centred * scale + g[f"{which}_mean"][:, None, None])

    def ascend(first: Any, second: Any, x: Any) -> tuple[Any, Any, Any]:
        below = torch.stack([x, torch.zeros_like(x)])
        hidden, top = below, below
        for w in (first, second):
            hidden, drive = top, mix(g["forward"], torch.cat([top, one], 2)) @ w
            top = active(g["gain"] * drive, "forward")
        return below, hidden, top

    def changed(w: Any, a: Any, b: Any) -> Any:
        return g["synapse_keep"] * w + g["synapse_rate"] * (a.mT @ b) / x.shape[1]

    h = _HIDDEN
    if born is None:
        born = uniform(3, h, fan=3), uniform(h + 1, 2, fan=h + 1), uniform(h, 2, fan=2)
    first, second, down = born
    for inputs, target in zip(x[:-1], y[:-1], strict=True):
        below, hidden, top = ascend(first, second, inputs)
        top = torch.stack([top[0], target])
        message = g["gain"] * (mix(g["backward"], top) @ down.mT)
        hidden = active(g["keep"] * hidden + message, "backward")
        pre, post = g["pre"].T, g["post"]
        first = changed(first, mix(pre, torch.cat([below, one], 2)), mix(post, hidden))
        second = changed(second, mix(pre, torch.cat([hidden, one], 2)), mix(post, top))
        down = changed(down, mix(post, hidden), mix(pre, top))
    return ((ascend(first, second, x[-1])[2][0] - y[-1]) ** 2).mean()
