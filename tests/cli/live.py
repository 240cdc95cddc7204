#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that work in a mount while its upper is switched: nothing of what they do may get lost.

usage: live.py MOUNT COMMITS      NACRE names the program

Each program keeps to itself what must be there; what was synced before a commit must be in its image.
"""

import json
import mmap
import os
import random
import subprocess
import sys
import time

from programs import check, failures, program, run_beside, stop

NACRE = os.environ["NACRE"]
ROOT = sys.argv[1]


def path(*names):
    return os.path.join(ROOT, *names)


synced = {"log": 0}  # records that fsync has acknowledged


def record(n):
    return b"%09d\n" % n


@program
def append():
    """One descriptor, opened once."""
    with open(path("log"), "ab", buffering=0) as f:
        n = 0
        while not stop.is_set():
            for _ in range(20):
                f.write(record(n))
                n += 1
            os.fsync(f.fileno())
            synced["log"] = n
    check(open(path("log"), "rb").read() == b"".join(map(record, range(n))), "the log")


@program
def reread():
    """A descriptor opened for reading before the switch sees what others write after it."""
    fd = os.open(path("log"), os.O_RDONLY | os.O_CREAT)
    while not stop.is_set():
        want = synced["log"]
        data = os.pread(fd, len(record(0)), (want - 1) * len(record(0))) if want else b""
        check(not want or data == record(want - 1), "read", data, "for record", want - 1)
    os.close(fd)


@program
def map_shared():
    fd = os.open(path("mapped"), os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 64 * 1024)
    area = mmap.mmap(fd, 64 * 1024)
    os.close(fd)
    rng, model = random.Random(1), bytearray(64 * 1024)
    while not stop.is_set():
        at = rng.randrange(len(model) - 8)
        area[at:at + 8] = model[at:at + 8] = rng.randbytes(8)
        if rng.random() < 0.05:
            area.flush()
    area.flush()
    check(open(path("mapped"), "rb").read() == bytes(model), "the mapping")
    area.close()


@program
def tree():
    """Folders made, renamed, emptied; files made, linked, replaced, removed."""
    rng, there = random.Random(2), {}
    os.mkdir(path("t"))
    n = 0
    while not stop.is_set():
        n += 1
        names = sorted(there)
        what = rng.randrange(6)
        if what == 0 or not names:
            name = "d%d" % n
            os.mkdir(path("t", name))
            there[name] = {}
            continue
        name = rng.choice(names)
        files = there[name]
        if what == 1:
            os.rename(path("t", name), path("t", "r%d" % n))
            there["r%d" % n] = there.pop(name)
        elif what == 2:
            for file in files:
                os.unlink(path("t", name, file))
            os.rmdir(path("t", name))
            del there[name]
        elif what == 3 and files:
            file = rng.choice(sorted(files))
            os.link(path("t", name, file), path("t", name, "l%d" % n))
            files["l%d" % n] = files[file]
        elif what == 4 and files:
            file = rng.choice(sorted(files))
            text = "changed %d" % n
            with open(path("t", name, file), "w") as f:
                f.write(text)
            files[file][0] = text
        else:
            with open(path("t", name, "f%d" % n), "w") as f:
                f.write("made %d" % n)
            files["f%d" % n] = ["made %d" % n]
        if n % 50 == 0:
            look(there)
        if len(there) > 40:
            for name in sorted(there)[:20]:
                for file in there.pop(name):
                    os.unlink(path("t", name, file))
                os.rmdir(path("t", name))
    look(there)
    with open(path("model"), "w") as f:
        json.dump({name: {k: v[0] for k, v in files.items()} for name, files in there.items()}, f)


def look(there):
    check(sorted(os.listdir(path("t"))) == sorted(there), "folders")
    for name, files in there.items():
        check(sorted(os.listdir(path("t", name))) == sorted(files), "files of", name)
        for file, text in files.items():
            with open(path("t", name, file)) as f:
                now = f.read()
            check(now == text[0], name, file, now, text[0])


@program
def nameless():
    """Without a name, and with one that is gone."""
    lost = os.open(path("lost"), os.O_RDWR | os.O_CREAT)
    os.unlink(path("lost"))
    tmp = os.open(ROOT, os.O_RDWR | os.O_TMPFILE, 0o600)
    n = 0
    while not stop.is_set():
        for fd in lost, tmp:
            os.pwrite(fd, record(n), n * 10)
            check(os.pread(fd, 10, n * 10) == record(n), "nameless", n)
        check(os.fstat(lost).st_nlink == 0, "nlink")
        n += 1
    os.link("/proc/self/fd/%d" % tmp, path("named"), src_dir_fd=tmp)  # with which Python does follow the link
    check(open(path("named"), "rb").read() == b"".join(map(record, range(n))), "named")


def commit(i):
    before = synced["log"]
    run = subprocess.run([NACRE, "commit", "-q", "--live", ROOT, "live:%d" % i], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    check(run.returncode == 0, "commit:", run.stderr.decode())
    log = subprocess.run([NACRE, "cat", "live:%d" % i, "/log"], stdout=subprocess.PIPE, check=True).stdout
    whole = len(log) // 10
    check(whole >= before, "record %d was synced before the commit, which has %d" % (before, whole))
    check(log[:whole * 10] == b"".join(map(record, range(whole))), "the log of the image")


def commits():
    for i in range(int(sys.argv[2])):
        time.sleep(0.2)
        if stop.is_set():
            break
        commit(i)


run_beside((append, reread, map_shared, tree, nameless), commits, sys.stdout)
sys.exit(1 if failures else 0)
