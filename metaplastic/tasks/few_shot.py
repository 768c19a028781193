"""New classes from a few examples: N ways, k shots, over any set of images by class."""

import dataclasses
import functools
import hashlib
import json
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._errors import UsageError
from .._types import Key
from ..data import ImageClasses, load_classes, load_shared_classes
from ._bank import Bank as Bank, affine, turned
from ._counts import check_counts
from ._permute import permuted
from ._unread import AbstractUnread
from .base import Episode, Query, Stream
from .criteria import CLASSIFICATION, Criterion


class FewShot(AbstractUnread):
    """Classes that the network has never met, a few examples of each, then others to name.

    A lifetime draws `ways` classes, `shots` examples of each to learn from and `queries` others to
    be asked for. The examples come one at a time, in random order (`iid`) or class by class
    (`continual`), as in Javed & White (2019), "Meta-learning representations for continual
    learning", and Lindsey & Litwin-Kumar (2020), "Learning to learn with feedback and local
    plasticity"; or all at once, `moments` times, as in the inner loop of Finn, Abbeel & Levine
    (2017), "Model-agnostic meta-learning", section 5.2. Meta-testing draws from other classes; or
    from other images of the same, where every class has an output for good (`held` images,
    `labels` own), as in Shervani-Tabar & Rosenbaum (2023), "Meta-learning biologically plausible
    plasticity rules with random feedback pathways".
    """

    criterion: ClassVar[Criterion] = CLASSIFICATION

    data: str = eqx.field(static=True, default="digits")
    """Data set, folder with one folder of images a class, or `.npz` of one's own."""
    split: str | None = eqx.field(static=True, default=None)
    """Published split of the classes (omniglot: background, small; mini_imagenet: official,
    validation); the first of them, or halves, where it is not given."""
    test_classes: int | None = eqx.field(static=True, default=None)
    """Instead of a split: so many classes of a fixed shuffled order are kept for meta-testing."""
    held: Literal["classes", "images"] = eqx.field(static=True, default="classes")
    """What meta-training never sees: classes, or images of classes that both have."""
    test_images: int | None = eqx.field(static=True, default=None)
    """With `held` images: so many of each class, in a fixed shuffled order, are kept for
    meta-testing; half of them where it is not given."""
    ways: int = eqx.field(static=True, default=5)
    """Classes of a lifetime."""
    replacement: bool = eqx.field(static=True, default=False)
    """Draw the classes with replacement, as in the released code of Shervani-Tabar & Rosenbaum: one
    that is drawn twice has its images and its output twice, and the lifetime fewer classes."""
    shots: int = eqx.field(static=True, default=5)
    """Examples of each class to learn from."""
    queries: int = eqx.field(static=True, default=5)
    """Examples of each class to be named at the end."""
    order: Literal["iid", "continual"] = eqx.field(static=True, default="iid")
    """Examples in random order, or all of a class before the next."""
    moments: int | None = eqx.field(static=True, default=None)
    """All examples at once, so many times; one example a moment where it is not given."""
    overlap: bool = eqx.field(static=True, default=False)
    """In meta-training, draw the queries without regard to what was shown, as in the released code
    of FLP."""
    width: int | None = eqx.field(static=True, default=None)
    """Outputs, where there are to be more than ways (1000 in the released code of FLP)."""
    labels: Literal["permuted", "ordered", "any", "own"] = eqx.field(
        static=True, default="permuted"
    )
    """Outputs that stand for the classes: the first `ways` in random order, in the order of the
    classes' appearance, any of all outputs, or every class's own (as many outputs as classes)."""
    resize: int | None = eqx.field(static=True, default=None)
    """Side to which images are brought; as they are stored where it is not given."""
    invert: bool = eqx.field(static=True, default=False)
    """1 - x: ink becomes 1 and paper 0."""
    standardise: bool = eqx.field(static=True, default=False)
    """Mean 0 and variance 1 in each channel, over the classes of meta-training."""
    rotations: Literal["none", "classes", "lifetime"] = eqx.field(static=True, default="none")
    """Quarter turns of a class are new classes (Santoro et al. 2016), or each class of a lifetime
    is turned at random."""

    permute: bool = eqx.field(static=True, default=False)
    """The values of an input in an order of its own in every lifetime."""

    def __check_init__(self):
        check_counts(self, "ways", "shots", "queries", "moments", "width", "resize")
        if self.labels != "own" and self.outputs < self.ways:
            raise UsageError(
                f"--task.width {self.width}: {self.ways} ways need at least as many outputs"
            )
        if self.labels == "own" and self.held == "classes":
            raise UsageError(
                "--task.labels own: classes that only meta-testing has would have no output of "
                "their own, pass --task.held images"
            )
        self._check_split()

    def _check_split(self) -> None:
        if self.held == "classes" and self.test_images is not None:
            raise UsageError(
                f"--task.test-images {self.test_images} splits the images of a class: pass "
                "--task.held images"
            )
        for name in ("split", "test_classes"):
            if self.held == "images" and getattr(self, name) is not None:
                raise UsageError(
                    f"--task.{name.replace('_', '-')} {getattr(self, name)} splits the classes: "
                    "leave it out, or pass --task.held classes"
                )

    @property
    def outputs(self) -> int:
        if self.width is None and self.labels == "own":
            raise self._unread()
        return self.width or self.ways

    def load(self) -> "_LoadedFewShot":
        """The task with the images of all its classes on the device.

        Raises `DataError` where they are missing, `UsageError` for more ways than classes and for
        more shots and queries than a class has images.
        """
        if self.held == "images":
            train, test = load_shared_classes(
                self.data, test_images=self.test_images, side=self.resize
            )
        else:
            train, test = load_classes(
                self.data, split=self.split, test_classes=self.test_classes, side=self.resize
            )
        return self.with_classes(train, test)

    def with_classes(self, train: ImageClasses, test: ImageClasses) -> "_LoadedFewShot":
        """The task on these classes, for meta-training and for meta-testing."""
        offset, factor = affine(train, self.invert, self.standardise)
        options = {own.name: getattr(self, own.name) for own in dataclasses.fields(FewShot)}
        bank, spare = (Bank(own, offset, factor) for own in (train, test))
        about = {"train": train.record(), "test": test.record()}
        digest = "".join(own["sha256"] for own in about.values())
        about = {
            "name": train.name,
            "source": self.data,
            "sha256": hashlib.sha256(digest.encode()).hexdigest(),
            **about,
        }
        return _LoadedFewShot(bank=bank, spare=spare, about=json.dumps(about), **options)


class _LoadedFewShot(FewShot):
    """`FewShot` with its images."""

    bank: Bank = eqx.field(kw_only=True)
    spare: Bank = eqx.field(kw_only=True)
    """The classes of meta-testing."""
    about: str = eqx.field(static=True, kw_only=True)
    """What a record says of both, as JSON."""

    def __check_init__(self):
        turns = self._turns
        need = max(self.shots, self.queries) if self.overlap else self.shots + self.queries
        for bank, use in ((self.bank, "meta-training"), (self.spare, "meta-testing")):
            if self.ways > turns * bank.classes and not self.replacement:
                raise UsageError(
                    f"--task.ways {self.ways}: {self.data} has {turns * bank.classes} classes for "
                    f"{use}, ask for at most as many"
                )
            if need > bank.fewest:
                asked = f"--task.shots {self.shots} and --task.queries {self.queries}"
                raise UsageError(
                    f"{asked} need {need} images a class, {self.data} has classes of "
                    f"{bank.fewest} for {use}: ask for at most as many"
                )
        if self.labels == "own" and self.outputs < turns * self.bank.classes:
            raise UsageError(
                f"--task.width {self.width}: the {turns * self.bank.classes} classes of "
                f"{self.data} need an output each"
            )
        if self.rotations != "none" and len(set(self.bank.images.shape[1:3])) > 1:
            raise UsageError(
                f"--task.rotations {self.rotations} needs square images, {self.data} has examples "
                f"of shape {self.input_shape}: pass --task.resize"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.bank.images.shape[1:]

    @property
    def outputs(self) -> int:
        if self.width is None and self.labels == "own":
            return self._turns * self.bank.classes
        return self.width or self.ways

    @property
    def _turns(self) -> int:
        """Classes that one class is, by quarter turns."""
        return 4 if self.rotations == "classes" else 1

    def load(self) -> "_LoadedFewShot":
        return self

    def record(self) -> dict[str, Any]:
        """What a run record says of the images."""
        return json.loads(self.about)

    def held_out(self) -> "_LoadedFewShot":
        return dataclasses.replace(self, bank=self.spare, overlap=False)

    def sample(self, key: Key) -> Episode:
        class_key, image_key, label_key, order_key, turn_key = jr.split(key, 5)
        chosen, turn = self._classes(class_key, turn_key)
        shown, asked = self._images(chosen, turn, image_key)
        label = self._labels(chosen * self._turns + turn % self._turns, label_key)
        target = jax.nn.one_hot(label, self.outputs, dtype=shown.dtype)
        x, y = _flat(shown), jnp.repeat(target, self.shots, 0)
        if self.order == "iid":
            order = jr.permutation(order_key, x.shape[0])
            x, y = x[order], y[order]
        if self.moments is None:
            x, y = x[:, None], y[:, None]
        else:
            x, y = (jnp.broadcast_to(a, (self.moments, *a.shape)) for a in (x, y))
        query = Query(_flat(asked), jnp.repeat(target, self.queries, 0))
        episode = Episode(Stream(x, y, None, None), query, self.criterion)
        return permuted(episode, key=jr.fold_in(key, 5)) if self.permute else episode

    def _classes(self, class_key: Key, turn_key: Key) -> tuple[jax.Array, jax.Array]:
        """Different classes in random order, and the quarter turns of each, [ways]."""
        every = self._turns * self.bank.classes
        if self.replacement:
            drawn = jr.randint(class_key, (self.ways,), 0, every, jnp.int32)
        else:
            drawn = jr.permutation(class_key, every)[: self.ways]
        if self.rotations == "lifetime":
            return drawn, jr.randint(turn_key, (self.ways,), 0, 4)
        return drawn // self._turns, drawn % self._turns

    def _images(self, chosen: jax.Array, turn: jax.Array, key: Key) -> tuple[jax.Array, jax.Array]:
        """Shown [ways, shots, ...] and asked [ways, queries, ...]."""
        shown_key, asked_key = jr.split(key)
        # A class drawn twice has the same images twice, so that none is both shown and asked for.
        draw = functools.partial(self.bank.draw, chosen, alike=self.replacement)
        if self.overlap:
            shown, asked = draw(self.shots, key=shown_key), draw(self.queries, key=asked_key)
        else:
            both = draw(self.shots + self.queries, key=shown_key)
            shown, asked = both[:, : self.shots], both[:, self.shots :]
        images = self.bank.inputs(shown), self.bank.inputs(asked)
        if self.rotations == "none":
            return images
        return turned(images[0], turn), turned(images[1], turn)

    def _labels(self, identity: jax.Array, key: Key) -> jax.Array:
        """The output that stands for each class, [ways]."""
        if self.labels == "own":
            return identity
        if self.labels == "ordered":
            label = jnp.arange(self.ways)
        else:
            known = self.outputs if self.labels == "any" else self.ways
            label = jr.permutation(key, known)[: self.ways]
        if self.replacement:  # a class drawn twice has one name, that of its first place
            label = label[(identity[:, None] == identity).argmax(1)]
        return label


def _flat(images: jax.Array) -> jax.Array:
    return images.reshape(-1, *images.shape[2:])
