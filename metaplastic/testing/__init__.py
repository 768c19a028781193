"""The conformance kit: does a part of one's own keep its promises?

`check_rule`, `check_learner`, `check_task`, `check_estimator` and `check_model` run every check of
their kind on small problems and say of each failure what is wrong and how to mend it;
`check_member` finds out what it is given, and `metaplastic check FILE.py:NAME` prints the same. A
part that passes works in every part of the library.

>>> from metaplastic.rules.backprop import Backprop
>>> from metaplastic.testing import check_rule
>>> [finding.status for finding in check_rule(Backprop, only=["structure"])]
['passed']
"""

from ._estimator import check_estimator as check_estimator
from ._findings import (
    ConformanceError as ConformanceError,
    Finding as Finding,
    Status as Status,
)
from ._kinds import (
    Kind as Kind,
    assert_conforms as assert_conforms,
    check_member as check_member,
    check_names as check_names,
    kind_of as kind_of,
)
from ._learner import check_learner as check_learner
from ._model import check_model as check_model
from ._rule import check_rule as check_rule
from ._task import check_task as check_task
