"""Checkpoints of a run: whole or absent, the newest two kept."""

import asyncio
import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from .._errors import MetaplasticError, require_extra
from .._files import storage_errors
from . import inventory

_KEPT = 2
_FULL = re.compile(r"No space left|RESOURCE_EXHAUSTED|Disk quota|File too large")


class Checkpoints:
    """States of a run by step, in `folder`; written by Orbax, which renames whole folders."""

    def __init__(self, folder: Path, *, run: Path):
        require_extra("orbax.checkpoint", "train")
        import orbax.checkpoint as ocp

        self.run = run
        self.folder = folder.absolute()
        self._ocp = ocp
        logging.getLogger("asyncio").addFilter(_is_not_of_orbax)
        _hide_late_callbacks()
        with self._storage():
            self._manager = ocp.CheckpointManager(
                self.folder,
                options=ocp.CheckpointManagerOptions(
                    max_to_keep=_KEPT, enable_async_checkpointing=False, create=True
                ),
            )

    def save(self, step: int, state: Any) -> None:
        """Write the state of a step; the checkpoints before it stay until it is whole."""
        if step in self._manager.all_steps():
            return
        leaves = _leaves(state)
        with self._storage():
            self._manager.save(step, args=self._ocp.args.StandardSave(leaves))
            inventory.write(self.folder / str(step), leaves, run=self.run)

    def latest(self) -> int | None:
        """Step of the newest whole checkpoint."""
        return self._manager.latest_step()

    def restore(self, step: int, like: Any) -> Any:
        """The state of a step, shaped like `like`. Raises `MetaplasticError` where the
        checkpoint is damaged or was written for another network or rule."""
        wanted = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), _leaves(like)
        )
        path = self.folder / str(step)
        advice = "delete that folder to go on from the one before it"
        complaint = inventory.complaint(path, wanted)
        if complaint:
            raise MetaplasticError(f"the checkpoint {path} cannot be used ({complaint}): {advice}")
        try:
            with _quiet_orbax():
                found = self._manager.restore(step, args=self._ocp.args.StandardRestore(wanted))
        except Exception as error:  # Orbax and TensorStore raise many kinds
            raise MetaplasticError(
                f"the checkpoint {path} cannot be read ({_first_line(error)}): {advice}"
            ) from error
        flat, structure = jax.tree.flatten(like)
        leaves = [
            jax.random.wrap_key_data(found[name]) if _is_key(leaf) else jnp.asarray(found[name])
            for name, leaf in zip(_names(like), flat, strict=True)
        ]
        return jax.tree.unflatten(structure, leaves)

    @contextlib.contextmanager
    def _storage(self) -> Iterator[None]:
        """Turn failures of storage, whoever names them, into one sentence."""
        try:
            with storage_errors(self.folder, run=self.run), _quiet_orbax():
                yield
        except MetaplasticError:
            raise
        except Exception as error:
            if _interrupted(error):
                raise KeyboardInterrupt from error
            if _FULL.search(str(error)):
                raise MetaplasticError(
                    f"disk full while writing a checkpoint to {self.folder}: free some space, "
                    f"then `metaplastic resume {self.run}`"
                ) from error
            raise MetaplasticError(
                f"a checkpoint could not be written to {self.folder}: {_first_line(error)}"
            ) from error


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[None]:
    """Orbax reports every step of a save through `absl.logging`; users need none of it. Threads
    of a save that fails report after it too, so that they stay unheard from then on."""
    from absl import logging as absl_logging

    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.FATAL)
    try:
        yield
    except BaseException:
        absl_logging.get_absl_logger().addFilter(_is_not_from_orbax)
        raise
    finally:
        absl_logging.set_verbosity(level)


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    """Of a save that fails, asyncio would log every piece besides what we say of the whole."""
    error = record.exc_info[1] if record.exc_info else None
    return "orbax" not in record.getMessage() and not _FULL.search(str(error))


def _hide_late_callbacks() -> None:
    """Leave out what TensorStore prints where a write ends after Orbax has closed its loop."""
    shown = sys.unraisablehook
    if getattr(shown, "hides_late_callbacks", False):
        return

    def hook(raised: "sys.UnraisableHookArgs") -> None:
        trace = raised.exc_traceback
        outermost = trace.tb_frame.f_code.co_name if trace else ""  # called from C++, no one's code
        late = (
            outermost == "call_soon_threadsafe" and str(raised.exc_value) == "Event loop is closed"
        )
        if not late:
            shown(raised)

    hook.hides_late_callbacks = True
    sys.unraisablehook = hook


def _is_not_from_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in Path(record.pathname).parts


def _names(state: Any) -> list[str]:
    return [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(state)]


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _leaves(state: Any) -> dict[str, jax.Array]:
    """Arrays by path; keys of random numbers as their data."""
    return {
        name: jax.random.key_data(leaf) if _is_key(leaf) else leaf
        for name, leaf in zip(_names(state), jax.tree.leaves(state), strict=True)
    }


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C stopped the save, and what we see is its tidying up that failed."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            return True
        error = error.__context__
    return False


def _first_line(error: Exception) -> str:
    text = str(error).partition(" [tensorstore_spec=")[0].strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else ''}"
