import pytest

from metaplastic.benchmarks._synthetic import images
from metaplastic.benchmarks._timing import row, seconds_each
from metaplastic.cli.__main__ import main


def test_candidates_take_turns_after_a_round_of_warming_up():
    calls = []
    found = seconds_each({name: lambda n=name: calls.append(n) for name in "ab"}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [len(own) for own in found.values()] == [2, 2]


def test_ratio_is_the_median_of_the_rounds():
    own = row("x", [1.0, 2.0, 9.0], [2.0, 2.0, 3.0], "<= 1")
    assert own["ratio"] == 1.0
    assert (own["ratio_min"], own["ratio_max"]) == (0.5, 3.0)
    assert own["ours_ms"] == pytest.approx(2000)


def test_made_up_images_have_every_class():
    data = images(20, 8, 8)
    assert set(data.y_train) == set(data.y_test) == set(range(10))
    assert data.shape == (8, 8, 1)


def test_peer_that_is_not_installed_is_named(capsys, monkeypatch):
    real = __import__("importlib.util").util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == "torch" else real(name, *a)
    )
    assert main(["bench", "resnet20"]) == 1
    assert "pip install 'metaplastic[bench]'" in capsys.readouterr().err


def test_unknown_benchmark(capsys):
    assert main(["bench", "lenett"]) == 2
    assert "did you mean 'lenet'?" in capsys.readouterr().err
