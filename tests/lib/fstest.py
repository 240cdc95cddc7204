# SPDX-License-Identifier: Apache-2.0
"""What the python parts of the suites on real mounts use: system calls that os lacks, and short assertions.

A test's program runs in the mounted tree after `from fstest import *`.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE = 1, 2, 16
AT_FDCWD, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x400, 0x1000
OLD = 981173106123456789  # the time of all that base_tree makes

KIND = os.environ.get("KIND", "")
FAKE = KIND.startswith("fake")


def check(result, *what):
    if result < 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err), *what)
    return result


def renameat2(old, new, flags=0):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags), old)


def fallocate(fd, mode, offset, length):
    check(libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


def link_fd(fd, path):
    check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, os.fsencode(path), AT_SYMLINK_FOLLOW), path)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    assert os.write(fd, data) == len(data)
    os.close(fd)


def append(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert os.write(fd, data) == len(data)
    os.close(fd)


def eq(actual, expected, what=""):
    assert actual == expected, "%sexpected %r, got %r" % (what and what + ": ", expected, actual)


def stop(pid):
    """Stop a process.  Its threads go on until the one that takes the signal gets a processor: milliseconds on a busy machine."""

    def running():
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] != "T":
                    return True
        return False

    os.kill(pid, signal.SIGSTOP)
    while running():
        time.sleep(0.001)


def fails(err, function, *args, **more):
    """The call must fail with this error."""
    try:
        result = function(*args, **more)
    except OSError as e:
        assert e.errno == err, "expected %s, got %s (%s%r)" % (
            errno.errorcode[err], errno.errorcode.get(e.errno), getattr(function, "__name__", function), args)
        return
    raise AssertionError("expected %s, but %s%r returned %r" % (
        errno.errorcode[err], getattr(function, "__name__", function), args, result))


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def names(path="."):
    return sorted(os.listdir(path))


def exists(path):
    return os.path.lexists(path)


def same_listing(path="."):
    """Each entry once; d_ino and d_type are those of stat; every name can be looked up."""
    seen = set()
    for entry in os.scandir(path):
        assert entry.name not in seen, "%s is listed twice" % entry.path
        seen.add(entry.name)
        st = entry.stat(follow_symlinks=False)
        lst = os.lstat(entry.path)
        eq(entry.inode(), lst.st_ino, "d_ino of " + entry.path)
        eq(st.st_ino, lst.st_ino)
        eq(entry.is_dir(follow_symlinks=False), stat.S_ISDIR(lst.st_mode), "d_type of " + entry.path)
        eq(entry.is_symlink(), stat.S_ISLNK(lst.st_mode), "d_type of " + entry.path)
    return seen


def walk(top="."):
    """Every path below, directories before what is in them."""
    for entry in sorted(os.scandir(top), key=lambda e: e.name):
        yield entry.path
        if entry.is_dir(follow_symlinks=False):
            yield from walk(entry.path)


def as_ids(uid, gid, function, *args):
    """Call the function in a child that has these ids and no privilege; its error is raised here."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            function(*args)
        except OSError as e:
            code = e.errno
        except BaseException as e:
            print(e, file=sys.stderr)
            code = 255
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code != 255
    if code:
        raise OSError(code, os.strerror(code))
