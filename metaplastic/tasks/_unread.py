"""Tasks that need data, before they have read them: everything but `load` says so."""

import equinox as eqx

from .._errors import UsageError
from .._types import Key
from .base import AbstractTask, Episode


class AbstractUnread(AbstractTask):
    """A task whose data are read by `load`, which gives a task that has them."""

    data: eqx.AbstractVar[str]

    @property
    def input_shape(self) -> tuple[int, ...]:
        raise self._unread()

    @property
    def outputs(self) -> int:
        raise self._unread()

    def sample(self, key: Key) -> Episode:
        raise self._unread()

    def _unread(self) -> UsageError:
        name = type(self).__module__.rpartition(".")[2]
        return UsageError(f"the task {name} has not read {self.data} yet: call load() first")
