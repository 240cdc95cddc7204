#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How requests are taken, and how that ends.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER/d"
	echo hello >"$LOWER/file"
	echo a >"$LOWER/d/a"
}
teardown() { unmount_all; }

# A lower whose own driver is stopped answers nothing.  There are more readers than processors, and than threads that
# wait for requests at a time.  Some hang when they look for a name in the folder where others look for theirs.
@test "requests that hang hold up no others" {
	local below=$BATS_TEST_TMPDIR/below slow=$BATS_TEST_TMPDIR/slow driver i
	local -a readers=()
	mkdir -p "$below" "$slow"
	for ((i = 0; i < 12; i++)); do
		mkdir "$below/slow$i"
		echo "$i" >"$below/slow$i/file"
	done
	nacrefs -o "lowerdir=$below,timeout=0" "$slow" # is asked for each name
	driver=$(driver_pids "$slow")
	mount_dirs "$LOWER" "$slow"
	[ ! -e "$MNT/none" ] # the names are known, what they stand for is not
	in_python "$MNT" "$driver" <<<'stop(int(sys.argv[1]))'
	for ((i = 0; i < 12; i++)); do
		cat "$MNT/slow$i/file" >"$BATS_TEST_TMPDIR/out$i" 3>&- 4>&- &
		readers+=($!)
	done
	for ((i = 0; i < 30; i++)); do
		run timeout 60 getfattr -n user.none "$MNT/d"
		assert_status 1
		timeout 60 cat "$MNT/file" "$MNT/d/a" >/dev/null
	done
	kill -CONT "$driver"
	wait "${readers[@]}"
	for ((i = 0; i < 12; i++)); do
		assert_equal "$(cat "$BATS_TEST_TMPDIR/out$i")" "$i"
	done
	unmount
	unmount "$slow"
}

# What is asked for is in a folder of its own each time: the kernel lets nobody else into one that is changed.  The names are
# known before, and the folders entered, so that it is the request itself that hangs.
@test "a lower that hangs is waited for by who asks for what it has" {
	local below=$BATS_TEST_TMPDIR/below slow=$BATS_TEST_TMPDIR/slow driver i
	mkdir -p "$below" "$slow"
	for i in stat read getxattr readlink chmod truncate unlink rename rmdir list look enter; do
		mkdir -p "$below/$i/dir" "$LOWER/$i"
		echo "$i" >"$below/$i/file"
		setfattr -n user.of -v "$i" "$below/$i/file"
		ln -s "$i" "$below/$i/link"
	done
	mkdir "$LOWER/rmdir/dir"
	nacrefs -o "lowerdir=$below,timeout=0" "$slow" # is asked for each name
	driver=$(driver_pids "$slow")
	mount_dirs "$LOWER" "$slow"
	in_python "$MNT" "$driver" <<-'END'
		driver = int(sys.argv[1])
		acts = {
		    "stat": lambda: subprocess.run(["stat", "--cached=never", "stat/file"], check=True, stdout=subprocess.DEVNULL),
		    "read": lambda: open("read/file").read(),
		    "getxattr": lambda: os.getxattr("getxattr/file", "user.of"),
		    "readlink": lambda: os.readlink("readlink/link"),
		    "chmod": lambda: os.chmod("chmod/file", 0o600),
		    "truncate": lambda: os.truncate("truncate/file", 1),
		    "unlink": lambda: os.unlink("unlink/file"),
		    "rename": lambda: os.rename("rename/file", "rename/new"),
		    "rmdir": lambda: os.rmdir("rmdir/dir"),
		    "list": lambda: os.listdir("list"),
		    "look": lambda: os.stat("look/file"),
		    "enter": lambda: os.stat("enter/dir/none") and None,
		}

		def hangs(name, pid):
		    with open(f"/proc/{pid}/task/{pid}/children") as f:
		        pid = f.read().strip() or pid
		    with open(f"/proc/{pid}/wchan") as f:
		        return f.read() in ("request_wait_answer", "folio_wait_bit_common")

		def child(act):
		    pid = os.fork()
		    if pid == 0:
		        try:
		            act()
		            os._exit(0)
		        except FileNotFoundError:
		            os._exit(2)
		        finally:
		            os._exit(1)
		    return pid

		def wait_for(done, what):
		    end = time.monotonic() + 60
		    while not done():
		        if time.monotonic() > end:
		            raise AssertionError(what())
		        time.sleep(0.01)

		def others():
		    for i in range(20):
		        with open("d/new", "w") as f:
		            f.write("x")
		        os.rename("d/new", "d/dir/newer")
		        os.rename("d/dir/newer", "d/newest")
		        eq((os.stat("d").st_nlink, os.listdir("d/dir")), (3, []))
		        with open("file") as f:
		            eq(f.read(), "hello\n")
		        eq(os.path.exists(f"none{i}"), False)
		        eq(sorted(os.listdir("d")), ["a", "dir", "newest"])
		        os.chmod("d/a", 0o600 + i)
		        os.unlink("d/newest")

		for name in acts:
		    eq(os.path.exists(f"{name}/none"), False)
		    if name not in ("list", "look", "rmdir"):
		        for entry in ("file", "link", "dir"):
		            os.lstat(f"{name}/{entry}")
		os.mkdir("d/dir")
		stop(driver)
		try:
		    children = {name: child(act) for name, act in acts.items()}
		    free = lambda: [name for name, pid in children.items() if not hangs(name, pid)]
		    wait_for(lambda: not free(), lambda: f"do not hang: {free()}")
		    ends = child(others)
		    ended = []
		    wait_for(lambda: ended.append(os.waitpid(ends, os.WNOHANG)) or ended[-1][0], lambda: "others hang")
		    eq(ended[-1][1], 0)
		    eq(free(), [])
		finally:
		    os.kill(driver, signal.SIGCONT)
		for name, pid in children.items():
		    eq((name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])), (name, 2 if name == "enter" else 0))
		eq(sorted(os.listdir("unlink")), ["dir", "link"])
		eq(sorted(os.listdir("rename")), ["dir", "link", "new"])
		eq(sorted(os.listdir("rmdir")), ["file", "link"])
		eq(os.stat("chmod/file").st_mode & 0o777, 0o600)
		eq(os.stat("truncate/file").st_size, 1)
	END
	unmount
	unmount "$slow"
}

@test "a driver whose connection was aborted ends" {
	local control=$BATS_TEST_TMPDIR/control driver
	mkdir "$control"
	mount -t fusectl fusectl "$control"
	mount_dirs "$LOWER"
	ls "$MNT" >/dev/null
	driver=$(driver_pids "$MNT")
	echo 1 >"$control/$(stat -c %d "$MNT")/abort"
	wait_gone "$driver"
	umount "$MNT" 2>/dev/null || ! mountpoint -q "$MNT"
	umount "$control"
}

@test "SIGTERM ends it with work under way, and after SIGKILL the mount can be taken away" {
	local driver writer
	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	exec 7>"$MNT/held" 8<"$MNT/d/a"
	rm -r "$MNT/held" "$MNT/d"
	(cd "$MNT" && i=0 && while echo x >"w$i"; do i=$(((i + 1) % 50)); done) 2>/dev/null 3>&- 4>&- 7>&- 8<&- &
	writer=$!
	until [ -e "$MNT/w1" ]; do
		sleep 0.01
	done
	kill -TERM "$driver"
	wait_gone "$driver"
	exec 7>&- 8<&-
	wait "$writer" || true
	! mountpoint -q "$MNT" || fail "still mounted"

	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	kill -KILL "$driver"
	wait_gone "$driver"
	run ls "$MNT"
	[ "$status" != 0 ] || fail "a dead mount was listed"
	umount "$MNT"
	mount_dirs "$LOWER"
	ls "$MNT/w1"
	unmount
}

# Each waits for the kernel to write what it has, and the driver to serve that.
@test "SIGTERM ends it while many ask for holes in what they write" {
	local driver asker i
	[[ ${NACRE_MOUNT_OPTIONS:-} != *passthrough* ]] || return 0 # then the kernel keeps nothing that is to be written
	for i in 1 2 3; do
		mount_dirs "$LOWER"
		driver=$(driver_pids "$MNT")
		(
			cd "$MNT" && exec python3 -c 'import os, threading
def ask(n):
    fd = os.open("end%d" % n, os.O_CREAT | os.O_RDWR)
    while True:
        os.ftruncate(fd, 0)
        os.ftruncate(fd, 64 << 20)
        for at in range(1 << 20, 64 << 20, 262144):
            os.pwrite(fd, b"x", at)
        os.lseek(fd, 0, os.SEEK_DATA)
        open("asked%d" % n, "w").close()
for n in range(8):
    threading.Thread(target=ask, args=(n,)).start()'
		) 2>/dev/null 3>&- 4>&- &
		asker=$!
		until [ -e "$MNT/asked7" ]; do
			sleep 0.01
		done
		kill -TERM "$driver"
		wait_gone "$driver"
		wait "$asker" || true
		! mountpoint -q "$MNT" || fail "still mounted"
		rm -rf "$UPPER" "$WORK"
	done
}

# What one client asks for and another changes meanwhile.  The first is kept from its processor just then, by somebody who has
# precedence there; the second one and the driver have the other processor.  The first lists the folder before, since the kernel
# then asks for the attributes once more, but needs none of them to go through the folder.
@test "a folder's attributes do not stay as they were before a change that overtook the answer" {
	local driver cpus
	cpus=$(nproc)
	[ "$cpus" -gt 1 ] || skip "one processor"
	chrt --fifo 1 true 2>/dev/null || skip "no precedence for anybody"
	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	in_python "$MNT" "$UPPER" "$driver" <<-'END'
		upper, driver = sys.argv[1:]
		here, there = sorted(os.sched_getaffinity(0))[:2]
		done, tell_done = os.pipe()
		children = []

		def child(cpu, act, priority=0):
		    go, tell = os.pipe()
		    children.append(os.fork())
		    if children[-1] == 0:
		        os.sched_setaffinity(0, {cpu})
		        if priority:
		            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
		        while os.read(go, 1):
		            act()
		            os.write(tell_done, b".")
		    return tell

		def hinder():
		    time.sleep(random.uniform(0, 200e-6))
		    end = time.monotonic() + 0.003
		    while time.monotonic() < end:
		        pass

		for task in os.listdir(f"/proc/{driver}/task"):
		    os.sched_setaffinity(int(task), {here})
		os.sched_setaffinity(0, {here})
		hind, ask = child(there, hinder, 1), child(there, lambda: os.stat("d"))
		try:
		    for i in range(120):
		        os.mknod(f"d/before{i}")
		        os.stat("d")
		        os.listdir("d")
		        os.write(ask, b".")
		        os.write(hind, b".")
		        time.sleep(0.001)
		        os.mknod(f"d/after{i}")
		        for _ in range(2):
		            os.read(done, 1)
		        eq(os.stat("d").st_mtime_ns, os.stat(upper + "/d").st_mtime_ns)
		finally:
		    for pid in children:
		        os.kill(pid, 9)
	END
	unmount
}

# The client goes from one processor to the other, as one that the kernel moves with the answers; then others compute on both.
@test "who chases a client goes behind it, and others do not hold it up" {
	local driver
	[ "$(nproc)" -gt 1 ] || skip "one processor"
	mount_dirs "$LOWER"
	driver=$(driver_pids "$MNT")
	NACRE_RINGS=$([[ ${NACRE_MOUNT_OPTIONS:-} != *io_uring* ]] || echo 1) in_python "$MNT" "$driver" <<-'END'
		driver = sys.argv[1]
		cpus = sorted(os.sched_getaffinity(0))[:2]

		def is_behind():
		    policies = set()
		    for task in os.listdir(f"/proc/{driver}/task"):
		        try:
		            policies.add(os.sched_getscheduler(int(task)))
		        except ProcessLookupError:
		            pass
		    return os.SCHED_IDLE in policies

		def work(rounds):
		    seen = False
		    for i in range(rounds):
		        os.sched_setaffinity(0, {cpus[i // 40 % 2]})
		        os.mknod("new")
		        os.rename("new", "renamed")
		        os.unlink("renamed")
		        seen = seen or is_behind()
		        if seen and not hogs:
		            break
		    return seen

		hogs = []
		eq(any(work(2000) for _ in range(10)), not os.environ["NACRE_RINGS"])
		for cpu in cpus * 2:
		    hogs.append(os.fork())
		    if hogs[-1] == 0:
		        os.sched_setaffinity(0, {cpu})
		        while True:
		            pass
		try:
		    work(400)
		finally:
		    for pid in hogs:
		        os.kill(pid, 9)
		eq(sorted(os.listdir(".")), ["d", "file"])
		while is_behind():
		    time.sleep(0.01)
	END
	unmount
}
