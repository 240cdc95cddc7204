#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare a mounted tree with the archive it was made from, or list its attributes.

usage: realtree.py archive TAR DIR [swap]  every entry: type, mode, owner, size, mtime in ns, target, device, links;
                                     swap: shown under fakeroot, where root's is the caller's
       realtree.py list DIR [FOLDER_LINKS]  the same of a tree, a line an entry, xattrs too; folders' link counts
                                     unless that is 0 (the kernel's overlayfs has 1 for all)
       realtree.py pick COUNT        folders of this machine that hold at least COUNT entries, below /
"""

import os
import stat
import sys
import tarfile
from decimal import Decimal

PARKED = 0xFFFFFFFE  # see fs/ids.c
KINDS = {tarfile.REGTYPE: stat.S_IFREG, tarfile.AREGTYPE: stat.S_IFREG, tarfile.LNKTYPE: stat.S_IFREG,
         tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR, tarfile.CHRTYPE: stat.S_IFCHR,
         tarfile.BLKTYPE: stat.S_IFBLK, tarfile.FIFOTYPE: stat.S_IFIFO}


def archive(tar, top, swap):
    wrong = seen = 0
    first = {}   # hard links: name -> the name that carries the content
    links = {}
    entries = {}
    uids = {0: os.getuid(), os.getuid(): PARKED} if swap else {}
    gids = {0: os.getgid(), os.getgid(): PARKED} if swap else {}
    with tarfile.open(tar) as t:
        for info in t:
            name = os.path.normpath(info.name)
            if info.type == tarfile.LNKTYPE:
                first[name] = first.get(os.path.normpath(info.linkname), os.path.normpath(info.linkname))
            else:
                first[name] = name
            links[first[name]] = links.get(first[name], 0) + 1
            entries[name] = info
    for name, info in entries.items():
        seen += 1
        owner = entries[first[name]]
        path = os.path.join(top, name)
        try:
            st = os.lstat(path)
        except OSError as e:
            print("%s: %s" % (name, e.strerror))
            wrong += 1
            continue
        mtime = int(Decimal(owner.pax_headers.get("mtime", str(int(owner.mtime)))) * 10**9)
        want = [stat.S_IMODE(st.st_mode) if stat.S_ISLNK(st.st_mode) else owner.mode, KINDS[owner.type],
                uids.get(owner.uid, owner.uid), gids.get(owner.gid, owner.gid), mtime]
        have = [stat.S_IMODE(st.st_mode), stat.S_IFMT(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
        if stat.S_ISREG(st.st_mode):
            want += [owner.size, links[first[name]]]
            have += [st.st_size, st.st_nlink]
        elif stat.S_ISLNK(st.st_mode):
            want.append(owner.linkname)
            have.append(os.readlink(path))
        elif owner.isdev() and not owner.isfifo():
            want.append((owner.devmajor, owner.devminor))
            have.append((os.major(st.st_rdev), os.minor(st.st_rdev)))
        if want != have:
            print("%s: the archive says %r, the mount %r" % (name, want, have))
            wrong += 1
    # An archive need not name the folders above what it holds.
    wanted = {"."} | set(entries)
    for name in entries:
        while os.path.dirname(name):
            name = os.path.dirname(name)
            wanted.add(name)
    there = {"."} | {os.path.normpath(os.path.join(os.path.relpath(where, top), name))
                     for where, dirs, files in os.walk(top) for name in dirs + files}
    for name in sorted(wanted ^ there):
        print("%s: only in the %s" % (name, "archive" if name in wanted else "mount"))
        wrong += 1
    print("%d entries compared" % seen)
    return 1 if wrong else 0


def listing(top, folder_links):
    lines = []
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            nlink = st.st_nlink if folder_links or not stat.S_ISDIR(st.st_mode) else "-"
            look = [os.path.relpath(path, top), oct(st.st_mode), st.st_uid, st.st_gid, nlink, st.st_mtime_ns,
                    st.st_rdev]
            if not stat.S_ISDIR(st.st_mode):
                look.append(st.st_size)
            if stat.S_ISLNK(st.st_mode):
                look.append(os.readlink(path))
            look.append([(n, os.getxattr(path, n, follow_symlinks=False))
                         for n in sorted(os.listxattr(path, follow_symlinks=False))])
            lines.append(repr(look))
    print("\n".join(sorted(lines)))
    return 0


def pick(count):
    """Whole folders, small files first in line: headers, then what is in /usr/share and in Python's library."""
    found = 0
    for top in ["/usr/include"] + sorted(os.path.join("/usr/share", n) for n in os.listdir("/usr/share")) + [
            "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/x86_64-linux-gnu"]:
        if not os.path.isdir(top) or os.path.islink(top):
            continue
        entries = size = 0
        for where, dirs, files in os.walk(top):
            if not os.access(where, os.R_OK | os.X_OK):
                break
            entries += len(dirs) + len(files)
            size += sum(os.lstat(os.path.join(where, f)).st_size for f in files)
        if size > 60 << 20 or entries > 12000:
            continue
        print(top[1:])
        found += entries
        if found >= count:
            return 0
    print("only %d files on this machine" % found, file=sys.stderr)
    return 1


def main(args):
    if len(args) in (3, 4) and args[0] == "archive":
        return archive(args[1], args[2], args[3:] == ["swap"])
    if len(args) in (2, 3) and args[0] == "list":
        return listing(args[1], args[2:] != ["0"])
    if len(args) == 2 and args[0] == "pick":
        return pick(int(args[1]))
    sys.exit(__doc__)


sys.exit(main(sys.argv[1:]))
