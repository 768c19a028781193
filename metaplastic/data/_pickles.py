"""Pickles are never read: what to do with one instead."""

from collections.abc import Sequence
from pathlib import Path

from .._errors import DataError

SUFFIXES = (".pkl", ".pickle", ".p")
MINI_IMAGENET = "mini-imagenet-cache-*.pkl"
"""The three files in which mini-ImageNet is passed around."""
_CONVERT = (
    "import pickle, numpy as np; d = {k: pickle.load(open(f'mini-imagenet-cache-{k}.pkl', 'rb')) "
    "for k in ('train', 'val', 'test')}; np.savez('mini_imagenet.npz', **{k: np.stack("
    "[v['image_data'][i] for i in v['class_dict'].values()]) for k, v in d.items()})"
)


def refusal(path: Path, keys: Sequence[str]) -> DataError:
    """What to say of a pickle where an `.npz` with arrays `keys` is wanted."""
    if path.match(MINI_IMAGENET):
        return DataError(
            f"{path} is a pickle, which can run any code while it is read: where you trust it, "
            f'convert the three in {path.parent} with python -c "{_CONVERT}"'
        )
    return DataError(
        f"{path} is a pickle, which can run any code while it is read: where you trust it, "
        f"load it yourself and write its arrays with np.savez('{path.stem}.npz', "
        f"{', '.join(f'{key}=...' for key in keys)})"
    )
