"""The page: self-contained, safe, honest about what must not be compared."""

import html.parser
import re
import shlex

import pytest
import run_folders as runs

from metaplastic._errors import MetaplasticError, MissingExtraError, UsageError
from metaplastic.report.html import inline_svg, write_report
from metaplastic.report.records import RunFolder

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Elements, links and text of a page; checks that elements are closed in their order."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open, self.links, self.ids, self.tags, self.words = [], [], [], [], []
        self.feed(self.source)
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def check_self_contained(page):
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\((?!#)", page.source)


def test_one_run(tmp_path):
    run = runs.write_run(tmp_path / "run")
    path = write_report([run])
    assert path == run / "report.html"
    page = Page(path)
    check_self_contained(page)
    assert page.tags.count("svg") == 4
    for expected in (
        *("train pepita on digits", "80.00", "shallow (control)", "50.00"),
        *("test accuracy after the last epoch", "CC BY 4.0", "d774", "rule.feedback_scale"),
        *("of weights", "of deltas", "layer 2", str(run), "1,234.5"),
    ):
        assert expected in page.text
    assert "metaplastic resume" not in page.text


def test_the_command_to_run_it_again_is_understood(tmp_path):
    from metaplastic import _registry
    from metaplastic.cli import _options, _parts
    from metaplastic.cli.train import TrainCommand

    page = Page(write_report([runs.write_run(tmp_path / "run", lr=0.25)]))
    command = re.search(r"metaplastic train .*? --control", page.text)
    assert command is not None
    program, action, rule, *rest = shlex.split(command[0])
    assert (program, action, rule) == ("metaplastic", "train", "pepita")
    command_type = _parts.with_parts(TrainCommand, {"rule": _registry.load("rules", rule)})
    options = _options.parse(rest, command_type, command="train pepita", about="")
    assert (options.lr, options.hidden, options.augment) == (0.25, (16,), False)
    assert (options.seed, options.seeds, options.control) == (3, 2, True)
    assert options.rule.feedback_scale == 0.2


def test_runs_with_one_protocol_share_a_table(tmp_path):
    paths = [runs.write_run(tmp_path / rule, rule) for rule in ("pepita", "drtp")]
    paths.append(runs.write_run(tmp_path / "again", "pepita", lr=0.5))
    page = Page(write_report(paths, tmp_path / "page.html"))
    check_self_contained(page)
    assert "must not be compared" not in page.text
    assert "pepita (lr 0.05)" in page.text and "pepita (lr 0.5)" in page.text
    assert "Slowness" in page.text


def test_runs_with_other_protocols_stand_apart_and_it_says_why(tmp_path):
    best = {"selection": "test accuracy at the epoch of the best validation accuracy"}
    paths = [
        runs.write_run(tmp_path / "last"),
        runs.write_run(tmp_path / "best", "drtp", protocol={**runs.PROTOCOL, **best}),
    ]
    page = Page(write_report(paths, tmp_path / "page.html"))
    assert "2 tables must not be compared" in page.text
    assert "differ in their evaluation (selection)" in page.text
    assert "Test accuracy, % (2 of 2)" in page.text


def test_an_unfinished_run_is_shown_as_such(tmp_path):
    run = runs.write_run(tmp_path / "my run", finished=False)
    page = Page(write_report([run]))
    assert "not finished: epoch 2 of 5 on record" in page.text
    assert f"metaplastic resume '{run}'" in page.text


def test_hostile_names_stay_text(tmp_path):
    evil = "<script>alert(1)</script>"
    run = runs.write_run(tmp_path / "x<img src=x onerror=alert(1)>", f"{evil}$&\"'")
    page = Page(write_report([run, runs.write_run(tmp_path / "y")], tmp_path / "page.html"))
    check_self_contained(page)
    assert evil in page.text


def test_a_comparison_and_a_reproduction(tmp_path):
    with RunFolder.create(tmp_path / "compare", "x") as folder:
        folder.write_config({"command": "compare", "rules": [{"label": "drtp"}], "data": runs.DATA})
        folder.write_result({"data": "digits", "rules": runs.comparison(), "control": None})
    with RunFolder.create(tmp_path / "reproduce", "x") as folder:
        argv = ["/bin/metaplastic", "reproduce", "pepita", "--out", "there", "--scale", "full"]
        folder.write_config(
            {"command": "reproduce", "paper": "pepita", "environment": {"argv": argv}}
        )
        comparison = [{**row, "experiment": "fc_mnist"} for row in runs.comparison()]
        folder.write_result(
            {
                "scale": "full",
                "rows": runs.reproduction(),
                "comparison": comparison,
                "protocols": {"fc_mnist": "dropout as in the paper"},
            }
        )
    page = Page(
        write_report([tmp_path / "compare", tmp_path / "reproduce"], tmp_path / "page.html")
    )
    check_self_contained(page)
    for expected in (
        *("comparison of drtp", "diverged (seed 0)", "the loss is nan at step 7", "reproduced"),
        *("98.63 ± 0.10", "dropout as in the paper", "fc_mnist: Learning curves."),
        "metaplastic reproduce pepita --scale full",
    ):
        assert expected in page.text
    assert "there --scale" not in page.text


def test_a_run_that_has_only_begun(tmp_path):
    with RunFolder.create(tmp_path / "run", "x") as folder:
        folder.write_config({"command": "compare", "rules": [{"label": "drtp"}]})
    assert "No result yet" in Page(write_report([tmp_path / "run"])).text


def test_wrong_places_are_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no run"):
        write_report([tmp_path / "nothing"])
    with pytest.raises(UsageError, match="no run given"):
        write_report([])
    run = runs.write_run(tmp_path / "run")
    with pytest.raises(UsageError, match="is a folder: name a file"):
        write_report([run], tmp_path)
    (run / "metrics.jsonl").write_text("{]\n")
    with pytest.raises(MetaplasticError, match="line 1, is damaged"):
        write_report([run])
    assert not (run / "report.html").exists()


def test_without_jinja_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    run = runs.write_run(tmp_path / "run")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="this needs jinja2: pip install"):
        write_report([run])


def test_colours_of_the_page_stand_for_ink():
    svg = '<?xml?><!DOCTYPE x><svg width="9pt" height="9pt" xmlns="http://x"><g id="a" '
    svg += 'style="stroke: #212121; clip-path: url(#a)"/></svg>'
    shown = inline_svg(svg, "f 1")
    assert shown.startswith('<svg role="img"') and "http" not in shown
    assert 'id="f_1-a"' in shown and "url(#f_1-a)" in shown and "var(--ink)" in shown
