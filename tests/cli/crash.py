#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stop nacre at every point of an operation at which it changes a file, and look at what is left.

usage: crash.py TEMPLATE FAULT POINTS -- COMMAND...

TEMPLATE is a store; COMMAND changes it.  The calls by which it does so are counted; then, on a copy of the store each, it is
run once for each of them (for POINTS of them, evenly spread and always with the first and the last; 0: for all) with FAULT
at that call: kill, torn, ENOSPC or EIO (tests/fault/fault.c).  Each time:

  - a command that was not killed says why it failed, or has done everything;
  - the store opens, and `nacre verify` finds nothing;
  - its images and containers are those from before, or those from after, and of a command that succeeded those from after;
  - `nacre gc` leaves no file that is not in a store to which this never happened, and verify still finds nothing;
  - the command then succeeds, and everything is as after.

The environment names the programs: NACRE_BIN, and NACRE_FAULT_LIB, the library.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

NACRE = os.environ["NACRE_BIN"]
LIBRARY = os.environ["NACRE_FAULT_LIB"]
# A command that removes something, or makes a container with an ID of chance, cannot be run a second time.
AGAIN = os.environ.get("CRASH_AGAIN", "1") == "1"
# A store that was killed while it was made is opened for writing once before it is read.
MADE = os.environ.get("CRASH_MADE", "1") == "1"
# A command that makes a container and fails after that may leave it, in the list and on the disk.
BOXES = os.environ.get("CRASH_BOXES", "1") == "1"
# What the command's exit status is when nothing goes wrong.
EXPECTED = int(os.environ.get("CRASH_STATUS", "0"))


class Failure(Exception):
    pass


def run(store, args, fault=None, check=True):
    env = dict(os.environ, NACRE_STORE=store, SOURCE_DATE_EPOCH="1600000000")
    if fault:
        env.update(fault, LD_PRELOAD=LIBRARY)
    p = subprocess.run(args, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=120)
    if check and p.returncode != 0:
        raise Failure("%s: exit %d: %s" % (" ".join(args), p.returncode, p.stderr.decode(errors="replace")))
    return p


def state(store):
    """What a user sees."""
    images = json.loads(run(store, [NACRE, "images", "-a", "--no-trunc", "--json"]).stdout)
    containers = json.loads(run(store, [NACRE, "ps", "-a", "--json"]).stdout) if BOXES else []
    return json.dumps([sorted(images, key=str), sorted(containers, key=str)], sort_keys=True).replace(store, "STORE")


def verify(store):
    p = run(store, [NACRE, "verify", "--json"], check=False)
    if p.returncode != 0:
        raise Failure("verify: %s%s" % (p.stdout.decode(), p.stderr.decode()))
    return json.loads(p.stdout)


def files(store):
    """Every file but the index, with its size. Packs and objects have numbers for names, which may differ."""
    found = []
    for top, dirs, names in os.walk(store):
        where = os.path.relpath(top, store)
        if where.startswith("containers") and not BOXES:
            continue
        for name in names:
            if where == "." and name.startswith("index.db") or name.startswith("lock"):
                continue
            size = os.lstat(os.path.join(top, name)).st_size
            kind = where.split("/")[0]
            found.append("%s %d" % (kind if kind in ("packs", "objects") else os.path.join(where, name), size))
        if where in ("ingest", "containers", "leases"):
            found += ["%s/%s" % (where, name) for name in dirs]
    return sorted(found)


def copy(template, to):
    # Not shutil's: an upper has devices and xattrs.
    subprocess.run(["cp", "-a", template, to], check=True)
    return to


def outcome(template, where, command, fault=None):
    """The state after the command, and the files after a gc."""
    store = copy(template, where)
    if not MADE and not command:
        run(store, [NACRE, "gc"])
    if command:
        p = run(store, command, fault, check=False)
        if p.returncode != EXPECTED:
            raise Failure("without a fault: exit %d: %s" % (p.returncode, p.stderr.decode()))
    seen = state(store)
    run(store, [NACRE, "gc"])
    verify(store)
    return seen, files(store)


def look(store, p, kind, before, after, command):
    status = p.returncode
    if kind in ("kill", "torn"):
        if status not in (-9, EXPECTED):
            raise Failure("exit %d: %s" % (status, p.stderr.decode()))
    elif status not in (1, EXPECTED):
        raise Failure("exit %d: %s" % (status, p.stderr.decode()))
    elif status == 1 and not p.stderr.startswith(b"nacre: "):
        raise Failure("it failed without saying why")
    if not MADE:
        run(store, [NACRE, "gc"])
    verify(store)
    seen = state(store)
    if seen not in (before[0], after[0]):
        raise Failure("neither before nor after:\n%s" % seen)
    if status == 0 and seen != after[0]:
        raise Failure("it said that it was done, and is not")
    run(store, [NACRE, "gc"])
    result = verify(store)
    expected = after[1] if seen == after[0] else before[1]
    if result["Leftovers"] != 0 or files(store) != expected:
        raise Failure("left behind: %s; gone: %s" % (sorted(set(files(store)) - set(expected)),
                                                     sorted(set(expected) - set(files(store)))))
    if AGAIN:
        run(store, command)
        if state(store) != after[0]:
            raise Failure("the second time it did something else")
        verify(store)


def points_of(total, points):
    if points == 0 or points >= total:
        return list(range(1, total + 1))
    return sorted({1 + round(i * (total - 1) / (points - 1)) for i in range(points)})


def main(argv):
    template, kind, points, dashes, command = argv[0], argv[1], int(argv[2]), argv[3], argv[4:]
    assert dashes == "--"
    command = [NACRE if word == "nacre" else word for word in command]
    base = os.environ.get("CRASH_DIR", os.environ.get("TMPDIR", "/tmp"))
    with tempfile.TemporaryDirectory(prefix="crash.", dir=base) as work:
        count = os.path.join(work, "count")
        before = outcome(template, os.path.join(work, "before"), None)
        after = outcome(template, os.path.join(work, "after"), command, {"NACRE_FAULT_COUNT": count})
        with open(count) as f:
            total = int(f.read())
        chosen = points_of(total, points)
        bad = 0
        for at in chosen:
            store = copy(template, os.path.join(work, "store"))
            p = run(store, command, {"NACRE_FAULT": kind, "NACRE_FAULT_AT": str(at)}, check=False)
            try:
                look(store, p, kind, before, after, command)
            except Failure as e:
                bad += 1
                print("%s at call %d of %d: %s\n  it said: %s" % (kind, at, total, e, p.stderr.decode().strip()))
            shutil.rmtree(store)
            if bad == 5:
                break
        print("%s: %d calls, %d points, %d bad" % (kind, total, len(chosen), bad))
        # Fewer calls than any of the commands makes: the library was not loaded.
        return 1 if bad or total < 5 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
