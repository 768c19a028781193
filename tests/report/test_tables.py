"""Tables: verdicts, and the same cells as text, Markdown and JSON."""

import json

import pytest
import run_folders as runs

from metaplastic import _registry
from metaplastic.papers._rows import name_subjects
from metaplastic.report import tables


def paper(value=98.0, std=0.1, provenance="source"):
    return {"value": value, "std": std, "source": "Table 1", "provenance": provenance}


@pytest.mark.parametrize(
    ("mean", "number", "higher", "expected"),
    [
        (97.5, paper(), True, "reproduced"),  # half a point
        (97.49, paper(), True, "below"),
        (98.51, paper(), True, "above"),
        (97.1, paper(std=0.3), True, "reproduced"),  # three standard deviations
        (97.09, paper(std=0.3), True, "below"),
        (97.6, paper(std=None, provenance="secondary"), True, "reproduced"),
        (2.6, paper(2.0), False, "below"),
        (1.4, paper(2.0), False, "above"),
        (98.0, paper(provenance="memory"), True, None),
        (98.0, None, True, None),
        (None, paper(), True, None),
    ],
)
def test_verdict(mean, number, higher, expected):
    assert tables.verdict({"mean": mean}, number, higher_is_better=higher) == expected


def test_reproduction_table(capsys):
    table = tables.reproduction_table(runs.reproduction())
    verdicts = [row[table.columns.index("verdict")] for row in table.rows]
    assert verdicts == ["reproduced", "below", "—", "not run"]
    assert "98.40 ± 0.10 (memory)" in table.rows[2]
    assert "-1.01" in table.rows[1]
    assert "metric" not in table.columns and "test accuracy, %" in table.title
    assert any("mnist is not there: fetch it" in note for note in table.notes)
    assert [record["verdict"] for record in table.json()][:3] == ["reproduced", "below", None]
    table.print()
    assert "97.00 ± 0.20" in capsys.readouterr().out


def test_errors_are_better_when_they_are_low():
    row = {**runs.reproduction()[0], "metric": "test error, %"}
    row |= {"ours": {"mean": 5.0, "std": 0.1, "n": 3}, "paper": paper(2.0)}
    assert tables.reproduction_table([row]).json()[0]["verdict"] == "below"


def test_a_number_from_memory_has_no_verdict_whatever_the_record_says():
    row = {**runs.reproduction()[2], "verdict": "above"}
    assert tables.reproduction_table([row]).json()[0]["verdict"] is None


def test_a_quick_table_has_no_columns_of_the_paper():
    rows = [{**row, "paper": None, "verdict": None} for row in runs.reproduction()[:2]]
    assert tables.reproduction_table(rows).columns == ("setting", "ours")


def test_rows_stand_beside_the_subject_of_their_experiment():
    def row(setting, mean, n=3, metric="accuracy, %", std=1.0):
        ours = {"mean": mean, "std": std, "n": n}
        higher = metric == "accuracy, %"
        row = {"experiment": "digits", "setting": setting, "metric": metric, "ours": ours}
        return {**row, "paper": None, "verdict": None, "higher_is_better": higher}

    rows = [
        row("own", 80.0),
        row("near", 81.9),
        row("far", 82.1),
        row("alone", 70.0, n=1),
        row("own", 0.2, metric="loss", std=0.0),
        row("far", 0.16, metric="loss", std=0.0),
        row("own, short", 50.0),
        row("far, short", 40.0),
        row("own, changed", 60.0),
        {**row("broken", 0.0), "ours": None, "verdict": "diverged"},
    ]
    assert not any("beside" in column for column in tables.reproduction_table(rows).columns)
    name_subjects(rows, "own")
    table = tables.reproduction_table(rows)
    found = [cells[table.columns.index("beside own")] for cells in table.rows]
    # Two standard errors of a difference: 2 sqrt(1 / 2 + 1 / 2).
    assert found == [
        *("—", "no different (+1.90)", "better by 2.10", "worse by 10.00 (one seed)"),
        *("—", "better by 0.04", "worse by 30.00", "worse by 10.00", "worse by 20.00", "—"),
    ]


def test_accuracy_table():
    table = tables.accuracy_table(runs.comparison())
    assert table.columns == ("rule", "learning rate", "mean", "std", "seeds", "status")
    assert [row[0] for row in table.rows] == ["backprop", "pepita:mode=hebbian", "shallow", "drtp"]
    assert table.rows[0] == ("backprop", "0.01*", "95.00", "1.00", "2", "")
    assert table.rows[3][2:] == ("—", "—", "2", "diverged (seed 0)")
    assert "edge of the grid" in table.notes[0]
    assert json.loads(json.dumps(table.json()))[0]["test_accuracy"]["mean"] == 0.95


def test_robustness_table():
    table = tables.robustness_table(runs.comparison())
    rows = {row[0]: row[1:] for row in table.rows}
    # falls by 20 points a decade below the best and by 10 above: 0.1 + 0.2 decades within 2 points
    assert rows["backprop"] == ("0.01", "95.00", "0.30", "0 of 3")
    assert rows["pepita:mode=hebbian"] == ("0.01", "85.00", "0.10", "1 of 3")
    assert rows["drtp"] == ("—", "—", "—", "3 of 3")
    flat = {"rule": "x", "grid": [{"lr": lr, "mean": 0.5, "diverged": 0} for lr in (0.01, 1.0)]}
    assert tables.robustness_table([flat]).rows[0][3] == "≥ 2.00"


def test_markdown():
    table = tables.Table("T", ("a|b", "n"), (("x\ny", "1"),), notes=("end",), right=frozenset({1}))
    lines = ["**T**", "", r"| a\|b | n |", "| --- | ---: |", "| x y | 1 |", "", "end", ""]
    assert table.markdown() == "\n".join(lines)


def test_text_keeps_brackets_and_whole_words(capsys):
    tables.Table("", ("rule",), (("[red]x[/red]",), ("a" * 26,))).print()
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown and "a" * 26 in shown


@pytest.mark.parametrize("terminal", ["40", "80", "200"])
def test_no_cell_is_cut_on_a_narrow_terminal(capsys, monkeypatch, terminal):
    monkeypatch.setenv("COLUMNS", terminal)
    table = tables.property_table()
    table.print()
    lines = capsys.readouterr().out.splitlines()
    for row in table.rows:
        shown = next(line for line in lines if line.strip().startswith(f"{row[0]} "))
        assert shown.split() == " ".join(row).split()


def test_property_table_says_what_holds():
    table = tables.property_table()
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows.keys() == set(_registry.names("rules"))
    bp, pepita = rows["backprop"], rows["pepita"]
    assert [bp[name] for name in tables.PROPERTY_COLUMNS if "signals" not in name][:-1] == [
        "no"
    ] * 6
    assert bp["local signals only"] == "chain of errors"
    assert (pepita["no weight transport"], pepita["update unlocked"]) == ("yes", "partly")
    assert pepita["forward passes"] == "2"
    assert [row[0] for row in tables.property_table(["drtp"]).rows] == ["drtp"]


def test_unknown_properties_are_question_marks():
    assert set(tables.properties_of({"mine": None}).rows[0][1:]) == {"?"}


def test_printing_results(capsys):
    tables.print_comparison({"data": "digits", "rules": runs.comparison()})
    tables.print_reproduction({"paper": "pepita", "scale": "full", "rows": runs.reproduction()})
    shown = capsys.readouterr().out
    assert "Test accuracy on digits" in shown and "reproduced" in shown
