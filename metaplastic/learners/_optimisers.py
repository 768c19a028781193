"""Optimisers of phases by name, and what their numbers must be."""

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from .._errors import UsageError, unknown

OPTIMISERS = ("sgd", "momentum", "nesterov", "adam", "rmsprop", "bfgs")
"""The usual ones; any other constructor of optax that takes a learning rate has its name too."""

LINEAR = ("sgd", "momentum", "nesterov")
"""Those whose steps are linear in the slopes."""

_NO_ROOT_OF_ZERO = 1e-16
"""Added below the root of Adam's and RMSprop's second moment: without it the derivative of a step
whose slope is exactly zero is NaN. Small enough to change no step that matters."""


def transformation(name: str, rate: Any) -> optax.GradientTransformation:
    """The optimiser of a name with a learning rate, which may be traced.

    Raises `UsageError` for a name that neither this library nor optax knows.
    """
    if name in ("momentum", "nesterov"):
        return optax.sgd(rate, momentum=0.9, nesterov=name == "nesterov")
    make: Callable[..., optax.GradientTransformation] | None = getattr(optax, name, None)
    parameters = inspect.signature(make).parameters if callable(make) else {}
    if make is None or next(iter(parameters), None) != "learning_rate":
        raise unknown("optimiser", name, OPTIMISERS)
    root = {"eps_root": _NO_ROOT_OF_ZERO} if "eps_root" in parameters else {}
    return make(rate, **root)


@functools.cache
def require_optimiser(name: str) -> None:
    """Try one step of an optimiser of optax, without computing it.

    Raises `UsageError` for a name that nobody knows, and for an optimiser that asks for more than
    a rate, a slope and the weights (the loss itself, a slope of every example, a key).
    """

    def once(phi: jax.Array) -> Any:
        own = transformation(name, 0.1)
        before = own.init(phi)
        step, after = own.update(phi, before, phi)
        return (phi, before), (step, after)

    try:
        with jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
            warnings.simplefilter("error")
            before, after = jax.eval_shape(once, jax.ShapeDtypeStruct((3,), jnp.float32))
        fits = jax.tree.map(_kind, before) == jax.tree.map(_kind, after)
    except UsageError:
        raise
    except Exception:  # whatever it asked for and was not given
        fits = False
    if not fits:
        raise UsageError(
            f"the optimiser {name} asks for more than a rate and a slope: use adam, nesterov, sgd "
            "or rmsprop"
        )


def _kind(leaf: Any) -> tuple[tuple[int, ...], str]:
    return jnp.shape(leaf), str(leaf.dtype)
