#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random operations on a mounted tree and on a plain directory, which must stay the same.

usage: model.py run SEED COUNT CONTROL MOUNT MODEL [OPTIONS...]   COUNT operations in both, comparing each result
       model.py replay FILE CONTROL MOUNT MODEL                   those of a file, as a failure prints them

CONTROL is a program: "CONTROL reset" mounts with an empty upper, "CONTROL mount OPTIONS" goes on with it,
"CONTROL unmount".  The OPTIONS are those to mount with from time to time.

Compared are the result of each operation and, from time to time, after a remount too, all there is to see: types,
modes, owners, link counts, contents, targets, xattrs, and times, as far as they are old: what was not changed keeps its
time to the nanosecond.  An inode has one number as long as it lives.

A failure prints its seed and as few of the operations as still fail, if NACRE_SHRINK seconds (100) are enough.
"""

import ast
import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import time

from tree import KEEP_SIZE, OLD, PUNCH_HOLE, ZERO_RANGE, Tree, identity

NAMES = ["a", "b", "c", "dd", "e", "file", "link", "longer-name"]
SHRINK_SECONDS = int(os.environ.get("NACRE_SHRINK", 100))


class Operations:
    """Draws operations for a tree; each is a tuple: the name of a method of Tree, and its arguments."""

    # What is left out where the file system or the user cannot do it, see KIND and main().
    def __init__(self, seed, options=(), without=()):
        self.random = random.Random(seed)
        self.options = list(options)
        names = [n for n in dir(self) if n.startswith("op_") and n[3:] not in without]
        self.draws = [getattr(self, n) for n in names]
        self.weights = [self.weight.get(n[3:], 3) for n in names]
        self.drawn = 0

    # Those without an entry have 3.
    weight = {"create": 14, "write": 8, "append": 4, "overwrite": 4, "truncate": 4, "read": 4, "unlink": 8, "mkdir": 10,
              "rename": 14, "exchange": 4, "link": 6, "symlink": 2, "mkfifo": 1, "mknod": 1, "hold": 4, "use": 7,
              "use_map": 2, "map_write": 2, "release": 1, "rmtree": 0.3, "remount": 0.2, "check": 0.5, "forget": 0.5,
              "read_some": 8, "fsync": 0.3, "setcap": 1, "stat": 5, "commit": 0.3}

    def draw(self, tree):
        if self.drawn % 20 == 0:
            self.found, self.dirs = tree.paths()
        self.drawn += 1
        if self.drawn == 1 and self.options:
            return self.op_remount()
        return self.random.choices(self.draws, self.weights)[0]()

    def old(self):
        """Mostly something that is there."""
        if self.found and self.random.random() < 0.75:
            return self.random.choice(self.found)
        return self.new()

    def new(self):
        path = os.path.normpath(os.path.join(self.random.choice(self.dirs), self.random.choice(NAMES)))
        return path if len(path) < 1500 else self.random.choice(NAMES)

    def slot(self):
        return self.random.randrange(8)

    def data(self):
        return self.random.randrange(1, 256), self.random.choice([0, 1, 10, 100, 5000, 70000])

    def offset(self):
        return self.random.choice([0, 1, 3, 4096, 5000, 10000])

    def size(self):
        return self.random.choice([0, 1, 5, 4096, 9999, 100000])

    def mode(self):
        return self.random.choice([0o700, 0o711, 0o755, 0o777, 0o1777, 0o2775, 0o6755])

    def op_create(self):
        return "create", self.new(), self.data(), self.random.choice([0o644, 0o600, 0o777])

    def op_write(self):
        return "write", self.old(), self.offset(), self.data()

    def op_append(self):
        return "append", self.old(), self.data()

    def op_overwrite(self):
        return "overwrite", self.old(), self.data()

    def op_truncate(self):
        return "truncate", self.old(), self.size()

    def op_truncate_path(self):
        return "truncate_path", self.old(), self.size()

    def op_allocate(self):
        return ("allocate", self.old(), self.random.choice([0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE]),
                self.offset(), self.random.choice([1, 4096, 20000]))

    def op_map_write(self):
        return "map_write", self.old(), self.offset(), self.data()

    def op_copy_range(self):
        return "copy_range", self.old(), self.old(), self.offset(), self.offset(), self.size()

    def op_read(self):
        return "read", self.old()

    def op_fsync(self):
        return "fsync", self.old()

    def op_hold(self):
        return "hold", self.old(), self.slot(), self.random.choice([os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_APPEND])

    def op_tmpfile(self):
        return "tmpfile", self.random.choice(self.dirs), self.slot(), 0o640

    def op_link_held(self):
        return "link_held", self.slot(), self.new()

    def op_release(self):
        return "release", self.slot()

    def op_use(self):
        return "use", self.slot(), self.offset(), self.data()

    def op_use_map(self):
        return "use_map", self.slot(), self.offset(), self.data()

    def op_change_held(self):
        what, value = self.random.choice([("chmod", self.mode()), ("utimens", self.random.randrange(OLD)),
                                          ("truncate", self.size()), ("setxattr", self.random.randrange(100))])
        return "change_held", self.slot(), what, value

    def op_unlink(self):
        return "unlink", self.old()

    def op_mkdir(self):
        return "mkdir", self.new(), self.random.choice([0o755, 0o700, 0o777])

    def op_rmdir(self):
        return "rmdir", self.old()

    def op_rename(self):
        return "rename", self.old(), self.random.choice([self.new, self.old])(), 0

    def op_noreplace(self):
        return "rename", self.old(), self.new(), 1

    def op_exchange(self):
        return "rename", self.old(), self.old(), 2

    def op_link(self):
        return "link", self.old(), self.new()

    def op_symlink(self):
        return "symlink", self.random.choice(["x", "a/b", "../" + self.old()]), self.new()

    def op_mkfifo(self):
        return "mkfifo", self.new(), 0o644

    def op_mknod(self):
        kinds = [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK]
        if self.op_commit in self.draws:  # no image has them
            kinds.remove(stat.S_IFSOCK)
        return "mknod", self.new(), self.random.choice(kinds) | 0o600, 0x507

    def op_chmod(self):
        return "chmod", self.old(), self.mode()

    def op_chown(self):
        # Of a chown to the owner and group that are there, -1 and -1, the file system hears nothing.
        return "chown", self.old(), *self.random.choice([(0, 0), (1234, -1), (-1, 5678), (1234, 5678), (0, -1)])

    def op_utimens(self):
        return "utimens", self.old(), self.random.randrange(OLD)

    def op_setxattr(self):
        return ("setxattr", self.old(), "user." + self.random.choice("xyz"),
                (118, self.random.choice([0, 1, 20, 300])))

    def op_removexattr(self):
        return "removexattr", self.old(), "user." + self.random.choice("xyz")

    def op_acl(self):
        name = self.random.choice(["system.posix_acl_access", "system.posix_acl_default"])
        if self.random.random() < 0.2:
            return "removexattr", self.old(), name
        return "setacl", self.old(), name, self.random.choice([77, 1234]), self.random.randrange(8)

    def op_setcap(self):
        return "setcap", self.old()

    def op_stat(self):
        return "stat", self.old()

    def op_listdir(self):
        return "listdir", self.random.choice(self.dirs)

    def op_opendir(self):
        return "opendir", self.random.choice(self.dirs), self.random.randrange(3)

    def op_read_some(self):
        return "read_some", self.random.randrange(3), self.random.choice([64, 100, 250, 10000])

    # These are no operations of Tree, but of Run.

    def op_rmtree(self):
        return "rmtree", self.random.choice(self.dirs)

    def op_remount(self):
        return "remount", self.random.choice(self.options) if self.options else ""

    def op_check(self):
        return "check",

    def op_forget(self):
        return "forget",

    def op_commit(self):
        return "commit",


class Differs(Exception):
    """kind: what shrinking has to keep, or it would end up with another failure."""

    def __init__(self, text, kind):
        super().__init__(text)
        self.kind = kind


def differs(what, wanted, seen, kind=None):
    if isinstance(wanted, dict) and isinstance(seen, dict):
        keys = [k for k in wanted if wanted[k] != seen.get(k)]
        wanted, seen = {k: wanted[k] for k in keys}, {k: seen.get(k) for k in keys}
        kind = (kind, *keys)
    raise Differs("%s: expected %.300r, seen %.300r" % (what, wanted, seen), kind or what)


class Run:
    """A mount and its model: the same operations on both."""

    def __init__(self, control, mount, model):
        self.control_program = control
        self.mount, self.model = Tree(mount), Tree(model)

    def control(self, *args):
        subprocess.run([self.control_program, *args], check=True, stdin=subprocess.DEVNULL)

    def start(self):
        self.release()
        self.inos = {}  # identity in the model -> st_ino in the mount
        self.counts, self.committed = True, False
        self.steady = {}  # slot of a listing -> names that stood there all the time
        self.names_read = {}
        self.control("reset")
        self.copy_mount()

    def copy_mount(self):
        shutil.rmtree(self.model.top, ignore_errors=True)
        os.mkdir(self.model.top)
        subprocess.run(["cp", "-a", self.mount.top + "/.", self.model.top], check=True)

    def release(self):
        self.mount.release_all()
        self.model.release_all()

    def stop(self):
        self.release()
        self.control("unmount")

    def do(self, operation):
        special = getattr(self, "do_" + operation[0], None)
        if special:
            special(*operation[1:])
        else:
            self.both(*operation)

    def both(self, name, *args):
        results = []
        for tree in (self.model, self.mount):
            try:
                results.append(getattr(tree, name)(*args))
            except OSError as e:
                results.append(errno.errorcode[e.errno])
        if self.counted(results[0]) != self.counted(results[1]):
            differs("%s%.200r" % (name, args), results[0], results[1], name)
        return results[0]

    def counted(self, seen):
        """In a layer names of one file may stand apart, and names count that a later one has taken away."""
        if isinstance(seen, dict) and not self.counts and not stat.S_ISDIR(int(seen["mode"], 8)):
            return {**seen, "nlink": "some", "same inode": "some"}
        return tuple(map(self.counted, seen)) if isinstance(seen, tuple) else seen

    def do_stat(self, path):
        if isinstance(self.both("stat", path), dict):
            self.check_ino(path)

    def check_ino(self, path):
        key, st = identity(self.model.at(path)), os.lstat(self.mount.at(path))
        # A plain user's upper has nowhere to keep the number of a copied symlink: user.* cannot stand on it.
        if os.getuid() != 0 and not stat.S_ISREG(st.st_mode) and not stat.S_ISDIR(st.st_mode):
            return
        if key and self.inos.setdefault(key, st.st_ino) != st.st_ino:
            differs("st_ino of " + path, self.inos[key], st.st_ino, "st_ino")

    def standing(self, slot):
        fd = self.model.listings[slot]
        try:
            return {name: identity(name, fd) for name in os.listdir(fd)}
        except FileNotFoundError:  # the directory was removed
            return {}

    def do_opendir(self, path, slot):
        self.steady.pop(slot, None)
        if self.both("opendir", path, slot) is None and slot in self.model.listings:
            self.steady[slot], self.names_read[slot] = self.standing(slot), []

    def do_read_some(self, slot, size):
        if slot not in self.steady:
            return
        now = self.standing(slot)
        self.steady[slot] = {n: i for n, i in self.steady[slot].items() if now.get(n) == i}
        try:
            names = self.mount.read_some(slot, size)
        except OSError as e:
            names = []
            if e.errno != errno.ENOENT or now:
                differs("a directory's next names", [], e)
        self.names_read[slot] += names
        if names:
            return
        wanted = sorted(self.steady.pop(slot))
        seen = sorted(n for n in self.names_read[slot] if n in wanted)
        if wanted != seen:
            differs("names of a directory read in pieces", wanted, seen)

    def do_rmtree(self, top):
        if top == "." or not os.path.isdir(self.model.at(top)):
            return
        for where, subdirs, files in os.walk(self.model.at(top), topdown=False):
            rel = os.path.relpath(where, self.model.top)
            for name in files + [d for d in subdirs if os.path.islink(os.path.join(where, d))]:
                self.both("unlink", os.path.join(rel, name))
            self.both("rmdir", rel)

    def do_remount(self, options):
        self.release()
        self.steady = {}
        self.do_check()
        self.control("unmount")
        self.control("mount", options)
        if self.committed:
            self.inos, self.counts, self.committed = {}, False, False
            self.check_tree(self.model.snapshot(), self.mount)
            self.copy_mount()
        else:
            self.do_check()

    def do_forget(self):
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2")

    def do_commit(self):
        """What is open goes on.  The image is what is there now; the next mount gives its files other numbers."""
        self.committed = True
        self.check_tree(self.model.snapshot(), self.mount)
        self.control("commit")
        self.do_check()
        self.control("show")
        counts, self.counts = self.counts, False
        self.check_tree(self.model.snapshot(), Tree(self.mount.top + ".image"))
        self.counts = counts
        self.control("hide")

    def do_check(self):
        self.check_tree(self.model.snapshot(), self.mount)
        for path in self.model.paths()[0] + ["."]:
            self.check_ino(path)

    def check_tree(self, wanted, tree):
        seen = tree.snapshot()
        for path in sorted(set(seen) | set(wanted)):
            if path == "." and path in seen:
                seen[path]["nlink"] = wanted[path]["nlink"]
            if self.counted(seen.get(path)) != self.counted(wanted.get(path)):
                differs(path, wanted.get(path), seen.get(path), "tree")


def attempt(run, operations):
    """Do them all from the beginning. Return: what differed (Differs), or None."""
    run.start()
    try:
        for operation in operations:
            run.do(operation)
        run.do(("remount", ""))
    except Differs as e:
        return e
    finally:
        run.stop()
    return None


def shrink(fails, operations):
    """Leave out what can be left out: all of one name, then halves, quarters, ... while it still fails."""
    deadline = time.monotonic() + SHRINK_SECONDS
    for name in sorted({o[0] for o in operations}):
        fewer = [o for o in operations if o[0] != name]
        if time.monotonic() < deadline and fails(fewer):
            operations = fewer
    size = len(operations) // 2
    while size >= 1:
        pos = 0
        while pos < len(operations):
            fewer = operations[:pos] + operations[pos + size:]
            if time.monotonic() > deadline:
                return operations
            if fails(fewer):
                operations = fewer
            else:
                pos += size
        size //= 2
    return operations


def report(seed, operations, what, again):
    """Print the failure and how to come to it. @again: does operations, returns what differed."""
    print("seed %s, operation %d: %s" % (seed, len(operations), what), flush=True)
    if SHRINK_SECONDS > 0:
        def fails(some):
            seen = again(some)
            return seen and seen.kind == what.kind
        if fails(operations):
            operations = shrink(fails, operations)
            print("the same comes of these operations: %s" % again(operations))
        else:
            print("it does not come again; the last operations:")
            operations = operations[-60:]
    for operation in operations:
        print("  %r" % (operation,))
    return 1


def run_seed(run, seed, count, draw):
    operations, what = [], None
    run.start()
    try:
        for _ in range(count):
            operations.append(draw.draw(run.model))
            run.do(operations[-1])
        run.do(("remount", ""))
    except Differs as e:
        what = e
    run.stop()
    return report(seed, operations, what, lambda some: attempt(run, some)) if what else 0


def unavailable():
    """Operations that this user cannot do, or for which a fake root's mount has no words."""
    without = set(os.environ.get("NACRE_WITHOUT", "").split())
    if os.getuid() != 0:
        without |= {"chown", "mknod", "setcap", "forget"}
    kind = os.environ.get("KIND", "")
    if kind.startswith("fake") or (kind == "container" and os.getuid() != 0):
        without.add("acl")
    if kind != "container":
        without.add("commit")
    return without


def main(args):
    os.umask(0o022)
    if len(args) >= 6 and args[0] == "run":
        draw = Operations(int(args[1]), args[6:], unavailable())
        return run_seed(Run(*args[3:6]), args[1], int(args[2]), draw)
    if len(args) == 5 and args[0] == "replay":
        with open(args[1]) as f:
            operations = [ast.literal_eval(line.strip()) for line in f]
        what = attempt(Run(*args[2:5]), operations)
        print(what or "no difference")
        return 1 if what else 0
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
