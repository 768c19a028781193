"""Biologically plausible learning and the meta-learning of plasticity."""

from importlib.metadata import version as _version

__version__ = _version("metaplastic")
