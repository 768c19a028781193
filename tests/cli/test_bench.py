import json
import sys

import pytest

from metaplastic import _registry
from metaplastic.cli.__main__ import main

_ROW = """
def run():
    import jax

    {before}
    count, threads = jax.local_device_count(), os.environ.get("NPROC")
    return [{{"comparison": f"{{count}} devices, {{threads}} threads", "before": 1, "after": 2}}]
"""


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    """Writes a benchmark that says where it runs, and makes it the only one of all."""
    monkeypatch.setenv("METAPLASTIC_PLUGINS", str(tmp_path))
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    (tmp_path / "benchmarks").mkdir()

    def write(head: str = "", before: str = ""):
        text = '"""Where it runs."""\n\nimport os\n\n' + head + "\n" + _ROW.format(before=before)
        (tmp_path / "benchmarks" / "whereabouts.py").write_text(text)
        monkeypatch.setattr(_registry, "names", lambda kind: ["whereabouts"])

    return write


@pytest.mark.parametrize(
    ("head", "where"),
    [("", "1 devices, None threads"), ("DEVICES = 2\nTHREADS = 1\n", "2 devices, 1 threads")],
)
def test_each_has_a_process_with_what_it_asks_for(benchmark, capsys, head, where):
    benchmark(head)
    assert main(["bench", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == [
        {"benchmark": "whereabouts", "comparison": where, "before": 1, "after": 2}
    ]
    assert "jax" in document["environment"]["versions"]
    assert document["environment"]["argv"] == sys.argv


def test_one_that_lacks_an_extra_is_left_out(benchmark, capsys):
    wanted = "from metaplastic._errors import require_extra; require_extra('nowhere', 'bench')"
    benchmark(before=wanted)
    assert main(["bench"]) == 0
    assert "metaplastic[bench]" in (out := capsys.readouterr().out)
    assert out.startswith("whereabouts: left out (") and "error:" not in out


def test_without_a_single_one_the_document_is_whole(benchmark, capsys):
    benchmark(before="from metaplastic._errors import require_extra; require_extra('no', 'bench')")
    assert main(["bench", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"rows", "environment"}


def test_one_that_breaks_is_named(benchmark, capsys):
    benchmark(before="raise RuntimeError('lightning')")
    assert main(["bench"]) == 1
    message = capsys.readouterr().err
    assert "the benchmark whereabouts failed" in message and "lightning" in message
