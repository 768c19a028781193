"""Plasticity rules over random feedback: the learners, the lifetimes and the meta-training."""

from typing import Any

from ..train.design import Design, Part
from ..train.meta_options import MetaOptions
from .base import Scale

SOURCE = "Shervani-Tabar & Rosenbaum (2023)"
HIDDEN = (170, 130, 100, 70)
STEPS = {"quick": 100, "full": 600}
BIO = ("pseudo_gradient", "ehebb", "oja")
EHEBB = ("pseudo_gradient", "ehebb")
OJA = ("pseudo_gradient", "oja")
GRADIENT = ("pseudo_gradient",)
FIRST = "state.coefficients.pseudo_gradient"

PROTOCOL = (
    "Lifetimes of 250 images, 50 of each of five classes, one at a time and once; then 10 others "
    "of each class are asked for. First weights and feedback are drawn anew in every lifetime; "
    "only the coefficients are learned, from 1e-3 for the pseudo-gradient and 0 for all others, by "
    "Adam at 1e-3 through the whole lifetime, one lifetime a meta-step. Five different classes, "
    "shuffled images (the released code draws classes with replacement, and takes the first images "
    "of each); accuracy on images that meta-training never used. "
)
SIZES = (
    "quick: 8x8 digits, all ten outputs, 100 meta-steps; full: EMNIST balanced, 47 outputs, 600."
)


_IMAGES: dict[str, dict[str, Any]] = {"quick": {"test_images": 80}, "full": {"data": "emnist"}}


def design(
    scale: Scale,
    rule: dict[str, Any],
    *,
    hidden: tuple[int, ...] = HIDDEN,
    images: dict[str, Any] | None = None,
) -> Design:
    """A bias-free softplus network that a pool trains on-line, on the scale's images or others."""
    task: dict[str, Any] = {"held": "images", "labels": "own", "shots": 50, "queries": 10}
    task |= images or _IMAGES[scale]
    learner = {
        "hidden": hidden,
        "activation": "softplus",
        "bias": False,
        "rate": 1.0,
        "start": "fresh",
        "redraw": "xavier_uniform",
    }
    # Small lifetimes fit the memory; not to compute them twice halves the time to compile, too.
    estimator = {"rematerialise": "none"} if scale == "quick" else {}
    return Design(
        learner=Part("online", learner),
        rule=Part("pool", {"start": 1e-3, **rule}),
        task=Part("few_shot", task),
        estimator=Part("unrolled", estimator),
    )


def options(scale: Scale, rule: dict[str, Any], **changed: Any) -> MetaOptions:
    """Adam on the coefficients alone."""
    fixed = ("model",) if rule.get("feedback") == "symmetric" else ("model", "state.feedback")
    given = {
        "steps": STEPS[scale],
        "meta_batch": 1,
        "lr": 1e-3,
        "freeze": fixed,
        "non_finite": "skip",
        "test_lifetimes": 50,
        **changed,
    }
    return MetaOptions(**given)


# L1 asks which terms are worth their coefficient, so that it must know how large they are: the
# mean norm of each over that of the pseudo-gradient, within lifetimes of the discovered rule on
# digits. One step of a coefficient changes the update as much as one of any other, too.
NORMS = {
    "pseudo_gradient": 1.0,
    "mirrored_gradient": 0.5,
    "ehebb": 0.2,
    "decay": 5.0,
    "pre_error": 1.5,
    "gradient_by_activity": 15.0,
    "mirrored_by_agreement": 0.1,
    "gradient_by_agreement": 0.2,
    "mirrored_by_drive": 0.2,
    "oja": 2.5,
}
_RATE, _LARGEST, _STRENGTH = 2e-4, 1e-3, 10.0
_ALL = "state.coefficients"

TEN: dict[str, Any] = {"lr": 1e-4, "group": (f"{FIRST}=1e-3",), "clip": 1.0}
"""Without L1: slower for all but the pseudo-gradient, which alone would not diverge at 1e-3."""
SPARSE: dict[str, Any] = {
    "steps": 160,
    "schedule": "cosine",
    "record_every": 4,
    "group": (
        f"{FIRST}=1e-3",
        *(
            f"{_ALL}.{own}={min(_RATE / size, _LARGEST):.2g}"
            for own, size in NORMS.items()
            if own != "pseudo_gradient"
        ),
    ),
    "sparsity": tuple(f"{_ALL}.{own}={_STRENGTH * size:g}" for own, size in NORMS.items()),
}
"""With L1 on every coefficient times the norm of its term."""
SURVIVORS = ("pseudo_gradient", "ehebb", "decay", "gradient_by_activity", "oja")
"""What L1 leaves of the ten terms on digits, in two seeds of three at least."""
PRUNING = (
    " The pool: the gradient is clipped to norm 1 and the nine other terms learn at 1e-4, since "
    "lifetimes diverge where all learn at 1e-3; meta-steps that are not finite change nothing and "
    "are counted. L1: strength 10 times the norm of each term, relative to the pseudo-gradient's "
    "(the paper has one strength for all, which here would weigh terms whose norms differ by a "
    "factor of 150); rates in inverse proportion, with cosine decay, 160 meta-steps (quick). A "
    "term survives whose coefficient ends more than ten of its learning rates from zero."
)
