#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Folders come to a mount in use and leave it, while programs walk it, change it and keep files open.

usage: restack.py MOUNT FOLDERS CHANGES SEED      NACRE names the program

At the end some of FOLDERS are layers of it still: their paths are printed, topmost first.  What the tree then shows is for
the caller to compare; what the programs know by themselves is checked here.
"""

import os
import random
import subprocess
import sys
import time

from programs import check, failures, program, run_beside, stop

NACRE = os.environ["NACRE"]
ROOT, FOLDERS, CHANGES, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
done = {"walks": 0, "writes": 0, "refused": 0, "changes": 0}


def path(*names):
    return os.path.join(ROOT, *names)


@program
def walk():
    """Whatever is listed may be gone or another thing a moment later; no other error, and no text that is nobody's."""
    while not stop.is_set():
        for dirpath, dirs, files in os.walk(ROOT):
            for name in dirs + files:
                file = os.path.join(dirpath, name)
                try:
                    st = os.lstat(file)
                    if name in files and os.path.isfile(file) and st.st_size < 10000:
                        with open(file, "rb") as f:
                            text = f.read()
                        check(len(text) == 0 or text.isascii(), file, text)
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    pass
            if stop.is_set():
                return
        done["walks"] += 1


@program
def own_files():
    """In folders that a layer may have or not: what the upper has wins, always."""
    rng, there = random.Random(SEED), {}
    n = 0
    while not stop.is_set():
        n += 1
        folder = rng.choice(["", "mine", "both", "both/deep", "top"])
        name = os.path.join(folder, "own%d" % rng.randrange(20))
        try:
            if folder:
                os.makedirs(path(folder), exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            continue
        if name not in there or rng.random() < 0.5:
            text = "%s %d" % (name, n)
            with open(path(name), "w") as f:
                f.write(text)
            there[name] = text
        elif rng.random() < 0.5:
            os.unlink(path(name))
            del there[name]
        else:
            other = os.path.join(folder, "own%d" % rng.randrange(20))
            os.rename(path(name), path(other))
            there[other] = there.pop(name)
        if n % 20 == 0:
            for name, text in there.items():
                with open(path(name)) as f:
                    now = f.read()
                check(now == text, name, now, text)
        done["writes"] += 1
    for name, text in there.items():
        with open(path(name)) as f:
            check(f.read() == text, name)


@program
def lower_files():
    """Copies up, hides and brings back what the lowers have, whoever has it just now."""
    rng = random.Random(SEED + 1)
    names = ["both/%d" % i for i in range(8)] + ["%d" % i for i in range(8)] + ["both/deep/%d" % i for i in range(8)]
    while not stop.is_set():
        name = path(rng.choice(names))
        try:
            what = rng.randrange(6)
            if what == 0:
                os.chmod(name, rng.choice([0o600, 0o644]), follow_symlinks=True)
            elif what == 1:
                with open(name, "a") as f:
                    f.write("more\n")
            elif what == 2:
                os.unlink(name)
            elif what == 3:
                os.rename(name, path(rng.choice(names)))
            elif what == 4:
                os.link(name, path(rng.choice(names)))
            else:
                os.utime(name, ns=(5, 5))
        except OSError as e:
            # EXDEV: a folder that an added layer has. EEXIST: also of open(O_CREAT), where a name has just come.
            check(e.errno in (1, 2, 17, 18, 20, 21, 31, 39, 116), name, e)
        done["writes"] += 1


@program
def open_files():
    """An open file goes on being what it was."""
    rng = random.Random(SEED + 2)
    while not stop.is_set():
        kept = []
        for name in rng.sample(range(8), 4):
            try:
                fd = os.open(path("still", "%d" % name), os.O_RDONLY)
            except OSError:
                continue
            kept.append((fd, os.fstat(fd).st_ino, os.pread(fd, 1000, 0)))
        time.sleep(rng.random() * 0.02)
        for fd, ino, text in kept:
            check(os.pread(fd, 1000, 0) == text and os.fstat(fd).st_ino == ino, "still", text)
            os.close(fd)


def change(rng, stack):
    folder = rng.choice(sorted(os.listdir(FOLDERS)))
    verb = "remove" if folder in stack else "add"
    run = subprocess.run([NACRE, "layer", verb, ROOT, os.path.join(FOLDERS, folder)], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    if run.returncode != 0:
        check(verb == "remove" and b"in use" in run.stderr, verb, folder, run.stderr.decode())
        done["refused"] += 1
    elif verb == "add":
        stack.insert(0, folder)
    else:
        stack.remove(folder)
    done["changes"] += run.returncode == 0


stack = []


def changes():
    rng = random.Random(SEED + 3)
    for i in range(CHANGES):
        change(rng, stack)
        if stop.is_set():
            break
        time.sleep(rng.random() * 0.02)


run_beside((walk, own_files, lower_files, open_files), changes)
print("# %s" % done, file=sys.stderr)
print("\n".join(os.path.join(FOLDERS, folder) for folder in stack))
sys.exit(1 if failures or done["changes"] < 2 else 0)
