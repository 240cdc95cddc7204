#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random operations through one union file system, and all others must then show the same tree.

usage: interop.py run SEED ROUNDS COUNT CONTROL MOUNT UPPER NAME...   each round: COUNT operations through one of them
       interop.py replay FILE CONTROL MOUNT UPPER NAME...             those of a file, as a failure prints them

CONTROL is a program: "CONTROL reset" begins with an empty upper, "CONTROL mount NAME" mounts it, "CONTROL unmount".
Each round goes on with the upper of the one before.  What is seen through the writer, times to the nanosecond, has
to be seen through each of the others, but for those that cannot read what is in the upper: see can_read().
"""

import ast
import os
import random
import shutil
import stat
import subprocess
import sys

from model import Differs, Operations, differs, report
from tree import Tree

# What is not of the tree, or changes nothing.
WITHOUT = {"remount", "check", "forget", "commit", "opendir", "read_some", "listdir", "stat", "read"}
# What fuse-overlayfs 1.10 does without losing files, or hanging, on the way.
SAFE = {"create", "write", "append", "overwrite", "truncate", "unlink", "mkdir", "rmdir", "symlink", "chmod", "chown",
        "utimens", "setxattr", "removexattr"}


def private(name):
    return name.startswith(("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."))


def marks(upper):
    """What the upper has in it that not everybody can read."""
    found = set()
    for where, dirs, files in os.walk(upper):
        for name in dirs + files:
            path = os.path.join(where, name)
            if name.startswith(".wh."):
                found.add(".wh.")
            found.update(os.listxattr(path, follow_symlinks=False))
    return found


def can_read(name, found):
    if name == "fuse-overlayfs":
        return not any(x.endswith((".overlay.redirect", ".overlay.metacopy")) for x in found)
    if name.startswith("kernel"):
        if found & {".wh.", "user.fuseoverlayfs.opaque"}:
            return False
        if "user" in name:
            return not found & {"user.overlay.redirect", "user.overlay.metacopy", "trusted.overlay.opaque"}
        return "metacopy" in name or "trusted.overlay.metacopy" not in found
    return True


def without(seen, *keys):
    return {path: {k: v for k, v in one.items() if k not in keys} for path, one in seen.items()}


class Interop:
    def __init__(self, control, mount, upper, names):
        self.control_program, self.upper, self.names = control, upper, names
        self.tree = Tree(mount)

    def control(self, *args):
        subprocess.run([self.control_program, *args], check=True, stdin=subprocess.DEVNULL)

    def start(self):
        self.writer = None
        self.control("reset")

    def look(self, name):
        seen = self.tree.snapshot(times=True)
        for path, one in seen.items():
            if name == "fuse-overlayfs" or any(x.startswith("user.fuseoverlayfs.") for x, _ in one["xattrs"]):
                one["xattrs"] = [x for x in one["xattrs"] if not private(x[0])]
            if stat.S_ISDIR(int(one["mode"], 8)):
                del one["nlink"]
        return seen

    def change(self, operation):
        if self.writer == "fuse-overlayfs" and operation[0] not in SAFE:
            return
        try:
            if operation[0] == "rmtree":
                if operation[1] != ".":
                    shutil.rmtree(self.tree.at(operation[1]), ignore_errors=True)
            else:
                getattr(self.tree, operation[0])(*operation[1:])
        except OSError:
            pass  # not every operation makes sense, and not every writer can do all

    def do(self, operation):
        if operation[0] == "as":
            self.finish()
            self.writer = operation[1]
            self.control("mount", self.writer)
        elif self.writer:
            self.change(operation)

    def finish(self):
        """What the writer shows, all others must."""
        if not self.writer:
            return
        self.tree.release_all()
        wanted = self.look(self.writer)
        self.control("unmount")
        if self.writer == "fuse-overlayfs":
            # Its own next mount shows other times: those on the disk.
            self.control("mount", self.writer)
            wanted = self.look(self.writer)
            self.control("unmount")
        found = marks(self.upper)
        for name in [self.writer] + [n for n in self.names if n != self.writer and can_read(n, found)]:
            self.control("mount", name)
            seen = self.look(name)
            self.control("unmount")
            expected = wanted
            # fuse-overlayfs forgets over a remount that two names are one inode; the kernel's numbers may meet.
            loose = {"fuse-overlayfs": ("nlink", "same inode"), "kernel": ("same inode",)}
            for one in (self.writer, name):
                for start, keys in loose.items():
                    if one.startswith(start):
                        seen, expected = without(seen, *keys), without(expected, *keys)
            for path in sorted(set(seen) | set(expected)):
                if seen.get(path) != expected.get(path):
                    differs("%s, written by %s, read by %s" % (path, self.writer, name), expected.get(path),
                            seen.get(path), (self.writer, name))
        self.writer = None


def attempt(interop, operations):
    interop.start()
    try:
        for operation in operations:
            interop.do(operation)
        interop.finish()
    except Differs as e:
        return e
    finally:
        interop.tree.release_all()
    return None


def run(interop, seed, rounds, count):
    draw, order = Operations(seed, (), WITHOUT), random.Random(seed)
    operations = []
    interop.start()
    try:
        for _ in range(rounds):
            found = marks(interop.upper)
            operations.append(("as", order.choice([n for n in interop.names if can_read(n, found)])))
            interop.do(operations[-1])
            for _ in range(count):
                operation = draw.draw(interop.tree)
                operations.append(operation)
                interop.do(operation)
        interop.finish()
    except Differs as e:
        interop.tree.release_all()
        return report(seed, operations, e, lambda some: attempt(interop, some))
    return 0


def main(args):
    os.umask(0o022)
    if len(args) >= 8 and args[0] == "run":
        return run(Interop(*args[4:7], args[7:]), int(args[1]), int(args[2]), int(args[3]))
    if len(args) >= 6 and args[0] == "replay":
        with open(args[1]) as f:
            operations = [ast.literal_eval(line.strip()) for line in f]
        what = attempt(Interop(*args[2:5], args[5:]), operations)
        print(what or "no difference")
        return 1 if what else 0
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
