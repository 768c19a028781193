"""A sum of terms with their coefficients, written as a formula for people."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def formula(terms: Mapping[str, str], coefficients: Mapping[str, Any], granularity: str) -> str:
    """`dW = -0.0561 e x^T + 0.0711 e d^T + ...`, terms in the order of their names.

    `terms`: each term's own formula by name. Coefficients of every layer give a line a layer, those
    of every synapse are told by their mean and standard deviation.
    """
    if granularity == "global":
        return "dW = " + _sum([(float(np.asarray(coefficients[n])), f) for n, f in terms.items()])
    if granularity == "layer":
        values = {name: np.asarray(coefficients[name], np.float64) for name in terms}
        layers = len(next(iter(values.values())))
        return "\n".join(
            f"dW_{index + 1} = " + _sum([(float(values[n][index]), f) for n, f in terms.items()])
            for index in range(layers)
        )
    lines = ["dW = sum of, with a coefficient for every synapse:"]
    for name, own in terms.items():
        flat = np.concatenate([np.ravel(leaf) for leaf in coefficients[name]]).astype(np.float64)
        lines.append(f"  theta * {own}, theta {flat.mean():.3g} ± {flat.std():.3g}")
    return "\n".join(lines)


def _sum(parts: list[tuple[float, str]]) -> str:
    text = ""
    for value, own in parts:
        if value == 0:
            continue
        negative = (value < 0) != own.startswith("-")
        sign = ("-" if negative else "") if not text else (" - " if negative else " + ")
        text += f"{sign}{abs(value):.3g} {own.removeprefix('-')}"
    return text or "0"
