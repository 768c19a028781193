"""Rule files: what they keep, what they refuse, and that reading one executes nothing."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as store

from metaplastic import rule_file
from metaplastic._errors import MetaplasticError, UsageError
from metaplastic._rule_card import Reader
from metaplastic.learners.online import OnlineLearner, with_loss
from metaplastic.models import mlp
from metaplastic.rules.base import AbstractRule
from metaplastic.rules.pool import Pool, PoolState
from metaplastic.tasks.sinusoid import Sinusoid
from metaplastic.testing import assert_conforms

BIO = {"pseudo_gradient": 0.056, "ehebb": -0.071, "oja": 0.012}


def learned(rule, model, key):
    """The rule's state with values that no start has."""
    state = rule.init(model, key=key)
    random = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(random.standard_normal(leaf.shape), leaf.dtype)  # noqa: E731
    return PoolState(jax.tree.map(draw, state.coefficients), state.feedback)


@pytest.fixture
def model(getkey):
    return mlp((5,), 3, hidden=(4,), activation="softplus", key=getkey())


@pytest.fixture
def path(tmp_path):
    """A rule file with the three terms of the discovered rule."""
    path = tmp_path / "bio.safetensors"
    state = PoolState({name: jnp.float32(value) for name, value in BIO.items()}, None)
    rule_file.save(path, Pool(), state, {"use": {"hidden": [4]}, "licence": "CC0-1.0"})
    return path


def rewrite(path, change, tensors=None):
    """Write the file again, with a card (and tensors) that are changed and sealed anew."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    card = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["card"])
    if tensors is not None:
        data = store.save(tensors(store.load(data)))
        held = store.load(data)
        card["tensors"] = {name: rule_file._tensor_digest(own) for name, own in held.items()}
    change(card)
    text = json.dumps(card)
    sealed = {"format": "metaplastic rule", "card": text}
    sealed["sha256"] = rule_file._digest(text.encode())
    path.write_bytes(store.save(store.load(data), sealed))


@pytest.mark.parametrize(
    "fields",
    [
        {"terms": ("published",)},
        {"granularity": "layer", "feedback": "direct"},
        {"granularity": "synapse", "terms": ("abcd",), "feedback": "learned"},
    ],
)
def test_updates_are_the_same_to_the_bit(fields, model, tmp_path, getkey):
    rule, key = Pool(**fields), getkey()
    state = learned(rule, model, key)
    rule_file.save(tmp_path / "own.safetensors", rule, state)
    again = rule_file.load(tmp_path / "own.safetensors")
    restored = again.init(model, key=key)
    x, y, key = jax.random.normal(key, (6, 5)), jnp.eye(6, 3), getkey()
    first = rule.updates(model, state, x, y, key=key)[0]
    second = again.updates(model, restored, x, y, key=key)[0]
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert np.array_equal(a, b)
        assert np.any(a)
    assert again.file.card["formula"] == rule.formula(state)


@pytest.mark.slow
def test_a_loaded_rule_is_a_rule(path, model, getkey):
    rule = rule_file.load(path)
    assert isinstance(rule, AbstractRule)
    assert_conforms(rule, only=["runs", "structure", "state", "hooks", "jit"])
    learner = OnlineLearner(model, with_loss(rule, Sinusoid()), key=getkey())
    assert learner.rule._loss is Pool(loss="squared_error")._loss
    assert float(learner.state.coefficients["ehebb"]) == np.float32(-0.071)
    life = learner.birth(key=getkey())
    assert not np.array_equal(life.rule.feedback[1], learner.state.feedback[1])
    assert rule.file.card["licence"] == "CC0-1.0"
    assert hash(rule_file.load(path).file) == hash(rule.file)


def test_names_are_those_that_ship(getkey):
    assert rule_file.names()
    for name in rule_file.names():
        rule = rule_file.load(name)
        card, net = rule.file.card, mlp((5,), 3, hidden=(4,), key=getkey())
        assert card["formula"] == rule.formula(rule.init(net, key=getkey()))
        assert card["licence"]
        assert card["meta_training"]["command"].startswith("metaplastic meta online --rule pool")
        assert card["meta_training"]["scores"]["metric"] == "accuracy"
        assert "/" not in card["meta_training"]["command"]


def test_a_file_that_ends_too_early(path):
    whole = path.read_bytes()
    for size in {0, 7, 9, 20, len(whole) // 2, len(whole) - 1}:
        path.write_bytes(whole[:size])
        with pytest.raises(MetaplasticError, match=r"^[^\n]*(is damaged|is no rule file)[^\n]*$"):
            rule_file.load(path)


def test_any_byte_that_is_changed(path):
    whole = path.read_bytes()
    said = set()
    for place in range(8, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(MetaplasticError, match=r"^[^\n]*$") as error:
            rule_file.load(path)
        said |= {
            part for part in ("changed", "damaged", "no rule file") if part in str(error.value)
        }
    assert said == {"changed", "damaged", "no rule file"}


def nested(depth):
    """A list in a list in a list."""
    found = []
    for _ in range(depth):
        found = [found]
    return found


def field(**changed):
    """A change of the rule's options."""
    return lambda card: card["rule"]["fields"].update(changed)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            lambda card: card.update(schema=2),
            MetaplasticError,
            "was written by a newer metaplastic (its schema is above 1, the newest that this one",
        ),
        (lambda card: card.update(schema=0), MetaplasticError, "its card does not parse"),
        (field(start=10**400), UsageError, "cannot make ("),
        (lambda card: card.update(x=nested(800)), MetaplasticError, "nested too deep"),
        (
            lambda card: card["rule"].update(name="pol"),
            UsageError,
            "cannot make (unknown rule 'pol': did you mean 'pool'?): it was written by version",
        ),
        (
            lambda card: card["rule"]["fields"].update(terms=["ehbb"]),
            UsageError,
            "cannot make (unknown term 'ehbb': did you mean 'ehebb'?)",
        ),
        (lambda card: card["rule"]["fields"].update(depth=3), UsageError, "unexpected keyword"),
        (lambda card: card.update(schema="2"), MetaplasticError, "its card does not parse"),
        (lambda card: card.update(schema=True), MetaplasticError, "its card does not parse"),
        (lambda card: card.update(use=[1]), MetaplasticError, "('use' is no table)"),
        (lambda card: card.update(versions=[1]), MetaplasticError, "('versions' is no table)"),
        (lambda card: card.update(formula={}), MetaplasticError, "('formula' is no text)"),
        (lambda card: card.update(licence="\x1b[2J"), MetaplasticError, "control characters"),
        (lambda card: card["rule"].update(name=5), MetaplasticError, "a name and fields"),
        (field(start="abc"), UsageError, "start is 'abc' where a finite number belongs"),
        (field(start=float("nan")), UsageError, "start is nan where a finite number belongs"),
        (field(granularity="foo"), UsageError, "'foo' where one of global, layer, synapse"),
        (field(feedback="foo"), UsageError, "feedback is 'foo' where one of random, direct"),
        (field(feedback_init="nope"), UsageError, "feedback_init is 'nope' where one of"),
        (field(loss="nope"), UsageError, "loss is 'nope' where one of"),
        (field(keep_feedback=1), UsageError, "keep_feedback is 1 where true or false belongs"),
        (field(terms=[1]), UsageError, "a list of which each is a text belongs"),
        (field(terms="ehebb"), UsageError, "terms is 'ehebb' where a list belongs"),
        (field(terms=["ehebb=nan"]), UsageError, "write NAME or NAME=VALUE"),
        (field(only=["ehebb=1", "ehebb=2"]), UsageError, "names ehebb twice"),
        (lambda card: card.pop("rule"), MetaplasticError, "is no rule file: its card does not"),
        (lambda card: card["tensors"].clear(), MetaplasticError, "a checksum is wrong"),
    ],
)
def test_cards_that_are_refused(change, kind, message, path):
    rewrite(path, change)
    with pytest.raises(kind, match=r"^[^\n]*$") as error:
        rule_file.load(path)
    assert message in str(error.value)


def test_files_of_something_else(tmp_path):
    path = tmp_path / "own.safetensors"
    header = b'{"__metadata__":"x"}'
    text = len(header).to_bytes(8, "little") + header
    for content in (b"", b"hello, this is text", text, store.save({"a": np.zeros(3)})):
        path.write_bytes(content)
        with pytest.raises(MetaplasticError, match="is no rule file"):
            rule_file.load(path)
    header = b'{"a":' * 20_000
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(MetaplasticError, match="is damaged"):
        rule_file.load(path)
    with pytest.raises(UsageError, match=r"ends in \.safetensors"):
        rule_file.save(tmp_path / "rule.npz", Pool(), PoolState({}, None))
    with pytest.raises(UsageError, match=r"did you mean 'own\.safetensors'\?"):
        rule_file.load(tmp_path / "owm.safetensors")
    with pytest.raises(UsageError, match="unknown rule file 'nobody'"):
        rule_file.load("nobody")
    with pytest.raises(UsageError, match="did you mean 'fbio', which comes with metaplastic"):
        rule_file.load("fbio.safetensors")


def test_another_network(model, tmp_path, getkey):
    path = tmp_path / "own.safetensors"
    rule = Pool(granularity="layer")
    state = learned(rule, model, getkey())
    rule_file.save(path, rule, state, {"use": {"hidden": [4]}})
    deeper = mlp((5,), 3, hidden=(4, 4), key=getkey())
    with pytest.raises(UsageError, match=r"^[^\n]*$") as error:
        rule_file.load(path).init(deeper, key=getkey())
    assert "coefficients.ehebb of shape 2, this one needs 3; use" in str(error.value)
    assert "such as --hidden 4" in str(error.value)


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A term of one's own that leaves a trace where it is imported."""
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from pathlib import Path\nfrom metaplastic.rules.pool import term\n"
        f"Path({str(tmp_path / 'imported')!r}).touch()\n\n"
        '@term("y x^T * 2")\ndef twice(s):\n    return 2 * s.y, s.x\n'
    )
    return mine


def attacked(mine):
    """Changes of a card by which the file would be imported."""
    term = f"{mine}:twice"
    texts = [term, f"{term}=1", f"{term}=1\n", f"{term}\n", f"\n{term}", f"{term}=1\u2028"]
    texts += ["mine.py:twice", "./mine.py", f"{mine}", f"ehebb={mine}", f"{term}=1=2", f"~{term}"]
    yield from (field(terms=[own]) for own in texts)
    yield from (field(terms=["ehebb", own]) for own in texts)
    yield from (field(terms=own) for own in ({term: 1}, {"a": term}, [[term]], [{term: 1}], term))
    yield from (field(**{name: term}) for name in ("loss", "feedback", "feedback_init", "start"))
    yield lambda card: card["rule"]["fields"].update({term: 1})
    yield field(terms=["ehebb"], only=[f"{term}=1"])
    for name in (str(mine), f"{mine}:twice", f"{mine}\n", f"{mine}:", "mine.py", [str(mine)]):
        yield lambda card, name=name: card["rule"].update(name=name)
    yield lambda card: card.update(rule=[str(mine)])


def test_nothing_is_executed(tmp_path, mine, model, getkey):
    rule, trap = Pool(terms=(f"{mine}:twice=0.5",)), tmp_path / "imported"
    path = tmp_path / "own.safetensors"
    rule_file.save(path, rule, rule.init(model, key=getkey()))
    whole = path.read_bytes()
    assert str(tmp_path) not in whole.decode("latin-1")
    trap.unlink()
    for name in [own for own in sys.modules if own.startswith("metaplastic_user_")]:
        del sys.modules[name]  # or the file would not be imported again
    with pytest.raises(UsageError, match=r"needs mine\.py:twice, a file that did not come with it"):
        rule_file.load(path)
    for change in attacked(mine):
        for tensors in (None, lambda held: {}):
            path.write_bytes(whole)
            rewrite(path, change, tensors)
            with pytest.raises(MetaplasticError, match=r"^[^\n]*$"):
                rule_file.load(path)
    assert not trap.exists()


def test_a_rule_is_asked_what_it_would_import(mine, model, path, monkeypatch):
    """Whatever became of the text of the card."""
    monkeypatch.setattr(Reader, "_named", lambda self, text, known, what: text)
    rewrite(path, field(terms=[f"{mine}:twice"]))
    with pytest.raises(UsageError, match="which --own does not name"):
        rule_file.load(path)


def test_only_what_is_named_is_allowed(mine, model, getkey, tmp_path):
    path = tmp_path / "own.safetensors"
    rule = Pool(terms=(f"{mine}:twice=0.5",))
    rule_file.save(path, rule, rule.init(model, key=getkey()))
    other = tmp_path / "other.py"
    other.write_text(mine.read_text())
    for own, message in (
        (["./nosuch.py:twice"], "--own ./nosuch.py:twice: there is no file './nosuch.py'"),
        (["nosuch"], "--own nosuch: there is no file 'nosuch'"),
        (["other.py:twice"], "needs mine.py:twice"),
        (["mine.py:twice", "other.py:twice"], "--own other.py:twice: "),
    ):
        with pytest.raises(UsageError, match=r"^[^\n]*$") as error:
            rule_file.load(path, own=own)
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda held: {"coefficients.oja": held["coefficients.oja"]}, "lacks coefficients."),
        (lambda held: {**held, "feedback.0": np.zeros((5, 4), np.float32)}, "this one has no such"),
        (lambda held: {own: np.full((), np.nan) for own in held}, "are not finite numbers"),
        (lambda held: {own: np.ones((), np.int32) for own in held}, "are not finite numbers"),
    ],
)
def test_tensors_that_are_no_rule(tensors, message, path, model, getkey):
    rewrite(path, lambda card: None, tensors)
    with pytest.raises(MetaplasticError, match=r"^[^\n]*$") as error:
        rule_file.load(path).init(model, key=getkey())
    assert message in str(error.value)


def test_the_formula_is_that_of_the_tensors(path, model, getkey):
    rewrite(path, lambda card: card.update(formula="dW = 0"))
    rule = rule_file.load(path)
    told = rule.formula(rule.init(model, key=getkey()))
    assert told == "dW = -0.056 e x^T + 0.071 e d^T + 0.012 (y x^T - y y^T W)"


def test_a_file_of_ones_own_that_is_named(tmp_path, model, getkey, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from metaplastic.rules.pool import term\n\n"
        '@term("y x^T * 2")\ndef twice(s):\n    return 2 * s.y, s.x\n'
    )
    monkeypatch.chdir(tmp_path)
    rule = Pool(terms=("mine.py:twice=0.5",))
    state = rule.init(model, key=getkey())
    rule_file.save("own.safetensors", rule, state)
    again = rule_file.load("own.safetensors", own=["./mine.py:twice"])
    assert again.file.card["formula"] == "dW = 0.5 y x^T * 2"
    assert float(again.init(model, key=getkey()).coefficients["twice"]) == 0.5
