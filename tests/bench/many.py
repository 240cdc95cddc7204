#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make a tar archive of many small files, with the names of files that are installed here, no two with equal content.

usage: many.py TAR ENTRIES
"""
import os
import sys
import tarfile


def names():
    """Paths below /usr, folders before what is in them; the same again under other folders when they are used up."""
    found = []
    for folder, folders, files in os.walk("/usr"):
        folders.sort()
        found.append((folder[1:], True))
        found += [(os.path.join(folder, name)[1:], False) for name in sorted(files)]
    turn = 0
    while True:
        turn += 1
        yield f"part{turn}", True
        for path, is_folder in found:
            yield f"part{turn}/{path}", is_folder


def main(out, entries):
    with open(out, "wb") as file:
        for number, (path, is_folder) in zip(range(entries), names()):
            member = tarfile.TarInfo(path)
            member.mode, member.mtime = 0o755 if is_folder else 0o644, 1600000000 + number
            content = b"" if is_folder else b"%d\n" % number
            member.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
            member.size = len(content)
            file.write(member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))
            file.write(content.ljust(512, b"\0") if content else b"")
        file.write(bytes(1024))


main(sys.argv[1], int(sys.argv[2]))
