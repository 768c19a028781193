import pytest

from metaplastic import _hints, _registry
from metaplastic._errors import UsageError


def cases():
    for kind, option in (("tasks", "task"), ("estimators", "estimator")):
        for name in _registry.names(kind):
            owner = _registry.load(kind, name)
            for field in _hints._literals(owner):
                yield pytest.param(owner, option, field, id=f"{name}-{field}")


@pytest.mark.parametrize(("owner", "option", "field"), list(cases()))
def test_a_word_that_an_option_does_not_know_is_refused(owner, option, field):
    with pytest.raises(UsageError, match=f"--{option}.{field.replace('_', '-')} nonsense: "):
        owner(**{field: "nonsense"})
