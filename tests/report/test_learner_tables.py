"""The table of meta-trained learners: order, units, what is left out."""

import learner_rows as rows

from metaplastic.report.learner_tables import learner_table


def column(table, name):
    return [row[table.columns.index(name)] for row in table.rows]


def test_the_best_is_first_and_what_diverged_is_last():
    table = learner_table(rows.learners()[::-1])
    assert column(table, "learner") == ["FLP", "OML (first order)", "MAML"]
    assert column(table, "test") == ["90.00 ± 1.00", "80.00 ± 1.00", "—"]
    assert column(table, "95 % interval")[0] == "89.50 to 90.50"
    assert column(table, "best rate") == ["0.1", "1*", "0.1"]
    assert column(table, "status") == ["", "3 meta-steps skipped", "diverged"]
    assert column(table, "lifetimes/s")[0] == "5,679"
    assert "MAML diverged at meta-step 3" in " ".join(table.notes)
    assert any("edge of the grid" in note for note in table.notes)
    assert table.title == "Test accuracy, % (higher is better)"
    assert table.json()[0]["test"]["mean"] == 0.9


def test_lower_errors_come_first_and_keep_their_unit():
    few = [{"label": "a", "test": {**rows.TEST, "mean": 3.0}}, {"label": "b", "test": rows.TEST}]
    table = learner_table(few)
    assert column(table, "learner") == ["b", "a"]
    assert column(table, "test")[0] == "0.5 ± 0.1"
    assert table.title == "Test mean squared error (lower is better)"
    assert not {"best rate", "seconds", "status", "metric"} & set(table.columns)


def test_other_metrics_have_a_column():
    table = learner_table([{"label": "a", "test": rows.TEST}, *rows.learners()])
    assert set(column(table, "metric")) == {"mean squared error", "accuracy, %", "—"}
    assert table.title == "Test"


def test_nothing_but_losses_can_be_shown(capsys):
    learner_table(rows.learners()[2:]).print()
    assert "MAML" in capsys.readouterr().out
