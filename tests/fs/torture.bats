#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Many processes at once: copy-ups of one file, folders that are renamed under the feet of those who work in them, a large
# copy-up that nobody has to wait for, and a driver that is killed.
# shellcheck disable=SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

folders() {
	local n
	mkdir contended
	for n in 0 1 2 3 4 5 6 7 8 9; do
		mkdir -p "d$n/sub/deep"
		printf %s "$n" >"d$n/id"
		head -c 30000 /dev/zero | tr '\0' "$n" >"d$n/log"
		printf x >"d$n/sub/deep/x"
		head -c 300000 /dev/zero | tr '\0' "$n" >"contended/$n"
	done
}
upper_folders() {
	local n
	for n in 2 3 5 8; do
		mkdir -p "d$n/sub"
		printf y >"d$n/sub/y"
	done
}

setup_file() { make_lowers folders upper_folders; }
setup() { setup_store; }
teardown() {
	local pid
	for pid in ${STARTED:-}; do
		kill -KILL "$pid" 2>/dev/null || true
	done
	unmount_all
}
teardown_file() { lowers_unchanged; }

fewer() { if [ -n "$NACRE_SANITIZER" ]; then echo "$2"; else echo "$1"; fi; }

@test "many processes change one lower file in all ways at once: there is one copy, with every change" {
	while fresh_mount; do
		in_python <<-'END'
			def race(jobs):
			    """Each in a process of its own, begun together."""
			    wait, go = os.pipe()
			    pids = []
			    for job in jobs:
			        pid = os.fork()
			        if pid == 0:
			            try:
			                os.close(go)
			                os.read(wait, 1)  # until the parent closes it
			                job()
			                os._exit(0)
			            except BaseException as e:
			                print(e, file=sys.stderr)
			                os._exit(1)
			        pids.append(pid)
			    os.close(wait)
			    os.close(go)
			    for pid in pids:
			        eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

			for n in range(10):
			    name = "contended/%d" % n
			    held = os.open(name, os.O_RDONLY)
			    before = os.fstat(held)
			    race([lambda i=i: append(name, b"%03d\n" % i) for i in range(6)] +
			         [lambda i=i: append(name, b"%03d\n" % i) for i in range(6, 12)] +
			         [lambda: os.chmod(name, 0o640),
			          lambda: os.setxattr(name, "user.x", b"1"),
			          lambda: os.setxattr(name, "user.y", b"2"),
			          lambda: os.link(name, name + ".link"),
			          lambda: [read(name) for _ in range(3)]])
			    after = os.lstat(name)
			    eq((after.st_ino, after.st_nlink, stat.S_IMODE(after.st_mode)), (before.st_ino, 2, 0o640))
			    eq(os.fstat(held).st_size, 300048)
			    content = read(name)
			    eq(content[:300000], b"%d" % n * 300000)
			    eq(sorted(content[300000:].split()), [b"%03d" % i for i in range(12)])
			    eq(sorted(os.listxattr(name)), ["user.x", "user.y"])
			    eq(read(name + ".link"), content)
			    os.close(held)
		END
		sums=$(cd "$MNT" && sha256sum contended/*)
		[ -z "$(find "$WORK" -type f ! -path '*/links/*')" ]
		remount
		assert_equal "$(cd "$MNT" && sha256sum contended/*)" "$sums"
		assert_equal "$(stat -c %h "$MNT"/contended/? | sort -u)" 2
	done
}

@test "folders are renamed while others work in them: all they did is there" {
	while fresh_mount; do
		in_python "$MNT" "$(fewer 150 40)" <<-'END'
			rounds = int(sys.argv[1])
			tops = ["d%d" % n for n in range(10)]

			def rename_folders(seed):
			    r = random.Random(seed)
			    for i in range(rounds):
			        try:
			            places = [p for p in walk() if os.path.basename(p) in tops and p.count("/") < 4]
			            old = r.choice(places)
			            new = r.choice([r.choice(places), os.path.join(r.choice(places), r.choice(tops)), r.choice(tops)])
			            renameat2(old, new, r.choice([0, RENAME_NOREPLACE, RENAME_EXCHANGE]))
			        except OSError as e:
			            # It moved, is there, is full, or would lie in itself.
			            assert e.errno in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EINVAL, errno.ENOTDIR), e

			def look_up(seed):
			    r = random.Random(seed)
			    for i in range(rounds):
			        try:
			            for path in walk():
			                os.lstat(path)
			        except OSError as e:
			            assert e.errno in (errno.ENOENT, errno.ENOTDIR), e

			def work_in(number, fds):
			    """By descriptor a folder can be used wherever it is: nothing may fail."""
			    r = random.Random(number)
			    for i in range(rounds):
			        n = r.randrange(len(fds))
			        mine = "%d-%d" % (number, i)
			        fd = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY, dir_fd=fds[n])
			        os.write(fd, mine.encode())
			        os.close(fd)
			        fd = os.open("log", os.O_WRONLY | os.O_APPEND, dir_fd=fds[n])
			        os.write(fd, b"%8s\n" % mine.encode())
			        os.close(fd)
			        fd = os.open("id", os.O_RDONLY, dir_fd=fds[n])
			        eq(os.read(fd, 10), b"%d" % n)
			        os.close(fd)
			        os.mkdir(mine + ".dir", dir_fd=fds[n])
			        os.rename(mine, mine + ".dir/kept", src_dir_fd=fds[n], dst_dir_fd=fds[n])
			        if i % 3 == 0:
			            os.unlink(mine + ".dir/kept", dir_fd=fds[n])
			            os.rmdir(mine + ".dir", dir_fd=fds[n])

			def started(function, *args):
			    pid = os.fork()
			    if pid == 0:
			        try:
			            function(*args)
			            os._exit(0)
			        except BaseException as e:
			            print(function.__name__, args[0], repr(e), file=sys.stderr)
			            os._exit(1)
			    return pid

			fds = [os.open(top, os.O_RDONLY | os.O_DIRECTORY) for top in tops]
			pids = [started(rename_folders, 1), started(rename_folders, 2), started(look_up, 3)]
			pids += [started(work_in, number, fds) for number in (4, 5)]
			for pid in pids:
			    eq(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
			for fd in fds:
			    os.close(fd)
		END
		remount
		in_python "$MNT" "$(fewer 150 40)" <<-'END'
			rounds = int(sys.argv[1])
			wanted = {n: set() for n in range(10)}
			lines = {n: set() for n in range(10)}
			for number in 4, 5:
			    r = random.Random(number)
			    for i in range(rounds):
			        n = r.randrange(10)
			        lines[n].add(b"%d-%d" % (number, i))
			        if i % 3:
			            wanted[n].add("%d-%d.dir" % (number, i))
			found = {int(read(p)): os.path.dirname(p) for p in walk() if os.path.basename(p) == "id"}
			eq(sorted(found), list(range(10)))
			for n, path in found.items():
			    made = {name for name in os.listdir(path) if name.endswith(".dir")}
			    eq(made, wanted[n], path)
			    for name in made:
			        eq(read(os.path.join(path, name, "kept")), name[:-4].encode())
			    log = read(os.path.join(path, "log"))
			    eq(log[:30000], b"%d" % n * 30000)
			    eq(sorted(log[30000:].split()), sorted(lines[n]), path)
			    eq(read(os.path.join(path, "sub/deep/x")), b"x")
			    eq(exists(os.path.join(path, "sub/y")), n in (2, 3, 5, 8))
		END
	done
}

@test "while a large file is copied up others are read, made and copied up" {
	local lower=$BATS_TEST_TMPDIR/large tries=5
	mkdir "$lower"
	# A copy that shares the blocks takes no time.
	: >"$lower/probe"
	! cp --reflink=always "$lower/probe" "$lower/probe2" 2>/dev/null || return 0
	for ((n = 1; n <= tries; n++)); do
		yes "$n" | head -c 256M >"$lower/large$n"
		head -c 20000 /dev/urandom >"$lower/small$n"
	done
	mount_dirs -o metacopy=off "$lower" "$LOWERS_DIR/1"
	in_python "$MNT" "$UPPER" "$WORK" "$tries" <<-'END'
		upper, work, tries = sys.argv[1:]

		def copying(name):
		    """It is being copied: the work folder has its data growing, the upper has not its name yet."""
		    for where, _, files in os.walk(work):
		        for f in files:
		            try:
		                if os.path.getsize(os.path.join(where, f)) > 1 << 20 and not exists(os.path.join(upper, name)):
		                    return True
		            except OSError:
		                pass
		    return False

		def others(n, i):
		    write("new%d-%d" % (n, i), b"new")
		    append("small%d" % n, b"more")
		    fd = os.open("small%d" % n, os.O_RDONLY)
		    os.fsync(fd)  # to the driver, not to the kernel's cache
		    os.close(fd)
		    os.rename("new%d-%d" % (n, i), "moved%d-%d" % (n, i))
		    eq(read("moved%d-%d" % (n, i)), b"new")
		    os.listdir("d%d" % n)

		def change(name):
		    fd = os.open(name, os.O_WRONLY)
		    os.pwrite(fd, b"changed", 0)
		    os.fsync(fd)
		    os.close(fd)

		# On a machine that is busy and has a fast disk a copy may be done before they had their turn.
		meanwhile = n = 0
		while not meanwhile and n < int(tries):
		    n += 1
		    thread = threading.Thread(target=change, args=("large%d" % n,))
		    thread.start()
		    i = 0
		    while thread.is_alive():
		        if copying("large%d" % n):
		            others(n, i)
		            i += 1
		            if not exists(os.path.join(upper, "large%d" % n)):
		                meanwhile += 1
		    thread.join()
		assert meanwhile > 0, "all others had to wait for the copy"
		eq(read("large1")[:8][:7], b"changed")
	END
	cmp <(tail -c +8 "$lower/large1") <(tail -c +8 "$MNT/large1")
}

@test "after the driver is killed, what was synced is there, and the tree is whole" {
	while fresh_mount; do
		local pid
		pid=$(driver_pids "$MNT")
		mkfifo "$BATS_TEST_TMPDIR/reports"
		in_python "$MNT" "$BATS_TEST_TMPDIR/synced" "$BATS_TEST_TMPDIR/reports" <<-'END' &
			synced = open(sys.argv[1], "w")
			reports = open(sys.argv[2], "w")
			r = random.Random(1)
			i = 0
			try:
			    while True:
			        i += 1
			        n = r.randrange(10)
			        name = "d%d/%s" % (n, r.choice(["log", "new%d" % i, "sub/new%d" % i, "id"]))
			        content = b"%d " % i * r.choice([1, 100, 20000])
			        fd = os.open(name, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if "log" in name else os.O_TRUNC), 0o644)
			        os.write(fd, content)
			        os.fsync(fd)
			        size = os.fstat(fd).st_size
			        os.close(fd)
			        parent = os.open(os.path.dirname(name), os.O_RDONLY)
			        os.fsync(parent)
			        os.close(parent)
			        print(name, size, i, file=synced, flush=True)
			        print(i, file=reports, flush=True)
			        # Neither these nor what is written to them is synced: it may be there or not, but not half.
			        write("loose%d" % (i % 7), b"loose" * 1000)
			        os.rename("loose%d" % (i % 7), "d%d/loose" % n)
			        if i % 5 == 0:
			            renameat2("d%d/sub" % n, "d%d/sub" % r.randrange(10), RENAME_EXCHANGE)
			            shutil.rmtree("contended/%d" % n, ignore_errors=True)
			            append("contended/%d" % r.randrange(10), b"tail")
			except OSError:
			    pass  # the driver is gone
			except BrokenPipeError:
			    pass
		END
		STARTED=$!
		head -n "$(fewer 40 15)" "$BATS_TEST_TMPDIR/reports" >/dev/null
		kill -KILL "$pid"
		wait "$STARTED" || true
		STARTED=
		wait_gone "$pid"
		if is_root; then umount "$MNT"; else fusermount3 -u "$MNT"; fi
		mount_kind "$KIND"
		in_python "$MNT" "$BATS_TEST_TMPDIR/synced" <<-'END'
			last = {}
			for line in open(sys.argv[1]):
			    name, size, number = line.split()
			    last[name] = int(size), int(number)
			assert len(last) > 5
			for name, (size, number) in last.items():
			    if "/sub/" in name:
			        continue  # such a folder may have changed places with another
			    content = read(name)
			    assert len(content) >= size or name.endswith("/id"), (name, len(content), size)
			    if "new" in name:
			        eq(set(content.split()), {b"%d" % number}, name)
			        eq(len(content), size, name)
			synced = sorted(os.path.basename(n) for n in last if "/sub/" in n)
			found = [os.path.basename(p) for p in walk()]
			eq([n for n in synced if n not in found], [])
			for path in walk():
			    st = os.lstat(path)
			    if stat.S_ISREG(st.st_mode):
			        eq(len(read(path)), st.st_size, path)
			        os.chmod(path, 0o600)
			    elif stat.S_ISDIR(st.st_mode):
			        same_listing(path)
			        write(os.path.join(path, "afterwards"), b"")
		END
		rm -f "$BATS_TEST_TMPDIR/reports" "$BATS_TEST_TMPDIR/synced"
	done
}
