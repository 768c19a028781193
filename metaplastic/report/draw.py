"""Draws whatever figures a finished run supports into its folder."""

from pathlib import Path

from metaplastic.report.figures import draw_comparison, draw_run
from metaplastic.report.records import RunFolder


def draw(folder: RunFolder) -> list[Path]:
    """The figures of a run of any command, as PNG and SVG; the files written.

    A reproduction gets one folder of figures an experiment. Raises `MissingExtraError` without
    matplotlib.
    """
    command, result = folder.read_config().get("command"), folder.read_result() or {}
    if command == "train":
        return draw_run(folder)
    if command == "compare":
        rows = result.get("rules", [])
        return draw_comparison(rows, folder.figures, classes=rows[0]["classes"]) if rows else []
    drawn: list[Path] = []
    for name in dict.fromkeys(row["experiment"] for row in result.get("comparison", [])):
        rows = [row for row in result["comparison"] if row["experiment"] == name]
        drawn += draw_comparison(rows, folder.figures / name, classes=rows[0]["classes"])
    return drawn
