"""The portrait of a meta-trained learner, as its run folder keeps it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from metaplastic._errors import MetaplasticError

FILE = "portrait.npz"

Arrays = Mapping[str, np.ndarray]
Portrait = dict[str, dict[str, np.ndarray]]
"""Arrays by section and name; see `metaplastic.train.meta_portrait`."""


def read_portrait(run: Path) -> Portrait:
    """The portrait in a run's folder; empty where there is none.

    Raises `MetaplasticError` for a file that cannot be read.
    """
    path = run / FILE
    if not path.exists():
        return {}
    found: Portrait = {}
    try:
        with path.open("rb") as own, np.load(own, allow_pickle=False) as file:
            for name in file.files:
                section, _, rest = name.partition("/")
                found.setdefault(section, {})[rest] = file[name]
    except Exception as error:  # zip, zlib and NumPy raise many kinds
        raise MetaplasticError(
            f"{path} is damaged ({type(error).__name__}): delete it, or restore it from a copy"
        ) from error
    return found
