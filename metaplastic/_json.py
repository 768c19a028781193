"""Strict JSON: no NaN, and numbers of NumPy and JAX become plain ones."""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def dumps(document: Any, *, indent: int | None = None) -> str:
    """The document as JSON; values that are not finite become null."""
    return json.dumps(plain(document), indent=indent, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The value made of dictionaries, lists, strings, numbers, booleans and None alone.

    Raises `TypeError` for what has no such form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):  # arrays and scalars of NumPy and JAX
        return plain(value.tolist())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    raise TypeError(f"{type(value).__name__} has no JSON form")
