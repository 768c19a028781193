"""Pages with meta-trained learners, alone and beside runs of rules."""

import re
import shlex

import learner_rows as rows
import pytest
import run_folders as runs
from test_html import Page

from metaplastic.report.html import write_report
from metaplastic.report.records import RunFolder


def check_self_contained(page):
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    own = [link for link in page.links if link.startswith("#")]
    assert all(link.startswith("data:image/png;base64,") for link in set(page.links) - set(own))
    assert {link[1:] for link in own} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert not re.search(r"@import|url\((?!#)|xlink:", page.source)


def test_one_run(tmp_path):
    run = rows.write_meta_run(tmp_path / "run", portrait=rows.flat_portrait())
    page = Page(write_report([run]))
    check_self_contained(page)
    assert page.tags.count("svg") == 9 and page.tags.count("image") > 20
    for expected in (
        *("meta online backprop on sinusoid", "0.5 ± 0.1", "lower is better", "0.45 to 0.55"),
        *("shots", "20 lifetimes a seed", "1,234", "learner.rate", "One lifetime, step by step"),
        "Held-out curves",
    ):
        assert expected in page.text


def test_the_command_to_run_it_again_is_understood(tmp_path):
    from metaplastic import _registry
    from metaplastic.cli import _options, _parts
    from metaplastic.cli.meta import MetaCommand

    page = Page(write_report([rows.write_meta_run(tmp_path / "run")]))
    (command,) = re.findall(r"metaplastic meta .*? --seeds 2", page.text)
    program, action, learner, *rest = shlex.split(command)
    assert (program, action, learner) == ("metaplastic", "meta", "online")
    chosen, rest = _parts.choose_parts(rest, ("rule", "task", "estimator"))
    assert chosen == {"task": "sinusoid", "rule": "backprop", "estimator": "unrolled"}
    kinds = {"rule": "rules", "task": "tasks", "estimator": "estimators"}
    parts = {part: _registry.load(kinds[part], own) for part, own in chosen.items()}
    builder = _registry.load("learners", learner)
    parts["learner"] = _parts.signature_class(builder, ("task", "rule", "key"))
    command_type = _parts.with_parts(MetaCommand, parts)
    options = _options.parse(rest, command_type, command="meta online", about="")
    assert (options.steps, options.lr, options.seeds, options.group) == (50, 0.01, 2, ())
    assert options.task.shots == 5 and options.learner.rate == 0.1
    assert tuple(options.learner.hidden) == (4,) and options.learner.bias is True


def test_rules_and_learners_on_one_page(tmp_path):
    with RunFolder.create(tmp_path / "compare", "x") as folder:
        entrants = [{"label": row["label"]} for row in rows.learners()]
        folder.write_config({"command": "compare", "kind": "learners", "entrants": entrants})
        folder.write_result({"learners": rows.learners()})
    with RunFolder.create(tmp_path / "reproduce", "x") as folder:
        folder.write_config({"command": "reproduce", "paper": "flp"})
        table = {"rows": rows.reproduced("e"), "learners": rows.learners("e")}
        folder.write_result({"scale": "quick", "comparison": [], **table})
    paths = [
        runs.write_run(tmp_path / "train"),
        rows.write_meta_run(tmp_path / "a"),
        rows.write_meta_run(tmp_path / "b"),
        rows.write_meta_run(tmp_path / "c", shots=7, finished=False),
        *(tmp_path / "compare", tmp_path / "reproduce"),
    ]
    page = Page(write_report(paths, tmp_path / "page.html"))
    check_self_contained(page)
    for expected in (
        *("6 runs", "shallow (control)", "2 tables must not be compared", "(shots)"),
        *("not finished: meta-step 20 of 50 on record", "comparison of FLP, OML"),
        *("e: Test accuracy, % (higher is better)", "e: Test of every learner", "91.00 ± 0.50"),
        *("MAML, run", "MAML diverged at meta-step 3", "(task.shots 5) · a"),
    ):
        assert expected in page.text


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_without_a_portrait(tmp_path, finished):
    page = Page(write_report([rows.write_meta_run(tmp_path / "run", finished=finished)]))
    assert page.tags.count("svg") == 1
    assert ("metaplastic resume" in page.text) is not finished
