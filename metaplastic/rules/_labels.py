"""Labels as part of the input: right ones, wrong ones, and where they are written."""

import jax
import jax.numpy as jnp

from .._errors import UsageError
from .._types import Inputs, Key, Targets


def wrong_labels(y: Targets, *, key: Key) -> Targets:
    """One-hot labels, each drawn evenly from the classes that are not the example's own."""
    classes = y.shape[-1]
    if classes < 2:
        raise UsageError(
            f"forward_forward tells right labels from wrong ones, and there is {classes} class: "
            "it needs data with two classes or more"
        )
    shift = jax.random.randint(key, y.shape[:1], 1, classes)
    return jax.nn.one_hot((y.argmax(-1) + shift) % classes, classes, dtype=y.dtype)


def overwrite(x: Inputs, labels: Targets) -> Inputs:
    """`x` with `labels` in its first inputs; of an image, in its first pixels, every channel."""
    classes = labels.shape[-1]
    channels = x.shape[-1] if x.ndim > 2 else 1
    pixels = x.reshape(x.shape[0], -1, channels)
    if pixels.shape[1] < classes:
        raise UsageError(
            f"{classes} labels do not fit over {pixels.shape[1]} inputs: "
            "use --rule.label-slots append"
        )
    return pixels.at[:, :classes].set(labels[:, :, None]).reshape(x.shape)


def append(x: Inputs, labels: Targets) -> jax.Array:
    """Flattened `x` followed by `labels`, [batch, inputs + classes]."""
    return jnp.concatenate([flatten(x), labels], axis=1)


def flatten(x: jax.Array) -> jax.Array:
    """[batch, ...] -> [batch, inputs]."""
    return x.reshape(x.shape[0], -1)
