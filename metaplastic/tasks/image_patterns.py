"""Remember a few images, then complete one of them from its upper or its lower half."""

import dataclasses
import json
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpy.typing as npt

from .. import data as datasets
from .._errors import UsageError
from .._types import Key
from ..data._base import Dataset
from ..data._resize import resize
from ._recall import check_times, recall
from ._unread import AbstractUnread
from .base import Episode
from .criteria import PATTERNS, REGRESSION, Criterion

Half = Literal["either", "top", "bottom"]
HeldOut = Literal["last_fifth", "test_set"]


class ImagePatterns(AbstractUnread):
    """Images, each shown `on` moments; then half of one, and the rest is asked for.

    An image is summed over its channels, freed of its mean and divided by its largest absolute
    value, so that it is a pattern of as many values in [-1, 1] as it has pixels. It is shown
    `cycles` times, each time in another order, with `off` moments of nothing after it. At the end
    one of the images stands there for `cue` moments without its upper or its lower half; the answer
    of the last moment is compared with the whole. The error that is reported is the mean over all
    pixels, the given ones (where a network that holds its inputs is right) included. Meta-testing
    draws from other images. Miconi, Clune & Stanley (2018), "Differentiable plasticity", section
    4.2: CIFAR-10, batches 1 to 4 and batch 5.
    """

    criterion: ClassVar[Criterion] = Criterion(
        PATTERNS.loss, REGRESSION.metric, REGRESSION.score, False, "squared_error"
    )

    data: str = eqx.field(static=True, default="digits")
    """Data set, or `.npz` of one's own."""
    held: HeldOut = eqx.field(static=True, default="last_fifth")
    """Images of meta-testing: the last fifth of the training set, or the test set."""
    resize: int | None = eqx.field(static=True, default=None)
    """Side to which images are brought; as they are stored where it is not given."""
    images: int = eqx.field(static=True, default=3)
    """Images of a lifetime."""
    cycles: int = eqx.field(static=True, default=3)
    """How often each is shown."""
    on: int = eqx.field(static=True, default=20)
    """Moments for which an image stands there."""
    off: int = eqx.field(static=True, default=2)
    """Moments of nothing after it."""
    cue: int | None = eqx.field(static=True, default=3)
    """Moments of the half image; as many as `on` where it is not given."""
    half: Half = eqx.field(static=True, default="either")
    """The half that is missing in the end."""

    def __check_init__(self):
        check_times("images", self)
        if self.resize is not None and self.resize < 2:
            raise UsageError(f"--task.resize {self.resize}: an image with two halves needs 2")

    def load(self) -> "_LoadedImagePatterns":
        """The task with its images on the device.

        Raises `DataError` where they are missing, `UsageError` for more images in a lifetime than
        there are.
        """
        return self.with_images(datasets.load(self.data))

    def with_images(self, dataset: Dataset) -> "_LoadedImagePatterns":
        """The task on the images of this data set."""
        train, test = dataset.x_train, dataset.x_test
        if self.held == "last_fifth":
            kept = len(train) - len(train) // 5
            train, test = train[:kept], train[kept:]
        banks = [jnp.asarray(_stored(own, dataset, self.resize)) for own in (train, test)]
        options = {own.name: getattr(self, own.name) for own in dataclasses.fields(ImagePatterns)}
        about = json.dumps(dataset.record())
        return _LoadedImagePatterns(bank=banks[0], spare=banks[1], about=about, **options)


class _LoadedImagePatterns(ImagePatterns):
    """`ImagePatterns` with its images."""

    bank: jax.Array = eqx.field(kw_only=True)
    """[n, height, width, channels] or [n, features], in the type in which they are stored."""
    spare: jax.Array = eqx.field(kw_only=True)
    """The images of meta-testing."""
    about: str = eqx.field(static=True, kw_only=True)
    """What a run record says of the data, as JSON."""

    def __check_init__(self):
        for bank, use in ((self.bank, "meta-training"), (self.spare, "meta-testing")):
            if self.images > len(bank):
                raise UsageError(
                    f"--task.images {self.images}: {self.data} has {len(bank)} images for {use}, "
                    "ask for at most as many"
                )
        if self.outputs < 2:
            raise UsageError(f"{self.data} has images of one value, which have no halves")

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.outputs,)

    @property
    def outputs(self) -> int:
        channels = self.bank.shape[3] if self.bank.ndim == 4 else 1
        return self.bank[0].size // channels

    def load(self) -> "_LoadedImagePatterns":
        return self

    def held_out(self) -> "_LoadedImagePatterns":
        return eqx.tree_at(lambda own: own.bank, self, self.spare)

    def record(self) -> dict[str, Any]:
        """What a run record says of the data."""
        return json.loads(self.about)

    def sample(self, key: Key) -> Episode:
        image_key, half_key, order_key = jr.split(key, 3)
        drawn = different(len(self.bank), self.images, key=image_key)
        upper = {"either": jr.bernoulli(half_key), "top": True, "bottom": False}[self.half]
        is_upper = jnp.arange(self.outputs) < self.outputs // 2
        stream = recall(
            patterns(self.bank[drawn]),
            lambda pattern: jnp.where(is_upper == upper, 0.0, pattern),
            cycles=self.cycles,
            on=self.on,
            off=self.off,
            cue=self.cue or self.on,
            key=order_key,
        )
        return Episode(stream, None, self.criterion)


def patterns(images: jax.Array) -> jax.Array:
    """Images as patterns [n, pixels]: summed over channels, without their mean, at most 1."""
    x = images.astype(float)
    x = x.sum(-1) if x.ndim == 4 else x
    x = x.reshape(len(x), -1)
    x = x - x.mean(1, keepdims=True)
    largest = jnp.abs(x).max(1, keepdims=True)
    return x / jnp.where(largest > 0, largest, 1.0)  # an even image stays zero


def different(among: int, number: int, *, key: Key) -> jax.Array:
    """So many different numbers below `among`, every set of them equally likely.

    Bentley & Floyd (1987), "Programming pearls: a sample of brilliance": no array of all numbers.
    """
    last = among - number + jnp.arange(number, dtype=jnp.int32)
    drawn = jr.randint(key, (number,), 0, last + 1, jnp.int32)

    def add(chosen: jax.Array, own: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        place, number, instead = own
        return chosen.at[place].set(jnp.where((chosen == number).any(), instead, number)), None

    places = jnp.arange(number, dtype=jnp.int32)
    return jax.lax.scan(add, jnp.full((number,), -1, jnp.int32), (places, drawn, last))[0]


def _stored(x: npt.NDArray[Any], dataset: Dataset, side: int | None) -> npt.NDArray[Any]:
    x = np.ascontiguousarray(x).reshape(len(x), *dataset.shape)
    if side is None:
        return x
    if x.ndim != 4:
        raise UsageError(
            f"--task.resize needs images, {dataset.name} has examples of shape {dataset.shape}"
        )
    return resize(x, side)
