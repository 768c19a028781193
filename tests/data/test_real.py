"""Real images, from the folder METAPLASTIC_DATA."""

import os

import numpy as np
import pytest

from metaplastic.data import load, load_classes

FOLDER = os.environ.get("METAPLASTIC_DATA")

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(
        not FOLDER, reason="set METAPLASTIC_DATA to a folder with mnist.npz and cifar10.npz"
    ),
]


@pytest.mark.parametrize(
    ("name", "shape", "train"), [("mnist", (28, 28, 1), 60_000), ("cifar10", (32, 32, 3), 50_000)]
)
def test_own_copy_of_a_published_set(monkeypatch, name, shape, train):
    monkeypatch.setenv("METAPLASTIC_DATA", str(FOLDER))
    data = load(name, offline=True)
    assert (data.shape, data.classes, data.scale) == (shape, 10, 255)
    assert (len(data.y_train), len(data.y_test)) == (train, 10_000)
    assert data.x_train.dtype == np.uint8 and data.source.startswith("METAPLASTIC_DATA: ")
    # Means of the training images as published everywhere: 0.1307; 0.4914, 0.4822, 0.4465.
    mean = data.x_train.reshape(-1, shape[-1]).mean(0) / data.scale
    expected = [0.1307] if name == "mnist" else [0.4914, 0.4822, 0.4465]
    np.testing.assert_allclose(mean, expected, atol=1e-3)


def test_drawings_of_omniglot(monkeypatch):
    monkeypatch.setenv("METAPLASTIC_DATA", str(FOLDER))
    train, test = load_classes("omniglot", split="small", side=28)
    assert train.images.shape == (2720, 28, 28, 1) and test.images.shape == (2120, 28, 28, 1)
    # Ink covers a few percent of the paper.
    assert 0.03 < 1 - train.images.mean() / 255 < 0.12
