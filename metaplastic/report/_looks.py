"""Colours and dashes of rules: the same for a rule in every figure.

Colours are those of Okabe & Ito (2008), told apart in every common form of colour blindness.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

INK, MUTED = "#212121", "#6a6a6a"
_PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))


class Look(NamedTuple):
    """Colour and dashes of a rule's line."""

    colour: str
    dashes: Any


_KNOWN = {
    "backprop": Look(INK, _DASHES[0]),
    "shallow": Look(MUTED, _DASHES[2]),
    "pepita": Look(_PALETTE[0], _DASHES[0]),
    "feedback_alignment": Look(_PALETTE[1], _DASHES[0]),
    "sign_symmetry": Look(_PALETTE[2], _DASHES[0]),
    "drtp": Look(_PALETTE[3], _DASHES[0]),
    "weight_mirror": Look(_PALETTE[4], _DASHES[0]),
    "direct_feedback_alignment": Look(_PALETTE[5], _DASHES[0]),
    "kolen_pollack": Look(_PALETTE[4], _DASHES[1]),
    "forward_forward": Look(_PALETTE[3], _DASHES[1]),
}
_ALIASES = {
    "bp": "backprop",
    "backpropagation": "backprop",
    "frozen_hidden": "shallow",
    "fa": "feedback_alignment",
    "dfa": "direct_feedback_alignment",
    "wm": "weight_mirror",
    "kp": "kolen_pollack",
    "ff": "forward_forward",
}


def canonical(rule: str) -> str:
    """`PEPITA`, `pepita:feedback-scale=0.2`, `Kolen-Pollack` -> the rule's registered name."""
    name = re.sub(r"[\s-]+", "_", re.split(r"[:(·]", rule)[0].strip().lower())
    return _ALIASES.get(name, name)


def looks(rules: Sequence[str]) -> list[Look]:
    """One look for each line of a figure: a known rule's own at its first appearance.

    Others take, in order, what is free; another control is grey too.
    """
    taken: set[Look] = set()
    found: list[Look | None] = []
    for rule in rules:
        own = _KNOWN.get(canonical(rule))
        if own in taken and canonical(rule) == "shallow":
            own = next((look for d in _DASHES if (look := Look(MUTED, d)) not in taken), None)
        found.append(None if own in taken else own)
        taken |= {own} if own is not None else set()
    every = [Look(colour, dashes) for dashes in _DASHES for colour in _PALETTE]
    free = iter([look for look in every if look not in taken] * (1 + len(rules) // 12))
    return [next(free) if look is None else look for look in found]
