#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random operations on a mounted tree and on a plain directory, which must stay the same.

usage: model.py run SEED COUNT MOUNT MODEL   do COUNT operations in both, comparing each result, the trees at the end
       model.py compare MOUNT MODEL          compare the trees only

Both directories begin with the same content.  What differs ends the run with the seed and the last operations.
"""

import errno
import os
import random
import stat
import sys
import ctypes

libc = ctypes.CDLL(None, use_errno=True)
LAST = 25
NAMES = ["a", "b", "c", "dd", "e", "file", "link", "n" * 40]


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


class Tree:
    """One side: operations take paths relative to its top and return what can be compared."""

    def __init__(self, top):
        self.top = top
        self.open = {}  # slot -> descriptor

    def at(self, path):
        return os.path.join(self.top, path)

    def create(self, path, data, mode):
        fd = os.open(self.at(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        os.write(fd, data)
        os.close(fd)

    def write(self, path, offset, data):
        fd = os.open(self.at(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.pwrite(fd, data, offset)
        finally:
            os.close(fd)

    def append(self, path, data):
        fd = os.open(self.at(path), os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def overwrite(self, path, data):
        fd = os.open(self.at(path), os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def truncate(self, path, size):
        fd = os.open(self.at(path), os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def read(self, path):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)

    def hold(self, path, slot, flags):
        self.release(slot)
        self.open[slot] = os.open(self.at(path), flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    def release(self, slot):
        if slot in self.open:
            os.close(self.open.pop(slot))

    def use(self, slot, offset, data):
        if slot not in self.open:
            return None
        fd = self.open[slot]
        try:
            os.pwrite(fd, data, offset)
        except OSError as e:
            if e.errno != errno.EBADF:
                raise
        st = os.fstat(fd)
        if stat.S_ISDIR(st.st_mode):
            return "dir", st.st_nlink == 0
        return os.pread(fd, 1 << 20, 0), st.st_size, st.st_nlink

    def unlink(self, path):
        os.unlink(self.at(path))

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, old, new, flags):
        renameat2(self.at(old), self.at(new), flags)

    def link(self, old, new):
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def mkfifo(self, path, mode):
        os.mkfifo(self.at(path), mode)

    def chmod(self, path, mode):
        if not os.path.islink(self.at(path)):
            os.chmod(self.at(path), mode)

    def utimens(self, path, ns):
        os.utime(self.at(path), ns=(ns, ns), follow_symlinks=False)

    def setxattr(self, path, name, value):
        os.setxattr(self.at(path), name, value, follow_symlinks=False)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name, follow_symlinks=False)

    def listdir(self, path):
        return sorted(os.listdir(self.at(path)))

    def stat(self, path):
        st = os.lstat(self.at(path))
        return oct(st.st_mode), st.st_nlink, 0 if stat.S_ISDIR(st.st_mode) else st.st_size

    def fsync(self, path):
        fd = os.open(self.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        os.fsync(fd)
        os.close(fd)

    def paths(self):
        """(all, directories) as the model has them now; the root is "."."""
        found, dirs = [], ["."]
        for where, subdirs, files in os.walk(self.top):
            rel = os.path.relpath(where, self.top)
            for name in subdirs:
                path = os.path.normpath(os.path.join(rel, name))
                found.append(path)
                if not os.path.islink(os.path.join(where, name)):
                    dirs.append(path)
            found.extend(os.path.normpath(os.path.join(rel, name)) for name in files)
        return sorted(found), sorted(dirs)

    def snapshot(self):
        """All there is to see, inode numbers by the groups they form."""
        found, groups = {}, {}
        for path in self.paths()[0] + ["."]:
            full = self.at(path)
            st = os.lstat(full)
            look = [oct(st.st_mode), st.st_uid, st.st_gid]
            if path != ".":
                look.append(st.st_nlink)
            if stat.S_ISREG(st.st_mode):
                with open(full, "rb") as f:
                    look.append(f.read())
                groups.setdefault(st.st_ino, []).append(path)
            elif stat.S_ISLNK(st.st_mode):
                look.append(os.readlink(full))
            else:
                look.append(sorted(os.listdir(full)) if stat.S_ISDIR(st.st_mode) else None)
            if path != ".":
                look.append([(n, os.getxattr(full, n, follow_symlinks=False))
                             for n in sorted(os.listxattr(full, follow_symlinks=False))])
            found[path] = look
        for group in groups.values():
            for path in group:
                found[path].append(sorted(group))
        return found


class Run:
    def __init__(self, seed, mount, model):
        self.seed, self.random = seed, random.Random(seed)
        self.mount, self.model = Tree(mount), Tree(model)
        self.log = []
        self.times = {}  # operations that set a time: it must be there at the end
        self.step = 0

    def fail(self, what):
        print("seed %d, operation %d: %s" % (self.seed, self.step, what))
        print("the last operations:")
        for line in self.log[-LAST:]:
            print("  " + line)
        sys.exit(1)

    def both(self, name, *args):
        results = []
        for tree in (self.model, self.mount):
            try:
                results.append(getattr(tree, name)(*args))
            except OSError as e:
                results.append(errno.errorcode[e.errno])
        self.log.append("%d %s%r -> %.60r" % (self.step, name, tuple(
            a if len(repr(a)) < 80 else repr(a)[:60] + "..." for a in args), results[0]))
        if results[0] != results[1]:
            self.fail("the model says %.300r, the mount %.300r" % tuple(results))
        return results[0]

    def data(self):
        size = self.random.choice([0, 1, 10, 100, 5000, 70000])
        return bytes([self.random.randrange(256)]) * size

    def operation(self):
        r = self.random
        if self.step % 20 == 0 or not hasattr(self, "found"):
            self.found, self.dirs = self.model.paths()
        old = r.choice(self.found) if self.found else "none"
        if r.random() < 0.3:  # somewhere that may not be there (any more)
            old = os.path.normpath(os.path.join(r.choice(self.dirs), r.choice(NAMES)))
        new = os.path.normpath(os.path.join(r.choice(self.dirs), r.choice(NAMES)))
        if len(new) > 1500:
            new = r.choice(NAMES)
        kind = r.choices(
            ["create", "write", "append", "overwrite", "truncate", "read", "unlink", "mkdir", "rmdir", "rename",
             "noreplace", "exchange", "link", "symlink", "mkfifo", "chmod", "utimens", "setxattr", "removexattr",
             "listdir", "stat", "fsync", "hold", "use", "release", "rmtree"],
            [14, 8, 5, 5, 5, 6, 9, 10, 4, 12,
             2, 4, 6, 3, 1, 4, 3, 3, 2,
             5, 6, 1, 3, 8, 1, 0.3])[0]
        if kind == "create":
            self.both("create", new, self.data(), r.choice([0o644, 0o600, 0o755]))
        elif kind == "write":
            self.both("write", old, r.choice([0, 1, 4096, 10000]), self.data())
        elif kind in ("append", "overwrite"):
            self.both(kind, old, self.data())
        elif kind == "truncate":
            self.both("truncate", old, r.choice([0, 1, 5, 4096, 9999]))
        elif kind in ("read", "unlink", "rmdir", "stat", "fsync"):
            self.both(kind, old)
        elif kind == "mkdir":
            self.both("mkdir", new, r.choice([0o755, 0o700]))
        elif kind == "rename":
            self.both("rename", old, new, 0)
        elif kind == "noreplace":
            self.both("rename", old, new, 1)
        elif kind == "exchange":
            self.both("rename", old, r.choice(self.found) if self.found else "none", 2)
        elif kind == "link":
            self.both("link", old, new)
        elif kind == "symlink":
            self.both("symlink", r.choice(["x", "a/b", "../" + old]), new)
        elif kind == "mkfifo":
            self.both("mkfifo", new, 0o644)
        elif kind == "chmod":
            self.both("chmod", old, r.choice([0o700, 0o711, 0o755, 0o777, 0o1777]))
        elif kind == "utimens":
            self.both("utimens", old, r.randrange(10**18))
        elif kind == "setxattr":
            self.both("setxattr", old, "user." + r.choice("xyz"), b"v" * r.randrange(20))
        elif kind == "removexattr":
            self.both("removexattr", old, "user." + r.choice("xyz"))
        elif kind == "listdir":
            self.both("listdir", r.choice(self.dirs))
        elif kind == "hold":
            self.both("hold", old, r.randrange(8), r.choice([os.O_RDONLY, os.O_RDWR]))
        elif kind == "use":
            self.both("use", r.randrange(8), r.choice([0, 3, 5000]), self.data())
        elif kind == "release":
            self.both("release", r.randrange(8))
        elif kind == "rmtree":
            top = r.choice(self.dirs)
            if top != "." and os.path.isdir(self.model.at(top)):
                for where, subdirs, files in os.walk(self.model.at(top), topdown=False):
                    rel = os.path.relpath(where, self.model.top)
                    for name in files + [d for d in subdirs if os.path.islink(os.path.join(where, d))]:
                        self.both("unlink", os.path.join(rel, name))
                    self.both("rmdir", rel)

    def run(self, count):
        for self.step in range(1, count + 1):
            self.operation()
        compare(self.mount, self.model, self.fail)


def compare(mount, model, fail):
    seen, wanted = mount.snapshot(), model.snapshot()
    for path in sorted(set(seen) | set(wanted)):
        if seen.get(path) != wanted.get(path):
            fail("%s: the model has %.300r, the mount %.300r" % (path, wanted.get(path), seen.get(path)))


def main(args):
    if args[0] == "run":
        Run(int(args[1]), args[3], args[4]).run(int(args[2]))
    elif args[0] == "compare":
        def fail(what):
            sys.exit("model.py: " + what)
        compare(Tree(args[1]), Tree(args[2]), fail)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
