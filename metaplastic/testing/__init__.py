"""The conformance kit: does a rule, or a network, of one's own keep its promises?

`check_rule` runs every check on small networks and says of each failure what is wrong and how to
mend it; `metaplastic check FILE.py:NAME` prints the same. A rule that passes works in every part
of the library.

>>> from metaplastic.rules.backprop import Backprop
>>> from metaplastic.testing import check_rule
>>> [finding.status for finding in check_rule(Backprop, only=["structure"])]
['passed']
"""

from ._findings import (
    ConformanceError as ConformanceError,
    Finding as Finding,
    Status as Status,
)
from ._model import check_model as check_model
from ._rule import (
    assert_conforms as assert_conforms,
    check_names as check_names,
    check_rule as check_rule,
)
