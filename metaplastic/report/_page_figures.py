"""Figures as parts of a page: inline SVG with identifiers of their own, and captions."""

import re
from typing import Any

from metaplastic.report import _looks, _style

_CAPTIONS = {
    "accuracy": "Test accuracy of every rule, between the control and backpropagation.",
    "learning_curves": "Learning curves.",
    "slowness": "Slowness: s of the fit acc(n) = best n / (s + n).",
    "learning_rates": "Test accuracy over the grid of learning rates.",
    "update_angles": "Angle of weights: between the rule's update and backpropagation's.",
    "delta_angles": "Angle of deltas: between the rule's teaching signals and backpropagation's.",
    "weight_angles": "Angle between forward and feedback weights.",
    "learners": "Test of every learner on held-out lifetimes.",
    "meta_learning_curves": "Meta-learning curves.",
    "learner_rates": "What meta-training reached over the grid of learning rates.",
    "meta_gradients": "Error of every meta-gradient against the exact one, its time and memory.",
    "meta_learning_time": "Meta-learning over wall time.",
    "strengths": "Strengths of the synapses of every layer after meta-training.",
    "error_over_beta": "Error of the contrastive meta-gradient over the strength of nudging.",
    "wheel_regret": "Regret on every wheel over trials, in percent of the uniform policy's.",
    "wheel_policies": "Arms that every agent took at the last contexts on one wheel.",
    "lifetime": "A held-out lifetime of the seed with the median test, moment by moment.",
    "fast_state": "What changes within that lifetime.",
    "adapted_curves": "Held-out curves, and the answers before and after a lifetime.",
    "meta_parameters": "Every matrix of meta-parameters before and after meta-training.",
    "tasks_seen": "Mean over all tasks (classes) met so far, by their number.",
    "retention": "Each task (class) at the end of the lifetime, in the order learned.",
    "alignment": "Angle between the change of each moment and the gradient of its loss.",
    "alignments": "Angle of all layers' change to the gradient of the moment's loss.",
    "interference": "What learning one task of a lifetime does to the others.",
}
_WIDE, _BROAD = 4.5, 6.4
"""Inches above which a figure has a row of the page, and the whole row, for itself."""


def page_figure(figure: Any, identity: str, name: str, label: str) -> dict[str, Any]:
    """A figure for the page's template; `name` chooses the caption, `label` goes before it."""
    import markupsafe

    caption = _CAPTIONS.get(name, name.replace("_", " "))
    return {
        "svg": markupsafe.Markup(inline_svg(_style.svg(figure, transparent=True), identity)),
        "caption": f"{label}: {caption}" if label else caption,
        "wide": figure.get_figwidth() > _WIDE,
        "broad": figure.get_figwidth() > _BROAD,
    }


def inline_svg(text: str, identity: str) -> str:
    """A figure's SVG as part of a page: no prologue, its own identifiers, the page's colours."""
    safe = re.sub(r"[^\w-]", "_", identity)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r'\1 role="img"', text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r' id="image\w+"', "", text)  # of their content: the same for equal images
    text = re.sub(r'\bid="', f'id="{safe}-', text)
    text = re.sub(r"url\(#", f"url(#{safe}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{safe}-', text)
    text = text.replace('xlink:href="data:image/png;base64,', 'href="data:image/png;base64,')
    for colour, name in {
        _looks.INK: "--ink",
        _looks.MUTED: "--muted",
        _style.GRID: "--line",
    }.items():
        text = text.replace(colour, f"var({name})")
    return text
