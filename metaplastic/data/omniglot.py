"""Omniglot: 1,623 hand-drawn characters of 50 alphabets, 20 drawings each, 105x105, 1,623 classes.

Class k is the character whose files are numbered k + 1. As a set for classification the first 15
drawings of a character are for training and the last 5 for testing. For learning from few
examples the classes are split: 30 alphabets against 20 (`background`), or, `small`, the five
alphabets of the official `images_background_small1` against those of `images_background_small2`
that are not among them.
"""

import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import _npz
from ._base import Arrays, DataFile, FormatError, Source
from ._png import read_grey
from ._stacks import stacks_to_arrays

BACKGROUND, EVALUATION = 964, 659
SMALL1 = {"Balinese": 24, "Early_Aramaic": 22, "Greek": 24, "Korean": 40, "Latin": 26}
"""Alphabets of `images_background_small1` with their numbers of characters."""
FIRST = {
    "Balinese": 108,
    "Early_Aramaic": 251,
    "Greek": 394,
    "Japanese_(katakana)": 596,
    "Korean": 643,
    "Latin": 683,
    "Sanskrit": 851,
    "Tagalog": 893,
}
"""Number in the file names of an alphabet's first character."""
SMALL2 = {"Japanese_(katakana)": 47, "Sanskrit": 42, "Tagalog": 17}
"""What `images_background_small2` adds to it: 106 characters. That it has katakana is published;
that Sanskrit and Tagalog are the other two follows from the number, not from a list."""
TRAIN_DRAWINGS = 15
_MEMBER = re.compile(r"(?:.*/)?(?P<character>\d{4})_(?P<drawing>\d{2})\.png")


def characters(alphabets: dict[str, int]) -> tuple[int, ...]:
    """Classes of these alphabets."""
    return tuple(FIRST[name] - 1 + i for name, size in alphabets.items() for i in range(size))


def _read(folder: Path) -> Arrays:
    parts = [_read_archive(folder / file.name) for file in SOURCE.files]
    return stacks_to_arrays(parts, TRAIN_DRAWINGS)


def _read_archive(path: Path) -> npt.NDArray[np.uint8]:
    """The drawings [characters, drawings, height, width], read in memory."""
    images: dict[tuple[int, int], npt.NDArray[np.uint8]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                match = _MEMBER.fullmatch(name)
                if match and "__MACOSX" not in name:
                    number = int(match["character"]), int(match["drawing"])
                    images[number] = read_grey(archive.read(name), f"{path}: {name}")
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise FormatError(f"{path} is not a whole zip file ({error})") from error
    drawings = sorted({drawing for _, drawing in images})
    found = sorted({character for character, _ in images})
    wanted = [(character, drawing) for character in found for drawing in drawings]
    if not images or sorted(images) != wanted or len({i.shape for i in images.values()}) > 1:
        raise FormatError(
            f"{path} does not hold equally many drawings of one size for every character"
        )
    stack = np.stack([images[number] for number in wanted])
    return stack.reshape(len(found), len(drawings), *stack.shape[1:])


def _read_own(path: Path) -> Arrays:
    """`background` [964, 20, 105, 105] and `evaluation` [659, 20, 105, 105], or the usual keys."""
    return stacks_to_arrays(_npz.read_stacks(path, ("background", "evaluation")), TRAIN_DRAWINGS)


SOURCE = Source(
    files=(
        DataFile(
            "images_background.zip",
            "ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
            9_464_212,
        ),
        DataFile(
            "images_evaluation.zip",
            "1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
            6_462_886,
        ),
    ),
    read=_read,
    read_own=_read_own,
    splits={
        "background": (tuple(range(BACKGROUND)), tuple(range(BACKGROUND, BACKGROUND + EVALUATION))),
        "small": (characters(SMALL1), characters(SMALL2)),
    },
    mirrors=(
        "https://github.com/brendenlake/omniglot/raw/master/python/",
        "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
    ),
    homepage="https://github.com/brendenlake/omniglot",
    licence="MIT",
    citation="Lake, B. M., Salakhutdinov, R. & Tenenbaum, J. B. (2015). Human-level concept "
    "learning through probabilistic program induction. Science 350(6266), 1332-1338.",
    shape=(105, 105, 1),
    classes=BACKGROUND + EVALUATION,
    train=24_345,
    test=8_115,
)
