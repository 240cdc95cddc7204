# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the suites on a large tree of real files share, on top of common.bash and fs.bash.

realtree() { python3 -B "$NACRE_TOP/tests/fs/realtree.py" "$@"; }

# same_metadata DIR DIR [0]
same_metadata() {
	realtree list "$1" "${3:-1}" >"$BATS_TEST_TMPDIR/list.1"
	realtree list "$2" "${3:-1}" >"$BATS_TEST_TMPDIR/list.2"
	diff "$BATS_TEST_TMPDIR/list.1" "$BATS_TEST_TMPDIR/list.2" | head -n 40
	cmp "$BATS_TEST_TMPDIR/list.1" "$BATS_TEST_TMPDIR/list.2"
}

# diff -r does not read devices and fifos: it would wait for them.
same_content() {
	diff -r --no-dereference "$1" "$2" | grep -v -e ' is a .*special file while ' -e ' is a fifo while ' >"$BATS_TEST_TMPDIR/diff" || true
	head -n 20 "$BATS_TEST_TMPDIR/diff"
	[ ! -s "$BATS_TEST_TMPDIR/diff" ]
}

# Changes of every kind at many places of the tree.
change() {
	in_python "$1" <<-'END'
		tops = sorted(p for p in walk() if p.count("/") <= 3)
		dirs = [p for p in tops if os.path.isdir(p) and not os.path.islink(p) and p.count("/") == 3]
		files = [p for p in tops if os.path.isfile(p) and not os.path.islink(p) and p.count("/") == 3
		         and os.lstat(p).st_nlink == 1]
		for i, p in enumerate(files):
		    kind = i % 9
		    if kind == 0:
		        append(p, b"appended\n")
		    elif kind == 1:
		        os.unlink(p)
		    elif kind == 2:
		        os.chmod(p, 0o640)
		    elif kind == 3:
		        os.rename(p, p + ".moved")
		    elif kind == 4:
		        os.unlink(p)
		        os.mkdir(p)
		        write(p + "/inside", b"in")
		    elif kind == 5:
		        os.utime(p, ns=(OLD, OLD + i))
		    elif kind == 6:
		        os.setxattr(p, "user.changed", b"%d" % i)
		    elif kind == 7:
		        os.link(p, p + ".linked")
		for i, p in enumerate(dirs):
		    kind = i % 6
		    if kind == 0:
		        shutil.rmtree(p)
		    elif kind == 1:
		        shutil.rmtree(p)
		        os.mkdir(p)
		        write(p + "/new", b"opaque")
		    elif kind == 2:
		        os.rename(p, p + ".moved")
		    elif kind == 3:
		        os.chmod(p, 0o711)
		    elif kind == 4:
		        shutil.rmtree(p)
		        os.symlink("gone", p)
		os.chown("odd/file", 12, 34) if os.getuid() == 0 or FAKE else None
	END
}
