"""Small data sets for the trainer, and compilation that suits them."""

import jax
import pytest
from small_data import image_dataset, small_dataset

from metaplastic.data import Dataset


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """Many small programs are compiled here, and none runs long enough to repay more."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def optimised():
    """Compile as users do, where it is the compiled numbers that count."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def small() -> Dataset:
    return small_dataset()


@pytest.fixture
def images() -> Dataset:
    return image_dataset()
