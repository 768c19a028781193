"""A sum of terms with their coefficients, written as a formula for people."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Only = Mapping[str, tuple[int, ...]]


def formula(
    terms: Mapping[str, str],
    coefficients: Mapping[str, Any],
    granularity: str,
    only: Only | None = None,
) -> str:
    """`dW = -0.0561 e x^T + 0.0711 e d^T + ...`, terms in the order of their names.

    `terms`: each term's own formula by name; `only`: layers, from 1, of those that act in some
    alone. Where layers differ there is a line a layer; coefficients of every synapse are told by
    their mean and standard deviation.
    """
    only = only or {}
    if granularity == "synapse":
        return _of_synapses(terms, coefficients, only)
    values = {name: np.asarray(coefficients[name], np.float64) for name in terms}
    if granularity == "layer":
        layers: Iterable[int] = range(1, 1 + len(next(iter(values.values()))))
    else:
        layers = sorted({index for where in only.values() for index in where})

    def line(where: str, layer: int | None) -> str:
        acting = [name for name in terms if name not in only or layer in only[name]]
        index = () if granularity == "global" else (layer or 1) - 1
        return f"{where} = " + _sum([(float(values[own][index]), terms[own]) for own in acting])

    lines = [line(f"dW_{layer}", layer) for layer in layers]
    if granularity == "global":
        lines.append(line("dW of all other layers" if lines else "dW", None))
    return "\n".join(lines)


def _of_synapses(terms: Mapping[str, str], coefficients: Mapping[str, Any], only: Only) -> str:
    lines = ["dW = sum of, with a coefficient for every synapse:"]
    for name, own in terms.items():
        # Where a term does not act, its coefficients have stayed what they were.
        arrays = [
            leaf
            for index, leaf in enumerate(coefficients[name], start=1)
            if name not in only or index in only[name]
        ]
        flat = np.concatenate([np.ravel(leaf) for leaf in arrays]).astype(np.float64)
        where = f" in layer {', '.join(map(str, only[name]))}" if name in only else ""
        lines.append(f"  theta * {_factor(own)}{where}, theta {flat.mean():.3g} ± {flat.std():.3g}")
    return "\n".join(lines)


def _sum(parts: list[tuple[float, str]]) -> str:
    text = ""
    for value, own in parts:
        if value == 0:
            continue
        own = _factor(own)
        negative = (value < 0) != own.startswith("-")
        sign = ("-" if negative else "") if not text else (" - " if negative else " + ")
        own = own.removeprefix("-")
        times = " * " if own[:1].isdigit() else " "
        text += f"{sign}{abs(value):.3g}{times}{own}"
    return text or "0"


def _factor(own: str) -> str:
    """The formula of a term as what a coefficient stands before: a sum in brackets."""
    own = own.strip()
    return f"({own})" if _is_sum(own) else own


def _is_sum(own: str) -> bool:
    """Is there a plus or a minus between two parts, outside of all brackets?"""
    depth, before = 0, ""
    for index, character in enumerate(own):
        depth += (character in "([{") - (character in ")]}")
        number = before == "e" and own[max(index - 2, 0) : index - 1].isdigit()  # 1e-3
        if character in "+-" and not depth and before not in ("", *"^*/_+-") and not number:
            return True
        before = character if not character.isspace() else before
    return False
