"""Biologically plausible learning and the meta-learning of plasticity.

Importing this package imports neither JAX nor anything else that is slow: the names below are
loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .learners.base import AbstractLearner as AbstractLearner
    from .learners.online import OnlineLearner as OnlineLearner, online as online
    from .meta.base import AbstractMetaGradient as AbstractMetaGradient
    from .models import mlp as mlp
    from .report.records import RunFolder as RunFolder
    from .rules.base import AbstractRule as AbstractRule
    from .sklearn import PlasticClassifier as PlasticClassifier
    from .tasks.base import AbstractTask as AbstractTask
    from .testing import (
        check_estimator as check_estimator,
        check_learner as check_learner,
        check_rule as check_rule,
        check_task as check_task,
    )
    from .train import (
        MetaOptions as MetaOptions,
        MetaTrainer as MetaTrainer,
        Trainer as Trainer,
        TrainOptions as TrainOptions,
        fit as fit,
        meta_fit as meta_fit,
    )

_LAZY = {
    "AbstractLearner": "metaplastic.learners.base",
    "AbstractMetaGradient": "metaplastic.meta.base",
    "AbstractRule": "metaplastic.rules.base",
    "AbstractTask": "metaplastic.tasks.base",
    "MetaOptions": "metaplastic.train",
    "MetaTrainer": "metaplastic.train",
    "OnlineLearner": "metaplastic.learners.online",
    "PlasticClassifier": "metaplastic.sklearn",
    "RunFolder": "metaplastic.report.records",
    "TrainOptions": "metaplastic.train.options",
    "Trainer": "metaplastic.train",
    "check_estimator": "metaplastic.testing",
    "check_learner": "metaplastic.testing",
    "check_rule": "metaplastic.testing",
    "check_task": "metaplastic.testing",
    "fit": "metaplastic.train",
    "meta_fit": "metaplastic.train",
    "mlp": "metaplastic.models",
    "online": "metaplastic.learners.online",
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
