"""EMNIST balanced: 131,600 grey images of handwritten digits and letters, 28x28, 47 classes.

Classes 0-9 are the digits, 10-35 the capital letters, 36-46 the small letters that look unlike
theirs: a b d e f g h n q r t. The archive holds every image with its two axes exchanged; here they
are as they were written.
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from . import _idx
from ._base import Arrays, DataFile, FormatError, Source

_MEMBER = "gzip/emnist-balanced-{}-idx{}-ubyte.gz"


def _read(folder: Path) -> Arrays:
    path = folder / SOURCE.files[0].name
    parts = []
    try:
        with zipfile.ZipFile(path) as archive:
            for split in ("train", "test"):
                for what, axes in (("images", 3), ("labels", 1)):
                    member = _MEMBER.format(f"{split}-{what}", axes)
                    parts.append(_idx.decode(archive.read(member), axes, f"{path}: {member}"))
    except KeyError as error:
        raise FormatError(f"{path} is another archive ({error.args[0]})") from error
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise FormatError(f"{path} is not a whole zip file ({error})") from error
    x_train, y_train, x_test, y_test = parts
    upright = (np.ascontiguousarray(x.transpose(0, 2, 1)) for x in (x_train, x_test))
    return Arrays(next(upright), y_train, next(upright), y_test)


SOURCE = Source(
    files=(
        DataFile(
            "gzip.zip",
            "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
            561_753_746,
        ),
    ),
    read=_read,
    mirrors=(
        "https://biometrics.nist.gov/cs_links/EMNIST/",
        "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
    ),
    homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
    licence="none stated; the authors ask for the citation",
    citation="Cohen, G., Afshar, S., Tapson, J. & van Schaik, A. (2017). EMNIST: extending MNIST "
    "to handwritten letters. International Joint Conference on Neural Networks, 2921-2926.",
    shape=(28, 28, 1),
    classes=47,
    train=112_800,
    test=18_800,
)
