#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests of podman need of root file systems.

usage: rootfs.py stamp DIR   give each entry a time of its own, to the nanosecond
       rootfs.py list TAR    list what `podman export` wrote, but for what podman itself puts into containers, and for
                             fractions of seconds, which not every archive has
"""

import os
import sys
import tarfile

FIRST_NS = 1580608922123456789
SECOND_NS = 10**9


def stamp(top):
    paths = [os.path.join(d, name) for d, dirs, files in os.walk(top) for name in dirs + files]
    for i, path in enumerate(sorted(paths)):
        time_ns = FIRST_NS + i * SECOND_NS
        os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


def xattrs_of(member):
    return sorted((k, v) for k, v in member.pax_headers.items() if k.startswith("SCHILY.xattr."))


def list_archive(path):
    for m in sorted(tarfile.open(path), key=lambda m: m.name):
        if m.name.split("/")[0] in ("dev", "proc", "sys", "run", "etc"):
            continue
        time = "" if m.isdir() else int(m.mtime)
        print(m.name, m.type, oct(m.mode), m.uid, m.gid, m.size, m.linkname, time, xattrs_of(m))


def main(command, path):
    {"stamp": stamp, "list": list_archive}[command](path)


main(*sys.argv[1:])
