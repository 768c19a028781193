"""Biologically plausible learning and the meta-learning of plasticity.

Importing this package imports neither JAX nor anything else that is slow: the names below are
loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import mlp as mlp
    from .report.records import RunFolder as RunFolder
    from .rules.base import AbstractRule as AbstractRule
    from .sklearn import PlasticClassifier as PlasticClassifier
    from .testing import check_rule as check_rule
    from .train import Trainer as Trainer, TrainOptions as TrainOptions, fit as fit

_LAZY = {
    "AbstractRule": "metaplastic.rules.base",
    "PlasticClassifier": "metaplastic.sklearn",
    "RunFolder": "metaplastic.report.records",
    "TrainOptions": "metaplastic.train.options",
    "Trainer": "metaplastic.train",
    "check_rule": "metaplastic.testing",
    "fit": "metaplastic.train",
    "mlp": "metaplastic.models",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("metaplastic")
    if name not in _LAZY:
        raise AttributeError(f"module 'metaplastic' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*_LAZY, "__version__"]
