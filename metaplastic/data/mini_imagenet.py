"""mini-ImageNet: 100 classes of ImageNet with 600 colour images each, 84x84, 100 classes.

Its images cannot be passed on, so it must be supplied: a folder `mini_imagenet` in METAPLASTIC_DATA
with one folder a class (n01532829/…), or a file `mini_imagenet.npz` with uint8 arrays `train`
[64, 600, 84, 84, 3], `val` [16, …] and `test` [20, …]. The split of the classes is that of Ravi &
Larochelle (2017): the first 64 for meta-training, the next 16 for validation, the last 20 for
meta-testing. As a set for classification the first 500 images of a class are for training.
"""

import os
from pathlib import Path

import numpy as np

from .._errors import DataError
from . import _npz
from ._base import Arrays, Source
from ._folder import list_classes, read_folder
from ._pickles import MINI_IMAGENET, refusal
from ._stacks import stacks_to_arrays

FILE = "mini_imagenet.npz"
SIDE = 84
TRAIN_IMAGES = 500
_TRAIN = """
n01532829 n01558993 n01704323 n01749939 n01770081 n01843383 n01910747 n02074367 n02089867 n02091831
n02101006 n02105505 n02108089 n02108551 n02108915 n02111277 n02113712 n02120079 n02165456 n02457408
n02606052 n02687172 n02747177 n02795169 n02823428 n02966193 n03017168 n03047690 n03062245 n03207743
n03220513 n03337140 n03347037 n03400231 n03476684 n03527444 n03676483 n03838899 n03854065 n03888605
n03908618 n03924679 n03998194 n04067472 n04243546 n04251144 n04258138 n04275548 n04296562 n04389033
n04435653 n04443257 n04509417 n04515003 n04596742 n04604644 n04612504 n06794110 n07584110 n07697537
n07747607 n09246464 n13054560 n13133613
"""
_VALIDATION = """
n01855672 n02091244 n02114548 n02138441 n02174001 n02950826 n02971356 n02981792 n03075370 n03417042
n03535780 n03584254 n03770439 n03773504 n03980874 n09256479
"""
_TEST = """
n01930112 n01981276 n02099601 n02110063 n02110341 n02116738 n02129165 n02219486 n02443484 n02871525
n03127925 n03146219 n03272010 n03544143 n03775546 n04146614 n04149813 n04418357 n04522168 n07613480
"""
TRAIN, VALIDATION, TEST = (tuple(text.split()) for text in (_TRAIN, _VALIDATION, _TEST))


def _read(folder: Path) -> Arrays:
    """What lies in the cache; there it must have been put by hand."""
    if (folder / FILE).is_file():
        return _read_own(folder / FILE)
    if folder.is_dir() and list_classes(folder):
        return _read_own(folder)
    own = os.environ.get("METAPLASTIC_DATA")
    for place in (folder, Path(own).expanduser()) if own else (folder,):
        _refuse_pickles(place)
    raise DataError(
        "mini_imagenet has no address to be downloaded from: set METAPLASTIC_DATA to a folder with "
        "a folder mini_imagenet of one folder a class (n01532829/…), or with a file "
        "mini_imagenet.npz of uint8 arrays train [64, 600, 84, 84, 3], val [16, …] and test [20, …]"
    )


def _read_own(path: Path) -> Arrays:
    if path.is_dir() and (path / FILE).is_file():
        path = path / FILE
    if path.is_dir():
        if not list_classes(path):
            _refuse_pickles(path)
        return _read_classes(path)
    stacks = _npz.read_stacks(path, ("train", "val", "test"))
    counts = tuple(len(stack) for stack in stacks)
    if counts != (len(TRAIN), len(VALIDATION), len(TEST)):
        raise DataError(
            f"{path} holds {counts[0]}, {counts[1]} and {counts[2]} classes in train, val and "
            f"test, and the split of Ravi & Larochelle has 64, 16 and 20: write it again"
        )
    return stacks_to_arrays(stacks, min(TRAIN_IMAGES, min(s.shape[1] for s in stacks) - 1))


def _refuse_pickles(place: Path) -> None:
    """Raise `DataError` where the files lie that mini-ImageNet is passed around in."""
    if pickles := sorted(place.glob(MINI_IMAGENET)):
        raise refusal(pickles[0], ("train", "val", "test"))


def _read_classes(path: Path) -> Arrays:
    folder = read_folder(path, SIDE)
    last = [name.rpartition("/")[2] for name in folder.names]
    wanted = [*TRAIN, *VALIDATION, *TEST]
    if missing := [name for name in wanted if name not in last]:
        raise DataError(
            f"{path} lacks {len(missing)} of the 100 classes of mini-ImageNet, such as "
            f"{missing[0]}: give each class a folder with that name, or use the folder by its path"
        )
    stacks = [folder.x[folder.y == last.index(name)] for name in wanted]
    kept = [min(TRAIN_IMAGES, len(stack) - 1) for stack in stacks]
    classes = np.arange(len(stacks))
    return Arrays(
        np.concatenate([s[:k] for s, k in zip(stacks, kept, strict=True)]),
        np.repeat(classes, kept),
        np.concatenate([s[k:] for s, k in zip(stacks, kept, strict=True)]),
        np.repeat(classes, [len(s) - k for s, k in zip(stacks, kept, strict=True)]),
    )


SOURCE = Source(
    files=(),
    read=_read,
    read_own=_read_own,
    splits={
        "official": (tuple(range(64)), tuple(range(80, 100))),
        "validation": (tuple(range(64)), tuple(range(64, 80))),
    },
    homepage="https://www.image-net.org/",
    licence="ImageNet's terms of access: for research and education, not to be passed on",
    citation="Vinyals, O., Blundell, C., Lillicrap, T., Kavukcuoglu, K. & Wierstra, D. (2016). "
    "Matching networks for one shot learning. NeurIPS; the split: Ravi, S. & Larochelle, H. "
    "(2017). Optimization as a model for few-shot learning. ICLR.",
    shape=(SIDE, SIDE, 3),
    classes=100,
    train=50_000,
    test=10_000,
)
