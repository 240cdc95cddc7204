# SPDX-License-Identifier: Apache-2.0
"""A directory tree to do random operations in, and all there is to see of it."""

import ctypes
import errno
import mmap
import os
import stat
import struct

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x400, 0x1000
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
OLD = 10**18  # times below are set by operations; later ones happened during the run
READ_BYTES = 1 << 20


def check(result):
    if result < 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))
    return result


def identity(name, dir_fd=AT_FDCWD, flags=AT_SYMLINK_NOFOLLOW):
    """What tells an inode from all others, also from a later one of the same number; None: the kernel cannot say."""
    buf = ctypes.create_string_buffer(256)
    check(libc.statx(dir_fd, os.fsencode(name), flags, 0x900, buf))
    if not struct.unpack_from("I", buf, 0)[0] & 0x800:
        return None
    return struct.unpack_from("Q", buf, 32) + struct.unpack_from("qI", buf, 80)


def content(fill):
    """Operations say what they write as (byte, count): so they are printed on a line."""
    return bytes([fill[0]]) * fill[1]


def write_map(fd, mapping, offset, data):
    """When that changes the file's time, until it is synced, is the file system's affair: it is set here."""
    mapping[offset:offset + len(data)] = data
    mapping.flush()
    os.utime(fd)


def acl(user, perm):
    """The xattr of a POSIX ACL: u::rwx,u:USER:PERM,g::r-x,m::rwx,o::r-x."""
    entries = [(1, 7, 2**32 - 1), (2, perm, user), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 5, 2**32 - 1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)


CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


class Tree:
    """One side: operations take paths relative to its top and return what can be compared."""

    def __init__(self, top):
        self.top = top
        self.files = {}  # slot -> descriptor
        self.maps = {}  # slot -> mapping
        self.listings = {}  # slot -> descriptor of a directory that is being read

    def at(self, path):
        return os.path.join(self.top, path)

    def opened(self, path, flags, function):
        fd = os.open(self.at(path), flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # A pipe is the kernel's: whether writing to it is a change of the file it does not ask the file system.
            return None if stat.S_ISFIFO(os.fstat(fd).st_mode) else function(fd)
        finally:
            os.close(fd)

    # --- files by path ---

    def create(self, path, data, mode):
        fd = os.open(self.at(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        os.write(fd, content(data))
        os.close(fd)

    def write(self, path, offset, data):
        return self.opened(path, os.O_WRONLY, lambda fd: os.pwrite(fd, content(data), offset))

    def append(self, path, data):
        return self.opened(path, os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, content(data)))

    def overwrite(self, path, data):
        return self.opened(path, os.O_WRONLY | os.O_TRUNC, lambda fd: os.write(fd, content(data)))

    def truncate(self, path, size):
        self.opened(path, os.O_WRONLY, lambda fd: os.ftruncate(fd, size))

    def truncate_path(self, path, size):
        # To its own size: whether that changes the time is not said anywhere, and differs.
        if not os.path.islink(self.at(path)) and os.stat(self.at(path)).st_size != size:
            os.truncate(self.at(path), size)

    def allocate(self, path, mode, offset, size):
        self.opened(path, os.O_RDWR, lambda fd: check(
            libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(size))))

    def map_write(self, path, offset, data):
        def function(fd):
            size = os.fstat(fd).st_size
            if size == 0 or not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            with mmap.mmap(fd, size) as m:
                end = min(size, offset + data[1])
                if offset < end:
                    write_map(fd, m, offset, content((data[0], end - offset)))
                return m[:]
        return self.opened(path, os.O_RDWR, function)

    def copy_range(self, old, new, old_offset, new_offset, size):
        def function(fd):
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            return self.opened(new, os.O_WRONLY, lambda to: os.copy_file_range(fd, to, size, old_offset, new_offset))
        return self.opened(old, os.O_RDONLY, function)

    def read(self, path):
        return self.opened(path, os.O_RDONLY, lambda fd: os.read(fd, READ_BYTES))

    def fsync(self, path):
        self.opened(path, os.O_RDONLY, os.fsync)

    # --- open files ---

    def hold(self, path, slot, flags):
        self.release(slot)
        self.files[slot] = os.open(self.at(path), flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    def tmpfile(self, path, slot, mode):
        self.release(slot)
        self.files[slot] = os.open(self.at(path), os.O_TMPFILE | os.O_RDWR, mode)

    def link_held(self, slot, path):
        if slot in self.files:
            check(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % self.files[slot], AT_FDCWD, os.fsencode(self.at(path)),
                              AT_SYMLINK_FOLLOW))

    def release(self, slot):
        if slot in self.maps:
            self.maps.pop(slot).close()
        if slot in self.files:
            os.close(self.files.pop(slot))

    def release_all(self):
        for slot in list(self.files):
            self.release(slot)
        for slot in list(self.listings):
            os.close(self.listings.pop(slot))

    def use(self, slot, offset, data):
        if slot not in self.files:
            return None
        fd = self.files[slot]
        try:
            os.pwrite(fd, content(data), offset)
        except OSError as e:
            if e.errno != errno.EBADF:
                raise
        st = os.fstat(fd)
        if stat.S_ISDIR(st.st_mode):
            return "dir", st.st_nlink == 0
        return os.pread(fd, READ_BYTES, 0), look(st)

    def use_map(self, slot, offset, data):
        """Through a mapping that stays: it shows what is written in any other way."""
        if slot not in self.files:
            return None
        st = os.fstat(self.files[slot])
        if slot not in self.maps:
            if not stat.S_ISREG(st.st_mode) or st.st_size == 0:
                return None
            self.maps[slot] = mmap.mmap(self.files[slot], st.st_size)
        m = self.maps[slot]
        size = min(len(m), st.st_size)
        end = min(size, offset + data[1])
        if offset < end:
            write_map(self.files[slot], m, offset, content((data[0], end - offset)))
        return m[:size]

    def change_held(self, slot, what, value):
        if slot not in self.files:
            return
        fd = self.files[slot]
        if what == "chmod":
            os.fchmod(fd, value)
        elif what == "utimens":
            os.utime(fd, ns=(value, value))
        elif what == "truncate":
            os.ftruncate(fd, value)
        elif what == "setxattr":
            os.setxattr(fd, "user.held", b"h" * value)

    # --- names ---

    def unlink(self, path):
        os.unlink(self.at(path))

    def mkdir(self, path, mode):
        os.mkdir(self.at(path), mode)

    def rmdir(self, path):
        os.rmdir(self.at(path))

    def rename(self, old, new, flags):
        check(libc.renameat2(AT_FDCWD, os.fsencode(self.at(old)), AT_FDCWD, os.fsencode(self.at(new)), flags))

    def link(self, old, new):
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def symlink(self, target, path):
        os.symlink(target, self.at(path))

    def mkfifo(self, path, mode):
        os.mkfifo(self.at(path), mode)

    def mknod(self, path, mode, device):
        os.mknod(self.at(path), mode, device)

    # --- attributes ---

    def chmod(self, path, mode):
        if not os.path.islink(self.at(path)):
            os.chmod(self.at(path), mode)

    def chown(self, path, uid, gid):
        os.chown(self.at(path), uid, gid, follow_symlinks=False)

    def utimens(self, path, ns):
        os.utime(self.at(path), ns=(ns, ns), follow_symlinks=False)

    def setxattr(self, path, name, value):
        os.setxattr(self.at(path), name, content(value), follow_symlinks=False)

    def setacl(self, path, name, user, perm):
        os.setxattr(self.at(path), name, acl(user, perm), follow_symlinks=False)

    def setcap(self, path):
        os.setxattr(self.at(path), "security.capability", CAPABILITY, follow_symlinks=False)

    def removexattr(self, path, name):
        os.removexattr(self.at(path), name, follow_symlinks=False)

    def stat(self, path):
        return look(os.lstat(self.at(path)))

    # --- listings ---

    def listdir(self, path):
        return sorted(os.listdir(self.at(path)))

    def opendir(self, path, slot):
        if slot in self.listings:
            os.close(self.listings.pop(slot))
        self.listings[slot] = os.open(self.at(path), os.O_RDONLY | os.O_DIRECTORY)

    def read_some(self, slot, size):
        """The next few names; [] at the end."""
        buf = ctypes.create_string_buffer(size)
        used = check(libc.getdents64(self.listings[slot], buf, size))
        found, pos = [], 0
        while pos < used:
            length = struct.unpack_from("H", buf, pos + 16)[0]
            found.append(os.fsdecode(buf.raw[pos + 19:pos + length].split(b"\0")[0]))
            pos += length
        return found

    # --- all of it ---

    def paths(self):
        """(all, directories) as they are now; the directories include the root, "."."""
        found, dirs = [], ["."]

        def walk(rel):
            with os.scandir(self.at(rel)) as entries:
                for entry in entries:
                    path = entry.name if rel == "." else rel + "/" + entry.name
                    found.append(path)
                    if entry.is_dir(follow_symlinks=False):
                        dirs.append(path)
                        walk(path)
        walk(".")
        return sorted(found), sorted(dirs)

    def snapshot(self, times=False):
        """All there is to see; inode numbers by the groups they form."""
        found, groups = {}, {}
        for path in self.paths()[0] + ["."]:
            full = self.at(path)
            st = os.lstat(full)
            seen = look(st, times)
            if stat.S_ISREG(st.st_mode):
                with open(full, "rb") as f:
                    seen["content"] = f.read()
            elif stat.S_ISLNK(st.st_mode):
                seen["target"] = os.readlink(full)
            elif stat.S_ISDIR(st.st_mode):
                seen["names"] = sorted(os.listdir(full))
            seen["xattrs"] = [(n, os.getxattr(full, n, follow_symlinks=False))
                              for n in sorted(os.listxattr(full, follow_symlinks=False))]
            groups.setdefault(st.st_ino, []).append(path)
            found[path] = seen
        for group in groups.values():
            for path in group:
                found[path]["same inode"] = sorted(group)
        return found


def look(st, times=False):
    seen = {"mode": oct(st.st_mode), "nlink": st.st_nlink, "owner": (st.st_uid, st.st_gid)}
    if not stat.S_ISDIR(st.st_mode):
        seen["size"] = st.st_size
    if stat.S_ISBLK(st.st_mode) or stat.S_ISCHR(st.st_mode):
        seen["device"] = st.st_rdev
    seen["mtime"] = st.st_mtime_ns if times or st.st_mtime_ns < OLD else "later"
    return seen
