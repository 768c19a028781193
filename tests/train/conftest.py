"""Small data sets for the trainer, and compilation that suits them."""

import pytest
from small_data import image_dataset, small_dataset

from metaplastic.data import Dataset


@pytest.fixture
def small() -> Dataset:
    return small_dataset()


@pytest.fixture
def images() -> Dataset:
    return image_dataset()
