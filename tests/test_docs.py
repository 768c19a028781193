"""What README and docs say is true: their code runs, their links and commands exist."""

import ast
import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metaplastic import _registry, data
from metaplastic.benchmarks import compositions
from metaplastic.cli.__main__ import commands

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from _ext import coverage, pages, results, sources  # noqa: E402

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "generated" not in path.parts),
]
BLOCK = re.compile(r"^(`{3,})(\w+)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
WITH_CODE = [
    "README.md",
    *(f"docs/{name}.md" for name in ("tour", "data", "meta", "analysis", "extending")),
]


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    found = BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [match[3] for match in found if match[2] == language]


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks(ROOT / page, "python")
    assert code
    # In a process of its own: as a reader runs it, without the tests' strictness.
    (tmp_path / "page.py").write_text("\n\n".join(code), encoding="utf-8")
    done = subprocess.run([sys.executable, "page.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _rule_of(page: str) -> str:
    return next(block for block in blocks(ROOT / page, "python") if "(AbstractRule)" in block)


def test_the_rule_in_the_readme_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = _rule_of("README.md")
    Path("broadcast.py").write_text(source, encoding="utf-8")
    from metaplastic import Trainer, TrainOptions, fit
    from metaplastic.rules.shallow import Shallow

    options = TrainOptions(hidden=(16,), epochs=6, alignment=False)
    accuracy = {}
    for rule in (_registry.load("rules", "./broadcast.py")(), Shallow()):
        trainer = Trainer(rule, data.load("digits"), options)
        record = fit(trainer, [0], [options.lr]).records[-1]
        accuracy[type(rule).__name__] = record["test_accuracy"][0]
    assert accuracy["SignBroadcast"] > accuracy["Shallow"] + 0.1


@pytest.mark.parametrize("page", ["README.md", "docs/extending.md"])
def test_the_rule_of_a_page_conforms(page, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(_rule_of(page), encoding="utf-8")
    from metaplastic.testing import assert_conforms

    quick = ["fields", "docstring", "declaration", "structure", "state", "dtype", "batch-mean"]
    assert_conforms(_registry.load("rules", str(path)), only=quick)


def test_the_table_in_the_readme_is_that_of_the_recorded_run():
    document = json.loads((ROOT / "docs/results/quick/pepita.json").read_text(encoding="utf-8"))
    recorded = sorted(
        f"{row['ours']['mean']:.2f} ± {row['ours']['std']:.2f}" for row in document["rows"]
    )
    shown = re.findall(r"\| (\d+\.\d\d ± \d+\.\d\d) \|", (ROOT / "README.md").read_text("utf-8"))
    assert sorted(shown) == recorded


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_repository_exist(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    own = [target for target in targets if not re.match(r"https?://|#", target)]
    missing = [t for t in own if not (page.parent / t.partition("#")[0]).exists()]
    assert not missing


_PARTS = {
    "compare": {"--learner", "--rule", "--task", "--estimator"},
    "meta": {"--rule", "--task", "--estimator"},
    "train": {"--rule-file"},
    "transfer": {"--task", "--suite"},
}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_exist_with_their_options(page):
    known = _options()
    for line in "\n".join(blocks(page, "console")).splitlines():
        words = re.sub(r"\s+#.*", "", line).split()
        while words and re.match(r"[A-Z_]+=", words[0]):
            words = words[1:]
        if not words or words[0] not in ("metaplastic", "make"):
            continue
        if words[0] == "make":
            makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
            continue
        assert words[1] in commands(), line
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        plain = {option for option in options if "." not in option}
        parts = _PARTS.get(words[1], set())
        assert plain <= known | parts, f"{line}: {plain - known}"


@functools.cache
def _options() -> set[str]:
    """All options of all commands, as the generated page lists them."""
    return set(re.findall(r"--[a-z][a-z-]*", pages.commands.sections()))


def test_every_message_of_the_faq_is_one_of_the_package():
    literals = "\0".join(_literals())
    text = (ROOT / "docs/faq.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (`.+`)$", text, re.MULTILINE)
    for message in re.findall(r"`([^`]+)`", "\n".join(headings)):
        for fragment in message.split("…"):
            words = fragment.strip(" :")
            assert words in literals, f"{message}: no {words!r} in the package"


def _literals() -> list[str]:
    """Literal strings of the package, parts of f-strings included."""
    return [
        node.value
        for path in (ROOT / "metaplastic").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


# The check of public names


def test_every_public_name_and_member_has_a_docstring():
    names = [*coverage.public_names(pages.PACKAGE), *coverage.members()]
    assert len(names) > 100
    assert not coverage.undocumented(names, {own.full for own in names})


@pytest.fixture
def package(tmp_path):
    """A package with a name of each sort."""
    folder = tmp_path / "small"
    (folder / "tools").mkdir(parents=True)
    (folder / "__init__.py").write_text("from .tools import cut as cut\n")
    (folder / "tools/__init__.py").write_text(
        "from ._cut import bare as bare, cut as cut, gone as gone, Size as Size\n"
        "from ._cut import private\n"
    )
    (folder / "tools/_cut.py").write_text(
        'Size = int\n"""A length."""\n'
        'def cut(x):\n    """Cut."""\n'
        "def bare(x):\n    return x\n"
        "def private(x):\n    return x\n"
    )
    return sources.Package(folder)


def test_a_module_that_re_exports_shows_its_own_names_too():
    shown = [own.full for own in sources.Package(ROOT / "metaplastic").public("rules.base")]
    assert "metaplastic.rules.base.AbstractRule" in shown
    assert "metaplastic.rules.base.Aux" in shown and len(set(shown)) == len(shown)


def test_a_name_without_docstring_or_page_is_told(package):
    names = coverage.public_names(package)
    assert {own.full for own in names} == {
        *("small.cut", "small.tools.cut", "small.tools.bare"),
        *("small.tools.gone", "small.tools.Size"),
    }
    told = coverage.undocumented(names, {"small.cut", "small.tools.bare", "small.tools.Size"})
    about = {sentence.partition(" ")[0]: sentence for sentence in told}
    assert set(about) == {"small.tools.bare", "small.tools.gone", "small.tools.cut"}
    assert "has no docstring" in about["small.tools.bare"]
    assert "defined nowhere" in about["small.tools.gone"]
    assert "on no page" in about["small.tools.cut"]


def test_a_rule_of_ones_own_gets_a_page(tmp_path, monkeypatch):
    source = _rule_of("README.md")
    (tmp_path / "broadcast.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv(_registry.PLUGINS, str(tmp_path))
    assert "broadcast" in _registry.names("rules")
    page = pages.rule_page("broadcast")
    assert "delta_l = (e S_l) * f'(a_l) / 10" in page
    assert "`--rule.loss`" in page and "global error vector" in page
    assert "broadcast.SignBroadcast" in {own.full for own in coverage.members()}


def test_reported_numbers_stand_beside_what_they_are():
    section = pages.paper_section("bohp")
    assert "| reported |" in section and "reported, %" not in section
    assert "| episodes to an error below 0.1 |" in section


def test_recorded_documents_become_tables(tmp_path):
    (tmp_path / "full").mkdir()
    row = {
        "experiment": "fc",
        "setting": "BP",
        "metric": "test accuracy, %",
        "ours": {"mean": 98.5, "std": 0.1, "n": 3},
        "paper": {"value": 98.6, "std": 0.1, "source": "s", "provenance": "source"},
    }
    about = {"title": "A run", "device": "a machine"}
    document = {"about": about, "paper": "pepita", "scale": "full", "rows": [row]}
    (tmp_path / "full" / "a.json").write_text(json.dumps(document), encoding="utf-8")
    made = results.sections(tmp_path)
    assert "### A run" in made["results_full"] and "a machine" in made["results_full"]
    assert "98.50 ± 0.10" in made["results_full"] and "reproduced" in made["results_full"]
    assert made["results_quick"].startswith("None is recorded")


def test_a_table_of_compositions_says_why_not(tmp_path):
    (tmp_path / "meta").mkdir()
    rows = [
        {"rule": "a", "estimator": "u", "before": 8.0, "after": 4.123},
        {"rule": "a", "estimator": "v", "sentence": "never"},
        {"rule": "b", "estimator": "u", "sentence": "nowhere"},
        {"rule": "b", "estimator": "v", "sentence": "never"},
    ]
    (tmp_path / "meta" / "a.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    made = results.sections(tmp_path)["results_meta"]
    assert "| rule | before | u | v |" in made
    assert "| a | 8 | 4.12 | (1) |" in made and "| b |  | (2) | (1) |" in made
    assert made.endswith("1. never\n2. nowhere")


def test_the_recorded_compositions_are_of_every_rule_and_estimator():
    rows = json.loads((ROOT / "docs/results/meta/compositions.json").read_text("utf-8"))["rows"]
    assert {row["rule"] for row in rows} == set(_registry.names("rules"))
    assert {row["estimator"] for row in rows} == set(compositions.estimators())


@pytest.mark.parametrize(
    ("kind", "name", "parts"),
    [
        ("learners", "online", ["`--learner.frozen-head`", "OnlineLearner", "--rule RULE"]),
        ("tasks", "sinusoid", ["`--task.shots`", "U[lowest, highest]", "--task sinusoid"]),
        ("estimators", "reptile", ["hands its weights on", "W_start - W_end"]),
    ],
)
def test_learners_tasks_and_estimators_have_pages(kind, name, parts):
    page = pages.lifetimes.page(kind, name)
    for part in parts:
        assert part in page
