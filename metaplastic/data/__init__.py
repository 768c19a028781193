"""Data sets: shipped, published (downloaded, checked, cached) and one's own `.npz` files.

A published data set is one module of this package: its name is the module's, the first line of its
docstring describes it, and its constant `SOURCE` says where the files are and how to read them.
Nothing here imports JAX.
"""

from ._base import (
    Arrays as Arrays,
    DataFile as DataFile,
    Dataset as Dataset,
    FormatError as FormatError,
    Source as Source,
)
from ._check import as_dataset as as_dataset
from ._classes import ImageClasses as ImageClasses, load_classes as load_classes
from ._fetch import FileReport as FileReport, cache_folder as cache_folder
from ._load import (
    Status as Status,
    fetch as fetch,
    load as load,
    names as names,
    source as source,
    status as status,
    title as title,
    verify as verify,
)
from ._shared_classes import by_class as by_class, load_shared_classes as load_shared_classes
from ._split import Part as Part, split_validation as split_validation
