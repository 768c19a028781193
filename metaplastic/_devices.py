"""Several devices of one machine: replicas are divided among them, or the lifetimes of a meta-step.

A CPU is one device unless told otherwise. Divided into several, each runs a part of the work from
beginning to end, where the threads of one device can only share single large operations.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ._errors import UsageError
from ._types import Key

_AXIS = "devices"
_EVERYWHERE, _DIVIDED = PartitionSpec(), PartitionSpec(_AXIS)

_PARTS: ContextVar[int] = ContextVar("parts", default=1)
"""Among how many devices the lifetimes of what is being traced are divided."""
_GIVEN: ContextVar[int] = ContextVar("given", default=1)
"""Devices of a run whose options do not name a number."""


def divide_cpu(devices: int) -> None:
    """Make so many devices of the CPU, unless JAX is in use already."""
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", devices)


def limit_threads(threads: int | None) -> None:
    """Give the CPU so many threads, unless JAX is in use already; None leaves JAX's own number.

    JAX has no setting for it. Its runtime reads an environment variable at the first use.
    """
    if threads is not None:
        os.environ["NPROC"] = str(threads)


def provide(devices: int) -> None:
    """See to it that JAX has so many devices; a CPU is divided before its first use.

    Raises `UsageError` where there are fewer.
    """
    if devices == 1:
        return
    divide_cpu(devices)
    found = jax.local_device_count()
    if devices > found:
        raise UsageError(
            f"--devices {devices}: JAX has {found} here; in a program of your own, say "
            f'jax.config.update("jax_num_cpu_devices", {devices}) before anything else of JAX'
        )


def check_share(devices: int | None, runs: int) -> None:
    """Raise `UsageError` where there are more devices than runs for them to share."""
    if (devices or 1) > max(runs, 1):
        own = "one run" if runs == 1 else f"{runs} runs"
        fewer = "" if runs == 1 else f"--devices {runs}, or "
        raise UsageError(f"--devices {devices} have {own} to share: {fewer}give more --seeds")


@contextlib.contextmanager
def using(devices: int) -> Iterator[None]:
    """Runs within use so many devices, where their options do not name a number."""
    provide(devices)
    before = _GIVEN.set(devices)
    try:
        yield
    finally:
        _GIVEN.reset(before)


def cores() -> int:
    """Cores that this process may use."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known else os.cpu_count() or 1


class Spread:
    """Runs functions on all devices; what goes in and comes out lies on the first one.

    Both ways are for use within `jit`, and with one device they change nothing.
    """

    def __init__(self, devices: int | None):
        """`devices` None: those of `using`, or one."""
        devices = devices or _GIVEN.get()
        provide(devices)
        self.devices = devices
        own = jax.local_devices()[:devices]
        self._first = own[0]
        self._mesh = jax.make_mesh((devices,), (_AXIS,), (AxisType.Auto,), devices=own)

    @property
    def compiler_options(self) -> dict[str, Any] | None:
        """For programs of several devices. A CPU's would end the process where one of them waits
        for the other for 40 seconds, as it may on a busy machine: a day is given instead."""
        if self.devices == 1 or self._first.platform != "cpu":
            return None
        return {"xla_cpu_collective_call_terminate_timeout_seconds": 86_400}

    def divide(self, function: Callable[[Any, Any], Any], whole: Any, tree: Any) -> Any:
        """`function(whole, tree)`, each device with a part of the leading axis of what is in
        `tree` and of what comes out.

        Where the devices do not divide it, the last one repeats entries, which are dropped.
        """
        number = jax.tree.leaves(tree)[0].shape[0]
        index = jnp.minimum(jnp.arange(-(-number // self.devices) * self.devices), number - 1)
        filled = jax.tree.map(lambda leaf: leaf[index], tree) if len(index) > number else tree
        found = self._mapped(function, _DIVIDED, whole, filled)
        return jax.tree.map(lambda leaf: leaf[:number], found)

    def together(self, function: Callable[[Any, Any], Any], whole: Any, tree: Any) -> Any:
        """`function(whole, tree)` by all devices, which divide what it asks them to."""

        def own(whole: Any, tree: Any) -> Any:
            with _parts(self.devices):
                return function(whole, tree)

        return self._mapped(own, _EVERYWHERE, whole, tree)

    def _mapped(self, function: Any, spec: PartitionSpec, whole: Any, tree: Any) -> Any:
        arrays, rest = eqx.partition(whole, eqx.is_array)
        mapped = jax.shard_map(
            lambda own, tree: function(eqx.combine(own, rest), tree),
            mesh=self._mesh,
            in_specs=(_EVERYWHERE, spec),
            out_specs=spec,
            check_vma=False,
        )
        return mapped(arrays, tree)

    def put(self, tree: Any) -> Any:
        """A copy of all arrays on every device, for what goes in often."""
        return self._moved(tree, NamedSharding(self._mesh, _EVERYWHERE))

    def take(self, tree: Any) -> Any:
        """All arrays on the first device alone."""
        return self._moved(tree, self._first)

    def _moved(self, tree: Any, where: Any) -> Any:
        if self.devices == 1:
            return tree
        return jax.tree.map(
            lambda leaf: jax.device_put(leaf, where) if isinstance(leaf, jax.Array) else leaf, tree
        )


def even_share(count: int, most: int) -> int:
    """How many of `count` to do at once, `most` or somewhat fewer: a rest would be compiled too."""
    most = min(count, most)
    fair = (own for own in range(most, most // 2, -1) if count % own == 0)
    return next(fair, most)


# Within a function that runs `together`


def in_all(number: int) -> int:
    """Lifetimes of all devices, of which each has `number`."""
    return number * _PARTS.get()


def own_part(number: int) -> int:
    """How many of `number` lifetimes each device has. `number` must be a multiple of them."""
    return number // _PARTS.get()


def lifetime_keys(key: Key, number: int) -> jax.Array:
    """Keys of this device's `number` lifetimes: the same for a lifetime wherever it is lived."""
    keys = jr.split(key, in_all(number))
    return keys if _PARTS.get() == 1 else keys[lifetime_places(number)]


def lifetime_places(number: int) -> jax.Array:
    """Places of this device's `number` lifetimes among those of all devices, uint32 [number]."""
    places = jnp.arange(number, dtype=jnp.uint32)
    if _PARTS.get() == 1:
        return places
    return places + jax.lax.axis_index(_AXIS).astype(jnp.uint32) * jnp.uint32(number)


def mean_of_all(tree: Any) -> Any:
    """Means over devices."""
    return tree if _PARTS.get() == 1 else jax.lax.pmean(tree, _AXIS)


def share_out(function: Callable[[Any], Any], batch: Any) -> Any:
    """`function(batch)`, both with a leading axis, each device with a part of it if it divides."""
    parts, number = _PARTS.get(), jax.tree.leaves(batch)[0].shape[0]
    if parts == 1 or number % parts:
        return function(batch)
    size = number // parts
    start = jax.lax.axis_index(_AXIS) * size
    own = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size), batch)
    with _parts(1):
        found = function(own)
    return jax.lax.all_gather(found, _AXIS, tiled=True)


@contextlib.contextmanager
def _parts(number: int) -> Iterator[None]:
    before = _PARTS.set(number)
    try:
        yield
    finally:
        _PARTS.reset(before)
