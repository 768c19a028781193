"""Memory of exact meta-gradients: all moments of a lifetime stored, or square-root many."""

from typing import Any

import equinox as eqx
import jax
import jax.random as jr

from ..learners.online import online
from ..meta.unrolled import Unrolled
from ..rules.backprop import Backprop
from ..tasks.sinusoid import Sinusoid

_MOMENTS = (100, 1_000, 10_000)


def run() -> list[dict[str, Any]]:
    """Temporary memory of the compiled gradient of one lifetime of a 1-40-40-1 network.

    One row a length, stored whole over stored in blocks; then how much each grows from the
    shortest lifetime to the longest, a hundred times as long.
    """
    needed = {
        kind: [megabytes(moments, kind) for moments in _MOMENTS] for kind in ("none", "blocks")
    }
    rows = [
        _row(f"{moments:,} moments: whole / in blocks", whole, blocks, "> 1")
        for moments, whole, blocks in zip(_MOMENTS, needed["none"], needed["blocks"], strict=True)
    ]
    for kind, bar in (("none", "100: the lifetime"), ("blocks", "10: its square root")):
        first, *_, last = needed[kind]
        what = "in blocks" if kind == "blocks" else "whole"
        rows.append(_row(f"{_MOMENTS[0]:,} to {_MOMENTS[-1]:,} moments, {what}", last, first, bar))
    return rows


def megabytes(moments: int, rematerialise: Any) -> float:
    """What the compiled program needs beside its arguments and results."""
    task = Sinusoid(moments=moments, repeat=False)
    learner = online(task, rule=Backprop(), hidden=(40, 40), rate=0.001, key=jr.key(0))
    arrays, static = eqx.partition(learner, eqx.is_array)
    episodes = jax.vmap(task.sample)(jr.split(jr.key(1), 1))

    def gradient(arrays: Any, episodes: Any) -> Any:
        own = eqx.combine(arrays, static)
        return Unrolled(rematerialise=rematerialise)(own, episodes, key=jr.key(2))[0]

    program = jax.jit(gradient).lower(arrays, episodes).compile()
    memory: Any = program.memory_analysis()
    return memory.temp_size_in_bytes / 1e6


def _row(name: str, larger: float, smaller: float, bar: str) -> dict[str, Any]:
    ratio = larger / smaller
    return {
        "comparison": name,
        "ours_mb": smaller,
        "reference_mb": larger,
        "ratio": ratio,
        "ratio_min": ratio,
        "ratio_max": ratio,
        "bar": bar,
    }
