"""A meta-step of feedback + local plasticity on small Omniglot: convolutions outside the scan."""

import contextlib
import itertools
from typing import Any

import jax
import numpy as np

from .._errors import MissingExtraError, require_extra
from .._types import Key
from ..data import ImageClasses
from ..learners.base import AbstractLearner, Life
from ..learners.online import OnlineLearner, online
from ..meta.unrolled import Unrolled
from ..rules.flp import FLP
from ..tasks.few_shot import FewShot
from ..train.meta_options import MetaOptions
from ..train.meta_trainer import MetaTrainer
from ._timing import row, seconds_each

_EPISODES, _WAYS, _SHOTS, _SIDE, _OUTPUTS = 4, 5, 5, 28, 20
_FILTERS, _HIDDEN, _STEPS = 32, 128, 5


def run() -> list[dict[str, Any]]:
    """Rows: the convolutions of all moments at once against one moment at a time, and PyTorch
    against ours. Five ways, five shots, four lifetimes, Adam included; made-up images."""
    candidates = {"outside": _ours(lambda own: own), "inside": _ours(PerceivesWithin)}
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = _torch()
    seconds = seconds_each(candidates, repeats=5)
    per_step = {name: [s / _STEPS for s in own] for name, own in seconds.items()}
    rows = [
        row(
            "convolutions within the scan / outside it",
            per_step["inside"],
            per_step["outside"],
            "no bar",
        )
    ]
    if "torch" in per_step:
        rows.append(
            row("PyTorch / ours, outside", per_step["torch"], per_step["outside"], "no bar")
        )
    return rows


class PerceivesWithin(AbstractLearner):
    """The same learner, whose frozen front is run anew at every moment."""

    own: OnlineLearner

    def birth(self, *, key: Key) -> Life:
        return self.own.birth(key=key)

    def step(
        self, life: Life, x: jax.Array, y: jax.Array | None, *, key: Key
    ) -> tuple[Life, jax.Array]:
        return self.own.step(life, self.own.perceive(x), y, key=key)

    def predict(self, life: Life, x: jax.Array) -> jax.Array:
        return self.own.predict(life, self.own.perceive(x))


def task() -> FewShot:
    """Noise in the shape of 136 and of 106 characters."""
    images = np.random.default_rng(0).integers(0, 256, (136 * 20, _SIDE, _SIDE, 1), np.uint8)
    train, test = (
        ImageClasses("noise", images[: 20 * n], np.full(n, 20), 255.0) for n in (136, 106)
    )
    few = FewShot(ways=_WAYS, shots=_SHOTS, order="continual", width=_OUTPUTS)
    return few.with_classes(train, test)


def learner(few: FewShot, key: Key) -> OnlineLearner:
    """Three strided convolutions, frozen, and two plastic layers."""
    return online(
        few,
        rule=FLP(plasticity=1e-3, strength=1.0, multiplier=10.0),
        model="conv4",
        filters=(_FILTERS,) * 3,
        hidden=(_HIDDEN,),
        strided=True,
        rate=1.0,
        frozen=3,
        key=key,
    )


def _ours(view: Any) -> Any:
    few = task()
    trainer = MetaTrainer(
        lambda key: view(learner(few, key)),
        few,
        Unrolled(),
        MetaOptions(steps=_STEPS, meta_batch=_EPISODES),
    )
    state = trainer.initial([0])
    return lambda: trainer.chunk(state, 0, length=_STEPS)


def _torch() -> Any:
    """The same arithmetic, with the convolutions outside the loop over moments."""
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    functional = torch.nn.functional
    torch.manual_seed(0)
    torch.set_num_threads(2)
    shown, features = _WAYS * _SHOTS, _FILTERS * 16
    channels = [1, _FILTERS, _FILTERS, _FILTERS]
    front = [torch.randn(o, c, 3, 3) * (2 / 9 / c) ** 0.5
             for c, o in itertools.pairwise(channels)]  # fmt: skip
    front_biases = [torch.zeros(_FILTERS) for _ in front]
    w1, w2 = (torch.randn(a, b) * (2 / a) ** 0.5
              for a, b in ((features, _HIDDEN), (_HIDDEN, _OUTPUTS)))  # fmt: skip
    a1, a2 = torch.full_like(w1, 1e-3), torch.full_like(w2, 1e-3)
    b1, b2, c1 = torch.zeros(_HIDDEN), torch.zeros(_OUTPUTS), torch.zeros(_HIDDEN)
    feedback, beta = torch.randn(_OUTPUTS, _HIDDEN) * (2 / _OUTPUTS) ** 0.5, torch.ones(())
    meta = [*front, *front_biases, w1, w2, a1, a2, b1, b2, c1, feedback, beta]
    optimiser = torch.optim.Adam([p.requires_grad_() for p in meta], lr=1e-3)
    bank = torch.randint(0, 256, (136, 20, _SIDE, _SIDE), dtype=torch.uint8)

    def sample() -> tuple[Any, Any]:
        classes = torch.stack([torch.randperm(136)[:_WAYS] for _ in range(_EPISODES)])
        drawings = torch.rand(_EPISODES, _WAYS, 20).argsort(-1)[..., : 2 * _SHOTS]
        x = bank[classes[..., None], drawings].float() / 255
        x = torch.cat([x[:, :, :_SHOTS].flatten(1, 2), x[:, :, _SHOTS:].flatten(1, 2)], 1)
        labels = torch.stack([torch.randperm(_WAYS) for _ in range(_EPISODES)])
        y = functional.one_hot(labels, _OUTPUTS).float().repeat_interleave(_SHOTS, 1)
        return x, y

    def step() -> None:
        x, y = sample()
        h = x.reshape(-1, 1, _SIDE, _SIDE)
        for weight, bias in zip(front, front_biases, strict=True):
            h = functional.relu(functional.conv2d(h, weight, bias, stride=2, padding=1))
        h = h.reshape(_EPISODES, 2 * shown, features)
        v1, v2 = (w.expand(_EPISODES, *w.shape) for w in (w1, w2))
        for t in range(shown):
            pre, target = h[:, t, None], y[:, t, None]
            post = functional.relu(pre @ v1 + b1)
            shifted = beta * functional.relu(target @ feedback + c1) + (1 - beta) * post
            change1 = pre.mT @ shifted - shifted.square() * v1
            change2 = post.mT @ target - target.square() * v2
            v1, v2 = v1 + 10 * a1 * change1, v2 + a2 * change2
        answer = functional.relu(h[:, shown:] @ v1 + b1) @ v2 + b2
        loss = -(y * answer.log_softmax(-1)).sum(-1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def steps() -> None:
        for _ in range(_STEPS):
            step()

    return steps
