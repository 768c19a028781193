"""Runs larger than memory are refused before anything is made."""

import jax
import jax.numpy as jnp
import pytest

from metaplastic import _memory
from metaplastic._errors import UsageError
from metaplastic._memory import require_memory
from metaplastic.cli.__main__ import main

SHAPES = {"w": jax.ShapeDtypeStruct((1024, 256), jnp.float32), "b": None}


def test_a_state_and_its_successor_have_to_fit(monkeypatch):
    monkeypatch.setattr(_memory, "memory", lambda: 2 * 2**20)
    require_memory(SHAPES, fix="--hidden")
    monkeypatch.setattr(_memory, "memory", lambda: 2 * 2**20 - 1)
    with pytest.raises(UsageError, match=r"take 0\.00195 GiB, and there are .*smaller --hidden"):
        require_memory(SHAPES, fix="--hidden")
    monkeypatch.setattr(_memory, "memory", lambda: None)
    require_memory(SHAPES, fix="--hidden")


def test_the_machine_has_some():
    assert 2**28 < (_memory.memory() or 0) < 2**60


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (["train", "backprop", "--hidden", "10000000", "10000000", "--epochs", "1"], "--hidden"),
        (
            ["meta", "online", "--task", "sinusoid", "--learner.hidden", "10000000", "10000000"],
            "--learner.hidden",
        ),
    ],
)
def test_networks_that_no_machine_holds_are_one_sentence(argv, option, tmp_path, capsys):
    assert main([*argv, "--out", str(tmp_path / "run"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "TiB, and there are" in said and f"choose smaller {option}" in said
