#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw a chart of what tests/bench/run.sh measured: how many times kernel overlayfs each union takes.

usage: chart.py OUT.svg JSON...

The same figures give the same file: without a date, and with names of elements that do not change.  The background is
transparent and the text of a grey that can be read on white and on black.
"""
import sys

try:
    import matplotlib
except ImportError:
    sys.exit("chart: error: this needs matplotlib: apt-get install python3-matplotlib")
matplotlib.use("svg")
import matplotlib.pyplot as plt
import matplotlib.ticker

from report import Figures, merge

# A row of the chart, and what it is called there.
ROWS = [
    ("stat", "stat"),
    ("read", "open+read+close"),
    ("find-warm", "find, warm"),
    ("find-fresh", "find, first walk"),
    ("grep-fresh", "grep -r, first walk"),
    ("layers-100", "find, 100 layers"),
    ("create", "create+write+close"),
    ("rename", "rename"),
    ("unlink", "unlink"),
    ("untar", "untar"),
    ("rm-lower", "rm -rf of lower files"),
    ("git-clone", "git clone"),
    ("make", "make -j2"),
    ("pwrite", "pwrite of 4 KiB"),
    ("seqread-warm", "read of 1 MiB, again"),
    ("sqlite", "SQLite, insert"),
    ("chown", "chown -R of lower files"),
    ("naivediff", "NaiveDiff"),
]
COLUMNS = {
    "nacrefs": "#1a7f5a",
    "nacrefs-store": "#5cc49a",
    "fuse-overlayfs": "#d08a2e",
    "unionfs-fuse": "#9a86c4",
    "mergerfs": "#6f9fc8",
}
GREY = "#808080"
BAR = 0.16


def draw(out, figures):
    rows = [(name, title) for name, title in ROWS if figures.get(name, "overlayfs")]
    if not rows:
        sys.exit("chart: error: no row with a figure of kernel overlayfs")
    plt.rcParams.update({
        "svg.hashsalt": "nacre", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
        "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
    })
    figure, axes = plt.subplots(figsize=(9, 0.46 * len(rows) + 1.2))
    shown = [peer for peer in COLUMNS if peer in figures.peers]
    for i, peer in enumerate(shown):
        places, ratios = [], []
        for place, (name, _) in enumerate(rows):
            value = figures.get(name, peer)
            if value is not None and not figures.failed(name, peer):
                places.append(place + (i - (len(shown) - 1) / 2) * BAR)
                ratios.append(value / figures.get(name, "overlayfs"))
        # From 1 on a logarithmic scale: to the left is faster than the kernel.
        axes.barh(places, [ratio - 1 for ratio in ratios], BAR * 0.9, left=1, color=COLUMNS[peer], label=peer)
    axes.set_xscale("log")
    axes.axvline(1, color=GREY, linewidth=1)
    axes.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(range(len(rows)), [title for _, title in rows])
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(axis="x", color=GREY, alpha=0.3, linewidth=0.5)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("how many times kernel overlayfs it takes: further left is faster")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncol=len(shown))
    figure.savefig(out, format="svg", transparent=True, bbox_inches="tight",
                   metadata={"Date": None, "Creator": None, "Title": "nacrefs and its peers"})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    draw(sys.argv[1], Figures(merge(sys.argv[2:])))
