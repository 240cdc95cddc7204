#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One bit of a store is flipped, many times: verify finds it, or nobody can tell the difference.

usage: flips.py NACRE STORE SEED COUNT

Half of the bits are of the index, half of the files of contents; of the index's only those near bytes that are in use.
Prints the seed, and each flip that was neither found nor harmless.
"""
import hashlib
import os
import random
import shutil
import subprocess
import sys

LISTINGS = (["images", "--json", "--no-trunc"], ["ps", "-a", "--json"])
OF_IMAGE = (["history", "--json"], ["layers", "--json"], ["inspect"], ["export"], ["save", "--format", "oci-archive"])


class Store:
    def __init__(self, nacre, folder):
        self.nacre, self.folder, self.kept = nacre, folder, folder + ".kept"
        self.names = self.run("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.decode().split()
        shutil.copytree(folder, self.kept)

    def run(self, *args):
        return subprocess.run(
            [self.nacre, "--store", self.folder, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=120
        )

    def seen(self):
        """What its users see: listings, and every byte of the images."""
        asked = [list(args) for args in LISTINGS]
        asked += [[args[0], name, *args[1:]] for name in self.names for args in OF_IMAGE]
        for args in asked:
            done = self.run(*args)
            # When this store got a layer stands in one place, and nothing hangs on it.
            told = b"\n".join(line for line in done.stdout.split(b"\n") if b'"Stored"' not in line)
            yield args, done.returncode, hashlib.sha256(told).hexdigest()

    def restore(self):
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)


def places(folder):
    """For each file with something in it the offsets that are worth a flip."""
    for base, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(base, name)
            with open(path, "rb") as file:
                data = file.read()
            used = range(len(data))
            if name == "index.db":
                used = [i for i in used if any(data[max(i - 4, 0) : i + 5])]
            if used:
                yield path, used


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def outcome(store, good):
    try:
        done = store.run("verify")
    except subprocess.TimeoutExpired:
        return "verify does not end"
    if done.returncode == 1 and done.stderr.startswith(b"nacre: "):
        return "found"
    if done.returncode != 0:
        return f"verify ends with {done.returncode}: {done.stderr[-300:]}"
    for was, now in zip(good, store.seen()):
        if was != now:
            return f"verify finds nothing, and nacre {' '.join(was[0])} is another"
    return "harmless"


def main():
    nacre, folder, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    rng = random.Random(seed)
    store = Store(nacre, folder)
    good = list(store.seen())
    files = list(places(folder))
    index = [f for f in files if f[0].endswith("/index.db")]
    others = [f for f in files if f not in index]
    outcomes = {"found": 0, "harmless": 0}
    wrong = 0
    for no in range(count):
        path, used = rng.choice(others if no % 2 else index)
        offset, bit = rng.choice(used), rng.randrange(8)
        flip(path, offset, bit)
        result = outcome(store, good)
        if result in outcomes:
            outcomes[result] += 1
        else:
            wrong += 1
            print(f"{os.path.relpath(path, folder)}, byte {offset}, bit {bit}: {result}")
        store.restore()
    print(f"seed {seed}: {count} flips, {outcomes['found']} found, {outcomes['harmless']} harmless, {wrong} neither")
    return wrong > 0


sys.exit(main())
