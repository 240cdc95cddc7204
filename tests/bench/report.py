#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables of what tests/bench/run.sh measured.

usage: report.py collect FOLDER JSON        what run.sh left in FOLDER ("samples", "about"), as JSON
       report.py table [--goals] JSON...    the tables, of one run or of several parts of one
       report.py results FILE JSON...       the same between the marks of a Markdown file

The JSON: "machine", "kernel", "versions", "sizes", "image", "packages" (text), "peers" (the columns in their order),
"samples": {row: {column: [figure or null, ...]}}, a figure for each round, null where the column failed, and "requests":
{row: {column: {kind: how many}}}, what nacrefs was sent for one operation, the fewest of all rounds.  Figures are
nanoseconds, or bytes where rows.txt says so; rows.txt also says which of them counts, and what the goal is.
"""
import json
import os
import re
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = {"us": 1e3, "ms": 1e6, "B": 1, "KiB": 1024}
IMPORT_COLUMNS = ["nacre", "tar -x", "tar -x, sync", "umoci unpack", "podman load"]
TOOLS = ["umoci", "skopeo", "podman", "buildah"]
LOAD_COLUMNS = ["nacre", "tar", "tar, sync"] + TOOLS
# The columns whose requests are shown, and the rows of which nothing runs beside what waits for an answer.
COUNTED = ["nacrefs", "nacrefs-store"]
IN_TURN = ("small", "names", "walk", "layers", "tree", "data", "diff", "threads")
# What is no union in userspace.
NOT_UNIONS = ("native", "overlayfs")


class Row:
    def __init__(self, line):
        self.name, self.group, self.unit, self.statistic, self.goal, self.title = [
            part.strip() for part in line.split("|", 5)]

    def figure(self, values):
        """The figure that counts of @values; None where there is none."""
        good = [value for value in values or [] if value is not None]
        if not good:
            return None
        return min(good) if self.statistic == "least" else statistics.median(good)


def read_rows():
    with open(os.path.join(HERE, "rows.txt"), encoding="utf-8") as file:
        return [Row(line) for line in file if line.strip() and not line.startswith("#")]


# ---- what was measured ----

def collect(folder, out):
    with open(os.path.join(folder, "about"), encoding="utf-8") as file:
        run = dict(line.rstrip("\n").split("\t", 1) for line in file)
    run["peers"] = run["peers"].split()
    run["samples"] = {}
    with open(os.path.join(folder, "samples"), encoding="utf-8") as file:
        for line in file:
            row, peer, value = line.rstrip("\n").split("\t")
            values = run["samples"].setdefault(row, {}).setdefault(peer, [])
            values.append(None if value == "failed" else float(value))
    run["requests"] = {}
    with open(os.path.join(folder, "requests"), encoding="utf-8") as file:
        for line in file:
            row, peer, _, kinds = line.rstrip("\n").split("\t")
            words = kinds.split()
            note_requests(run["requests"].setdefault(row, {}), peer,
                          {name: float(sent) for name, sent in zip(words[::2], words[1::2])})
    with open(out, "w", encoding="utf-8") as file:
        json.dump(run, file, indent=1)
        file.write("\n")


def note_requests(columns, peer, kinds):
    if peer not in columns or sum(kinds.values()) < sum(columns[peer].values()):
        columns[peer] = kinds


def merge(paths):
    """One run out of its parts, which must be of the same machine."""
    whole = None
    for path in paths:
        with open(path, encoding="utf-8") as file:
            run = json.load(file)
        if whole is None:
            whole = run
            continue
        for key in ("machine", "kernel", "versions", "sizes"):
            if run[key] != whole[key]:
                print(f"report: warning: {path}: {key}: {run[key]}\n  and in {paths[0]}: {whole[key]}",
                      file=sys.stderr)
        for key in ("image", "packages"):
            if whole.get(key, "none") == "none":
                whole[key] = run.get(key, "none")
        whole["peers"] += [peer for peer in run["peers"] if peer not in whole["peers"]]
        for row, columns in run["samples"].items():
            for peer, values in columns.items():
                whole["samples"].setdefault(row, {}).setdefault(peer, []).extend(values)
        for row, columns in run.get("requests", {}).items():
            for peer, kinds in columns.items():
                note_requests(whole.setdefault("requests", {}).setdefault(row, {}), peer, kinds)
    return whole


class Figures:
    """The figure of each row and column."""

    def __init__(self, run):
        self.rows = {row.name: row for row in read_rows()}
        self.samples = run["samples"]
        self.peers = run["peers"]

    def get(self, name, peer):
        return self.rows[name].figure(self.samples.get(name, {}).get(peer))

    def columns(self, row):
        return LOAD_COLUMNS if row.group == "load" else self.peers

    def failed(self, name, peer):
        """Also one failure among several rounds: a figure must not hide it."""
        return any(value is None for value in self.samples.get(name, {}).get(peer, []))

    def rounds(self, name):
        return max(len(values) for values in self.samples[name].values())


# ---- goals ----

def is_ours(peer):
    return peer.startswith("nacre")


def applies(scope, peer):
    return {
        "": True,
        "dirs": not peer.endswith("-store"),
        "store": peer.endswith("-store"),
        "cached": peer != "nacrefs-passthrough",
        "passthrough": peer == "nacrefs-passthrough",
    }[scope]


def limit_of(limit, name, peer, figures):
    """The largest figure that reaches the goal; None where what it is compared with was not measured."""
    factor, _, base = limit.partition(" x ")
    if not base:
        number_, unit = limit.split()
        return float(number_) * UNITS[unit]
    if base == "tools":
        others = [figures.get(name, tool) for tool in TOOLS]
        value = min((other for other in others if other is not None), default=None)
    elif base == "unions":
        others = [figures.get(name, other) for other in figures.peers
                  if other not in NOT_UNIONS and not is_ours(other)]
        value = min((other for other in others if other is not None), default=None)
    elif base in figures.rows:
        value = figures.get(base, peer)
    else:
        value = figures.get(name, base)
    return None if value is None else float(factor) * value


def goal_words(goal):
    words = goal.replace("0.667 x unions", "unions / 1.5").replace("0.125 x ", "1/8 x ").replace(";", ",")
    words = words.replace("0.1 x ", "1/10 x ")
    words = re.sub(r"\btools\b", "other tools", words.replace("97656 KiB", "100 MB"))
    return re.sub(r"\bunions\b", "other unions", re.sub(r"(?<![.\d])1 x ", "", words))


def judge(row, figures):
    """[(part of the goal, column, figure / limit)] of a row, for what was measured."""
    found = []
    for part in row.goal.split(";"):
        scope, _, limit = part.strip().rpartition(":")
        for peer in figures.columns(row):
            value = figures.get(row.name, peer)
            if value is None or not is_ours(peer) or not applies(scope, peer):
                continue
            most = limit_of(limit.strip(), row.name, peer, figures)
            if most is not None:
                found.append((part.strip(), peer, value / most if most else float(value > 0)))
    return found


def goals_table(figures):
    lines = []
    for row in figures.rows.values():
        if not row.goal or row.name not in figures.samples:
            continue
        verdicts = judge(row, figures)
        broken = {peer for peer in figures.columns(row) if is_ours(peer) and figures.failed(row.name, peer)}
        missed = []
        for part in row.goal.split(";"):
            over = [f"{peer} {times:.2f}" for of, peer, times in verdicts if of == part.strip() and times > 1.0]
            if over:
                missed.append((goal_words(part.strip()) + " - " if ";" in row.goal else "") + ", ".join(over))
        if broken:
            missed.append("failed: " + ", ".join(sorted(broken)))
        answer = "no" if missed else "yes" if verdicts else "-"
        lines.append([row.title, goal_words(row.goal), answer, "; ".join(missed)])
    if not lines:
        return ""
    reached = sum(line[2] == "yes" for line in lines)
    judged = sum(line[2] != "-" for line in lines)
    return (f"{reached} of {judged} goals are reached. Where one is not, how many times the limit it takes.\n\n"
            + format_table(["", "goal: at most", "reached", "by how much not"], lines, left=(0, 1, 2, 3)))


# ---- tables ----

def number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(row, peer, base, figures):
    value = figures.get(row.name, peer)
    if figures.failed(row.name, peer):
        return "failed"
    if value is None:
        return "-"
    text = number(value / UNITS[row.unit])
    compared = figures.get(row.name, base) if base else None
    return f"{text} ({number(value / compared)})" if compared and peer != base else text


def format_table(header, lines, left=(0,)):
    widths = [max(len(line[i]) for line in [header] + lines) for i in range(len(header))]

    def show(line):
        return "| " + " | ".join(text.ljust(width) if i in left else text.rjust(width)
                                 for i, (text, width) in enumerate(zip(line, widths))) + " |\n"

    rule = "|".join("-" * (width + 1) + ("-" if i in left else ":") for i, width in enumerate(widths))
    return show(header) + "|" + rule + "|\n" + "".join(show(line) for line in lines)


def table(figures, rows, columns, base):
    columns = [peer for peer in columns if any(peer in figures.samples[row.name] for row in rows)]
    lines = [[f"{row.title}, {row.unit}", f"{row.statistic} of {figures.rounds(row.name)}"]
             + [cell(row, peer, base, figures) for peer in columns] for row in rows]
    return format_table(["", "figure"] + columns, lines)


def kinds_text(kinds):
    """What there is at least a hundredth of for each operation."""
    shown = [f"{name} {number(sent)}" for name, sent in sorted(kinds.items(), key=lambda item: -item[1]) if sent >= 0.01]
    return ", ".join(shown)


def requests_table(figures, requests):
    """What the requests of an operation take at least: so many times the one that has nothing to do."""
    lines = []
    for row in figures.rows.values():
        if row.group not in IN_TURN or row.name == "round-trip":
            continue
        for peer in COUNTED:
            kinds = requests.get(row.name, {}).get(peer)
            trip, value = figures.get("round-trip", peer), figures.get(row.name, peer)
            if kinds is None or trip is None or value is None:
                continue
            sent, kernel = sum(kinds.values()), figures.get(row.name, "overlayfs")
            lines.append([f"{row.title}, {row.unit}", peer, number(sent), number(sent * trip / UNITS[row.unit]),
                          number(value / UNITS[row.unit]), number(kernel / UNITS[row.unit]) if kernel else "-",
                          kinds_text(kinds)])
    if not lines:
        return ""
    trips = ", ".join(f"{peer} {number(figures.get('round-trip', peer) / UNITS['us'])}" for peer in figures.peers
                      if figures.get("round-trip", peer))
    return (f"\nA request that has nothing to do takes, us: {trips}.\n\n"
            + format_table(["", "column", "requests", "times round trip", "measured", "overlayfs", "of each kind"], lines,
                           left=(0, 1, 6)))


def tables(run, goals):
    figures = Figures(run)
    measured = [row for row in figures.rows.values() if row.name in figures.samples]
    unions = [row for row in measured if row.group not in ("import", "load")]
    imports = [row for row in measured if row.group == "import"]
    loads = [row for row in measured if row.group == "load"]
    text = "\n".join("- " + run[key] for key in ("machine", "kernel", "versions", "sizes")) + "\n"
    if unions:
        base = "overlayfs" if "overlayfs" in run["peers"] else "native"
        text += (f"\nIn brackets how many times {'kernel overlayfs' if base == 'overlayfs' else base}. "
                 "\"-\": the row has no meaning there, or the program cannot do it.\n\n")
        text += table(figures, unions, run["peers"], base)
    if imports:
        text += f"\nImport of {run['image']}. In brackets how many times tar -x.\n\n"
        text += table(figures, imports, IMPORT_COLUMNS, "tar -x")
    if loads:
        text += f"\nThe image: {run['packages']}. In brackets how many times nacre.\n\n"
        text += table(figures, loads, LOAD_COLUMNS, "nacre")
    if goals:
        text += "\n" + goals_table(figures)
    return text + requests_table(figures, run.get("requests", {}))


def write_results(path, run):
    """Between <!-- podman -->, or <!-- disk --> or <!-- tmpfs --> by where the uppers were, and the next <!-- end -->."""
    if any(name.startswith("podman-") for name in run["samples"]):
        mark = "podman"
    else:
        mark = "tmpfs" if "tmpfs" in run["machine"] else "disk"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    body = f"<!-- {mark} -->\n\n{tables(run, mark != 'tmpfs')}\n<!-- end -->"
    new, count = re.subn(rf"<!-- {mark} -->.*?<!-- end -->", lambda _: body, text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"report: error: {path} has no place for it: <!-- {mark} --> and <!-- end -->")
    with open(path, "w", encoding="utf-8") as file:
        file.write(new)


def main(arguments):
    if len(arguments) == 3 and arguments[0] == "collect":
        collect(*arguments[1:])
    elif len(arguments) >= 2 and arguments[0] == "table":
        goals = "--goals" in arguments
        print(tables(merge([path for path in arguments[1:] if path != "--goals"]), goals), end="")
    elif len(arguments) >= 3 and arguments[0] == "results":
        write_results(arguments[1], merge(arguments[2:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
