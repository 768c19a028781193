"""Numbers of a task's options that count something, checked where the task is made."""

from typing import Any

from .._errors import UsageError


def check_counts(task: Any, *names: str) -> None:
    """Raise `UsageError` for a field of these that is below 1; None passes."""
    for name in names:
        value = getattr(task, name)
        if value is not None and value < 1:
            raise UsageError(f"--task.{name} {value}: at least 1 is needed")
