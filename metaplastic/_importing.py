"""Imports a file that a user names, and says in one sentence what is wrong with it."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from metaplastic import _source
from metaplastic._errors import MetaplasticError, UsageError


def import_file(path: Path, module: str | None = None) -> ModuleType:
    """Import `module`, or, where it belongs to no package, the file itself.

    Raises `UsageError` where the file does not parse or its own code fails.
    """
    _source.parse(path)  # says what is wrong with a file that does not parse
    try:
        return importlib.import_module(module) if module else _import_path(path)
    except MetaplasticError:
        raise
    except Exception as error:
        message = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{path}{_last_line(error, path)} fails while it is imported: "
            f"{type(error).__name__}: {message}"
        ) from error


def _import_path(path: Path) -> ModuleType:
    digest = hashlib.sha256(f"{path}:{path.stat().st_mtime_ns}".encode()).hexdigest()[:12]
    name = f"metaplastic_user_{digest}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are made
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _last_line(error: Exception, path: Path) -> str:
    """`, line 3`: the last line of the file that the error passed through."""
    line, trace = "", error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f", line {trace.tb_lineno},"
        trace = trace.tb_next
    return line
