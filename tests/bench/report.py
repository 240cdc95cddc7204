#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the table of one run of tests/bench/run.sh.

usage: report.py FOLDER [JSON_FILE]
FOLDER holds, as run.sh leaves them: samples ("ROW\tPEER\tNANOSECONDS" or "failed"), rows and import-rows
("NAME | UNIT | TITLE"), about ("KEY\tTEXT"; peers: the order of the columns).
"""
import json
import os
import statistics
import sys

UNITS = {"us": 1e3, "ms": 1e6}


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [[part.strip() for part in line.split("|", 2)] for line in file if line.strip()]


def read_samples(path):
    """{row: {peer: [nanoseconds, or None for a failure]}}"""
    samples = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row, peer, value = line.rstrip("\n").split("\t")
            samples.setdefault(row, {}).setdefault(peer, []).append(None if value == "failed" else float(value))
    return samples


def least(values):
    good = [value for value in values or [] if value is not None]
    return min(good) if good else None


def number(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value, base):
    if base is None:
        return "-"
    return f"{value / base:.2f}" if value < 10 * base else f"{value / base:.0f}"


def cell(values, unit, bases):
    """The least of @values, and in brackets how many times each of @bases it is; None: nothing to compare with."""
    if not values:
        return "-"
    value = least(values)
    if value is None:
        return "failed"
    text = number(value / UNITS[unit])
    return f"{text} ({', '.join(ratio(value, base) for base in bases)})" if any(bases) else text


def print_table(header, lines):
    widths = [max(len(line[i]) for line in [header] + lines) for i in range(len(header))]

    def show(line):
        print("| " + " | ".join(text.ljust(width) if i == 0 else text.rjust(width)
                                for i, (text, width) in enumerate(zip(line, widths))) + " |")

    show(header)
    print("|" + "|".join(("-" * (width + 1) + (":" if i else "-")) for i, width in enumerate(widths)) + "|")
    for line in lines:
        show(line)


def table(rows, samples, base_names, order):
    """A line for each row that has samples; the ratios of a cell are to the peers in @base_names."""
    seen = {peer for row, _, _ in rows for peer in samples.get(row, {})}
    peers = [peer for peer in order if peer in seen]
    lines = []
    for row, unit, title in rows:
        got = samples.get(row)
        if not got:
            continue
        bases = {name: least(got.get(name)) for name in base_names if name in peers}
        count = max(len(values) for values in got.values())
        line = [f"{title}, {unit}", str(count)]
        for peer in peers:
            # A base is compared with the bases before it, everybody else with all of them.
            against = base_names[:base_names.index(peer)] if peer in base_names else base_names
            line.append(cell(got.get(peer), unit, [bases[name] for name in against if name in bases]))
        lines.append(line)
    print_table(["", "rounds"] + peers, lines)


def main():
    folder = sys.argv[1]
    samples = read_samples(os.path.join(folder, "samples"))
    rows = read_rows(os.path.join(folder, "rows"))
    import_rows = read_rows(os.path.join(folder, "import-rows"))
    with open(os.path.join(folder, "about"), encoding="utf-8") as file:
        about = dict(line.rstrip("\n").split("\t", 1) for line in file)

    print(about["machine"])
    print(about["versions"])
    print(about["sizes"])
    has_overlayfs = any("overlayfs" in samples.get(row, {}) for row, _, _ in rows)
    print("\nThe least of the rounds; in brackets how many times native"
          + (" and how many times kernel overlayfs." if has_overlayfs else ".") + "\n")
    table(rows, samples, ["native", "overlayfs"], about["peers"].split())
    if any(row in samples for row, _, _ in import_rows):
        print(f"\nImport of {about['image']}. The least of the rounds; in brackets how many times tar -x.\n")
        table(import_rows, samples, ["tar -x"], ["nacre", "tar -x", "tar -x, sync", "umoci unpack", "podman load"])

    if len(sys.argv) > 2:
        units = {row: (unit, title) for row, unit, title in rows + import_rows}
        result = {
            **about,
            "statistic": "least",
            "rows": [
                {
                    "row": row,
                    "title": units[row][1],
                    "unit": "ns",
                    "peers": {
                        peer: {
                            "least": least(values),
                            "median": statistics.median([v for v in values if v is not None] or [0]),
                            "samples": values,
                        }
                        for peer, values in peers.items()
                    },
                }
                for row, peers in samples.items()
            ],
        }
        with open(sys.argv[2], "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


main()
