"""Digits: 1,797 grey images of handwritten digits, 8x8, 10 classes; shipped with the package.

The test file of "Optical Recognition of Handwritten Digits" (UCI, CC BY 4.0), as scikit-learn's
`load_digits` gives it: counts 0..16 of ink in blocks of 4x4 pixels. It is stored in the order of
`numpy.random.default_rng(0).permutation(1797)`, the first 1,437 for training and 360 for testing.
"""

from pathlib import Path

from . import _npz
from ._base import Arrays, DataFile, Source


def _read(folder: Path) -> Arrays:
    return _npz.read_arrays(folder / "digits.npz")


SOURCE = Source(
    files=(
        DataFile(
            "digits.npz",
            "6f362a9d6155261648dbab1e8c2559846026d52164294b280aa503a8719f64bb",
            47_122,
        ),
    ),
    read=_read,
    shipped=True,
    homepage="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    licence="CC BY 4.0",
    citation="Alpaydin, E. & Kaynak, C. (1998). Optical recognition of handwritten digits. "
    "UCI Machine Learning Repository, doi:10.24432/C50P49.",
    shape=(8, 8, 1),
    classes=10,
    train=1_437,
    test=360,
    scale=16.0,
)
