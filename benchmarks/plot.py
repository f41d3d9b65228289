"""Draw the medians of the web set: ``plot.py RESULTS.json PLOT.svg``. Needs matplotlib."""

from __future__ import annotations

import json
import statistics
import sys

from matplotlib import pyplot

_TITLES = {
    "first": "nothing known yet",
    "warm": "everything known, new environment",
    "nothing": "nothing to do",
    "one-pin": "one pin changed",
    "copies": "copied from another file system",
}


def main(results: str, plot: str) -> None:
    """Write the plot: a panel for each scenario, a bar for each contestant."""
    pyplot.switch_backend("svg")
    # Text stays text, and the same numbers give the same file.
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pip-accel", "font.size": 8})
    with open(results, encoding="utf-8") as stream:
        rows = [row for row in json.load(stream) if row["set"] == "web"]
    panels = {scenario: [row for row in rows if row["scenario"] == scenario] for scenario in _TITLES}
    panels = {scenario: found for scenario, found in panels.items() if found}
    heights = [len(found) + 1 for found in panels.values()]
    figure, axes = pyplot.subplots(
        len(panels), 1, sharex=True, squeeze=False, layout="constrained",
        figsize=(7, 0.2 * sum(heights) + 0.6), gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for axis, (scenario, found) in zip(axes[:, 0], panels.items(), strict=True):
        medians = [statistics.median(row["wall"]) for row in found]
        colours = ["tab:blue" if row["contestant"].startswith("pip-accel") else "silver" for row in found]
        bars = axis.barh([row["contestant"] for row in found], medians, color=colours)
        axis.bar_label(bars, [f"{median:.3g}" for median in medians], padding=3)
        axis.set_title(_TITLES[scenario], loc="left", fontsize=8, fontweight="bold")
        axis.set_xscale("log")
        axis.minorticks_off()
        axis.margins(x=0.1)
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("seconds, logarithmic")
    figure.savefig(plot, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
