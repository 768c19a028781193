"""A meta-step of a pool of ten terms: against an eager PyTorch loop and ten products; the floor."""

import contextlib
import functools
import itertools
import math
from collections.abc import Callable
from typing import Any
from unittest import mock

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._devices import Spread
from .._errors import MissingExtraError, require_extra
from ..meta.unrolled import blocked_scan
from ..models import mlp, plastic_layers
from ..rules import pool
from ..rules._pool_terms import PUBLISHED
from ..rules.pool import Pool, PoolState, combine
from ._timing import row, seconds_each, shared_by, turned

DEVICES = 2
_WIDTHS = (64, 170, 130, 100, 70, 10)
_UPDATES, _QUERIES, _FEEDBACK = 250, 50, 1000
_SCAN = blocked_scan(math.isqrt(_UPDATES))  # as the estimator `unrolled` does
_THETA = dict.fromkeys(PUBLISHED, 1e-5) | {"pseudo_gradient": 0.03}


def run() -> list[dict[str, Any]]:
    """64-170-130-100-70-10, 250 updates of one example, and the derivative by ten coefficients.

    One lifetime a meta-step, whole: updates, 50 questions, the gradient of their loss; images and
    first weights are given. `floor`: the products of vectors with weights that such a lifetime and
    its derivative cannot do without, and nothing else. On several devices each lives a lifetime,
    where PyTorch lives one after the other.
    """
    devices = shared_by()
    candidates: dict[str, Callable[[], Any]] = {
        "ours": _ours(stacked=True),
        "shared": _ours(stacked=True, devices=devices),
        "ten": _ours(stacked=False),
        "floor": _floor(),
    }
    with contextlib.suppress(MissingExtraError):  # that comparison needs the extra `bench`
        candidates["torch"] = _torch()
        candidates["torch, ten"] = _torch(stacked=False)
    if "torch" not in candidates:
        require_extra("torch", "bench")
    seconds = seconds_each(candidates, repeats=5)
    names = {
        "torch": ("ten terms, 250 updates: eager PyTorch / ours", ">= 20"),
        "torch, ten": ("ten terms, 250 updates: eager PyTorch, ten outer products / ours", "-"),
        "ten": ("ten terms, 250 updates: ten outer products / ours", "-"),
    }
    rows = [turned(name, seconds[own], seconds["ours"], bar) for own, (name, bar) in names.items()]
    more = f"ten terms, {devices} lifetimes on {devices} devices: eager PyTorch / ours"
    theirs = [devices * own for own in seconds["torch"]]
    rows.insert(1, turned(more, theirs, seconds["shared"], ">= 20"))
    floor = row(
        "ten terms, 250 updates: ours / its matrix products", seconds["ours"], seconds["floor"], "-"
    )
    return [*rows, floor]


def _data(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.random((_UPDATES + _QUERIES, _WIDTHS[0]), np.float32)
    y = np.eye(_WIDTHS[-1], dtype=np.float32)[random.integers(0, 5, len(x))]
    return x[:_UPDATES], y[:_UPDATES], x[_UPDATES:], y[_UPDATES:]


def _weights(seed: int) -> list[np.ndarray]:
    """Xavier uniform, [inputs, units] a layer."""
    random = np.random.default_rng(seed)
    pairs = itertools.pairwise(_WIDTHS)
    return [
        (random.uniform(-1, 1, (a, b)) * math.sqrt(6 / (a + b))).astype(np.float32)
        for a, b in pairs
    ]


# Ours


def _tuple(arrays: list[np.ndarray]) -> tuple[jax.Array, ...]:
    return tuple(map(jnp.asarray, arrays))


def _apart(layer: Any, parts: Any) -> jax.Array:
    """Every term's product by itself."""
    return functools.reduce(jnp.add, [combine(layer, [own]) for own in parts])


def _ours(*, stacked: bool, devices: int = 1) -> Callable[[], Any]:
    rule, width = Pool(terms=("published",)), _WIDTHS[1:-1]
    like = mlp(_WIDTHS[:1], _WIDTHS[-1], hidden=width, activation="softplus", key=jax.random.key(0))
    lives = [
        (_tuple(_weights(n)), _tuple(_weights(_FEEDBACK + n)), _data(n)) for n in range(devices)
    ]

    def loss(theta: Any, life: Any) -> jax.Array:
        weights, feedback, (x, y, asked, answers) = life
        model = eqx.tree_at(lambda net: [own.weight for own in plastic_layers(net)], like, weights)
        own = PoolState(theta, feedback)

        def step(net: Any, moment: Any) -> tuple[Any, None]:
            whole = eqx.combine(net, model)
            updates = rule.updates(
                whole, own, moment[0][None], moment[1][None], key=jax.random.key(0)
            )[0]
            return jax.tree.map(lambda w, g: w - g, net, updates), None

        net = _SCAN(step, eqx.filter(model, eqx.is_array), (x, y))[0]
        return rule._loss.value(eqx.combine(net, model)(asked), answers)

    def of_one(theta: Any, lives: Any) -> Any:
        slope = jax.grad(loss)(theta, jax.tree.map(lambda leaf: leaf[0], lives))
        return jax.tree.map(lambda leaf: leaf[None], slope)

    theta = {name: jnp.float32(value) for name, value in _THETA.items()}
    given = theta, jax.tree.map(lambda *own: jnp.stack(own), *lives)
    spread = Spread(devices)
    run = of_one if devices == 1 else functools.partial(spread.divide, of_one)
    with contextlib.nullcontext() if stacked else mock.patch.object(pool, "combine", _apart):
        compiled = jax.jit(run).lower(*given).compile()
    return lambda: compiled(*given)


def _floor() -> Callable[[], Any]:
    """Per update and layer: x W, e B^T, d W and y W^T, a product of rank three; and what their
    derivatives need."""
    weights = [jnp.asarray(own) for own in _weights(0)]
    feedback = [jnp.asarray(own) for own in _weights(_FEEDBACK)]
    x = jnp.asarray(_data()[0])

    def loss(scale: jax.Array) -> jax.Array:
        def step(own: Any, x: jax.Array) -> tuple[Any, None]:
            pre, after = x[None], []
            for weight, back in zip(own, feedback, strict=True):
                post = pre @ weight
                d = (scale * post) @ back.T
                again = (d @ weight, post @ weight.T)
                rows = jnp.concatenate([pre, d, again[1]])
                columns = jnp.concatenate([post, again[0], scale * post])
                after.append(weight + 1e-6 * (rows.T @ columns))
                pre = post
            return after, None

        return jnp.stack([own.sum() for own in _SCAN(step, weights, x)[0]]).sum()

    compiled = jax.jit(jax.grad(loss)).lower(jnp.float32(0.1)).compile()
    return lambda: compiled(jnp.float32(0.1))


# PyTorch


def _torch(*, stacked: bool = True) -> Callable[[], Any]:
    require_extra("torch", "bench")
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)  # on a busy machine, two wait for each other most of the time
    x, y, asked, answers = map(torch.from_numpy, _data())
    start = [torch.from_numpy(own) for own in _weights(0)]
    feedback = [torch.from_numpy(own) for own in _weights(_FEEDBACK)]
    theta = [torch.tensor(_THETA[name], requires_grad=True) for name in PUBLISHED]

    def forward(weights: Any, x: Any) -> list[Any]:
        activity = [x]
        for weight in weights[:-1]:
            activity.append(torch.nn.functional.softplus(activity[-1] @ weight, 10.0))
        return [*activity, activity[-1] @ weights[-1]]

    def change(pre: Any, post: Any, e: Any, d: Any, weight: Any) -> Any:
        """The terms that share a presynaptic factor together, as ours."""
        t, drive = theta, pre @ weight
        agreement, error = (post * (d @ weight)).sum(), (e * drive).sum()
        by_pre = e * (t[0] + t[5] * post.sum() + t[7] * agreement)
        by_d = post * (t[1] + t[6] * agreement + t[8] * error) + t[2] * e + t[4]
        recalled = pre - post @ weight.T
        rows = torch.cat([pre, d, recalled])
        columns = torch.cat([-by_pre, -by_d, t[9] * post])
        return rows.T @ columns - t[3] * weight

    def term_by_term(pre: Any, post: Any, e: Any, d: Any, weight: Any) -> Any:
        """Each term's own product, as the rule is written."""
        t, drive = theta, pre @ weight
        agreement, error = (post * (d @ weight)).sum(), (e * drive).sum()
        return (
            -t[0] * pre.T @ e
            - t[1] * d.T @ post
            - t[2] * d.T @ e
            - t[3] * weight
            - t[4] * d.T @ torch.ones_like(post)
            - t[5] * pre.T @ e * post.sum()
            - t[6] * d.T @ post * agreement
            - t[7] * pre.T @ e * agreement
            - t[8] * d.T @ post * error
            + t[9] * (pre - post @ weight.T).T @ post
        )

    def update(weights: Any, x: Any, y: Any) -> list[Any]:
        activity = forward(weights, x)
        activity[-1] = torch.softmax(activity[-1], -1)
        e, changed = activity[-1] - y, []
        for index in range(len(weights) - 1, -1, -1):
            pre, post = activity[index], activity[index + 1]
            d = (e @ feedback[index].T) * (1 - torch.exp(-10 * pre))
            own = change if stacked else term_by_term
            changed.append(weights[index] + own(pre, post, e, d, weights[index]))
            e = d
        return changed[::-1]

    def meta_step() -> Any:
        weights: Any = start
        for index in range(_UPDATES):
            weights = update(weights, x[index : index + 1], y[index : index + 1])
        output = forward(weights, asked)[-1]
        loss = -(answers * torch.log_softmax(output, -1)).sum(-1).mean()
        return torch.autograd.grad(loss, theta)

    return meta_step
