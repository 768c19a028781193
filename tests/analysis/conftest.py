"""Compile fast: these tests ask whether numbers are right, on networks of a few units."""

import jax
import pytest


@pytest.fixture(autouse=True)
def quick_compilation():
    """Leave out the compiler passes that only make programs faster."""
    name = "jax_disable_most_optimizations"
    jax.config.update(name, True)
    yield
    jax.config.update(name, False)
