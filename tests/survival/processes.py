"""The command line in a process of its own, to be killed; and what a run must come to."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

TIMES = {"seconds", "samples_per_second", "lifetimes_per_second", "run"}
"""What two runs that came to the same may differ in."""


_AS_A_MODULE = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('metaplastic', run_name='__main__', alter_sys=True)"
)
"""`python -m metaplastic`, which hears Ctrl-C even if whoever started the tests ignores it."""


class CommandLine:
    """`metaplastic` in a folder; its processes share one cache of compiled programs."""

    def __init__(self, folder: Path, cache: Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def start(self, *argv: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", _AS_A_MODULE, *argv],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: str) -> tuple[int, str, str]:
        """`(status, standard output, standard error)`."""
        with self.start(*argv) as process:
            out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def stop(self, number: signal.Signals, when: Callable[[], bool], *argv: str) -> tuple[int, str]:
        """Start a command and send it a signal as soon as `when` is true; `(status, stderr)`."""
        with self.start(*argv) as process:
            while process.poll() is None and not when():
                time.sleep(0.0005)
            process.send_signal(number)
            _, err = process.communicate(timeout=600)
        return process.returncode, err


def checkpoint_names(run: Path) -> list[str]:
    """Entries of all folders of checkpoints in a run, half-written ones included."""
    walk = os.walk(run)  # it does not mind what disappears meanwhile
    return [name for path, names, _ in walk if path.endswith("checkpoints") for name in names]


def final_arrays(checkpoints: Path) -> dict[str, np.ndarray]:
    """All arrays of the newest checkpoint, by name."""
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(checkpoints.absolute()) as manager:
        step = manager.latest_step()
    with warnings.catch_warnings(), ocp.PyTreeCheckpointer() as checkpointer:
        warnings.simplefilter("ignore")  # it asks for shardings, which bytes do not need
        tree = checkpointer.restore(checkpoints.absolute() / str(step) / "default")
    named = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in named}


def without_times(document: Any) -> Any:
    """A JSON document less what measures time or place."""
    if isinstance(document, dict):
        return {k: without_times(v) for k, v in document.items() if k not in TIMES}
    return [without_times(v) for v in document] if isinstance(document, list) else document


def parts(run: Path) -> Iterator[Path]:
    """Folders of a run that hold checkpoints."""
    yield from sorted(path.parent.relative_to(run) for path in run.rglob("checkpoints"))


def assert_same_run(run: Path, reference: Path) -> None:
    """Bit-identical weights, the same metrics and the same result."""
    assert list(parts(run)) == list(parts(reference))
    for part in parts(run):
        mine = final_arrays(run / part / "checkpoints")
        theirs = final_arrays(reference / part / "checkpoints")
        assert mine.keys() == theirs.keys()
        for name, own in mine.items():
            assert own.tobytes() == theirs[name].tobytes(), f"{part}: {name} differs"
        lines = [(own / part / "metrics.jsonl").read_text() for own in (run, reference)]
        metrics = [[json.loads(line) for line in text.splitlines()] for text in lines]
        assert without_times(metrics[0]) == without_times(metrics[1])
    results = [json.loads((own / "result.json").read_text()) for own in (run, reference)]
    assert without_times(results[0]) == without_times(results[1])
