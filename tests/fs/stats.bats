#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What the driver tells of its work: nacrefs --stats, SIGUSR1.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup_file() { make_lowers base_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# Python that asks the driver of the folder that it is in.  Only requests that the kernel never saves are counted exactly:
# other tests may make it forget names meanwhile.
ask='
import json
def ask():
    return json.loads(subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True,
                                     stdout=subprocess.PIPE).stdout)
def since(before):
    after = ask()
    counts = {k: after["RequestsByOpcode"][k] - before["RequestsByOpcode"][k] for k in after["RequestsByOpcode"]}
    eq(after["Requests"], sum(after["RequestsByOpcode"].values()))
    eq(counts["IOCTL"], 1, "the asking itself")
    return after, counts
'

@test "requests are counted by opcode, each once" {
	while fresh_mount; do
		in_python <<-END
			$ask
			before = ask()
			for i in range(3):
			    os.mkdir("n%d" % i)
			for i in range(2):
			    os.symlink("x", "s%d" % i)
			os.rmdir("n0")
			os.unlink("s0")
			os.rename("n1", "n3")
			for i in range(7):
			    fails(errno.ENODATA, os.getxattr, "file", "user.none")
			os.statvfs(".")
			after, counts = since(before)
			eq({k: counts[k] for k in ("MKDIR", "SYMLINK", "RMDIR", "UNLINK", "GETXATTR", "STATFS", "INIT", "OTHER")},
			   {"MKDIR": 3, "SYMLINK": 2, "RMDIR": 1, "UNLINK": 1, "GETXATTR": 7, "STATFS": 1, "INIT": 0, "OTHER": 0})
			eq(counts["RENAME"] + counts["RENAME2"], 1)
			assert counts["LOOKUP"] >= 5, counts
			eq(after["RequestsByOpcode"]["INIT"], 1)
			assert after["UptimeSeconds"] >= before["UptimeSeconds"] >= 0
			assert after["Threads"] >= 1
		END
	done
}

@test "bytes, copy-ups and whiteouts are counted" {
	while fresh_mount io=cached; do
		in_python <<-END
			$ask
			before = ask()
			zero = mmap.mmap(-1, 8192)
			fd = os.open("new", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
			for i in range(4):
			    eq(os.pwrite(fd, zero, i * 8192), 8192)
			eq(os.preadv(fd, [zero], 8192), 8192)
			os.close(fd)
			after, counts = since(before)
			eq(counts["WRITE"], 4)
			eq(after["BytesWritten"] - before["BytesWritten"], 4 * 8192)
			eq(after["BytesRead"] - before["BytesRead"], 8192)
			eq(after["CopyUps"], before["CopyUps"])

			# The end of a file, in one large request; those are counted when they have been answered.
			fd = os.open("big", os.O_RDONLY | os.O_DIRECT)
			eq(os.preadv(fd, [mmap.mmap(-1, 303104)], 0), 300000)
			os.close(fd)
			end = time.time() + 30
			while (now := ask())["BytesRead"] - after["BytesRead"] != 300000:
			    assert time.time() < end, now
			    time.sleep(0.01)
			after = now

			os.chmod("big", 0o640)               # large: its data stays below
			os.chmod("d/sub/deep/f", 0o640)      # small: copied whole, and three folders before it
			os.unlink("tree/x/2")
			os.unlink("tree/x/y/3")
			os.rename("exec", "moved")
			before, after = after, ask()
			eq(after["CopyUps"]["Directories"] - before["CopyUps"]["Directories"], 6)
			eq(after["CopyUps"]["Metadata"] - before["CopyUps"]["Metadata"], 1)
			eq(after["CopyUps"]["Files"] - before["CopyUps"]["Files"], 2)
			eq(after["CopyUps"]["Bytes"] - before["CopyUps"]["Bytes"], len("deep") + len("run\n"))
			eq(after["WhiteoutsMade"] - before["WhiteoutsMade"], 3)
			with open("big", "r+b") as f:
			    f.write(b"!")
			    os.fsync(f.fileno())
			before, after = after, ask()
			eq(after["CopyUps"]["Files"] - before["CopyUps"]["Files"], 1)
			eq(after["CopyUps"]["Bytes"] - before["CopyUps"]["Bytes"], 300000)
		END
	done
}

@test "what is kept in memory is told: names and nodes come and go" {
	while fresh_mount volatile; do
		in_python <<-END
			$ask
			os.mkdir("many")
			before = ask()
			held = [os.open("many/%d" % i, os.O_CREAT | os.O_RDWR, 0o600) for i in range(40)]
			after = ask()
			eq(after["Cache"]["Names"] - before["Cache"]["Names"], 40)
			assert after["Cache"]["Nodes"] >= 40, after
			assert after["Cache"]["Directories"] >= 2, after
			for fd in held:
			    os.write(fd, b"x")
			    os.fsync(fd)
			os.fsync(os.open("many", os.O_RDONLY))
			after = ask()
			# Nothing is synced; who asks for it 40 times is told so once.
			eq(after["RequestsByOpcode"]["FSYNC"], 1)
			eq(after["RequestsByOpcode"]["FSYNCDIR"], 1)
			assert 40 <= after["Cache"]["Descriptors"] <= after["Cache"]["DescriptorLimit"], after
			for i, fd in enumerate(held):
			    os.close(fd)
			    os.unlink("many/%d" % i)
			end = time.time() + 30
			while (left := ask()["Cache"])["Names"] > before["Cache"]["Names"] or left["Descriptors"] > 20:
			    assert time.time() < end, left
			    time.sleep(0.05)
			assert left["Nodes"] < 40, left
		END
	done
}

@test "the table for people has what the JSON has; a mount without an upper and xattrs is asked like any other" {
	UPPER=''
	while fresh_mount noxattrs,io=cached; do
		cat "$MNT/file" >"$BATS_TEST_TMPDIR/copy"
		run nacrefs --stats "$MNT"
		assert_status 0
		[[ $output =~ "INIT "+1 ]] || fail "$output"
		[[ $output =~ (^|$'\n')"read "\ +[0-9]+" bytes" ]] || fail "$output"
		assert_output_has "names in them"
		nacrefs --stats --json "$MNT/d" | jq -e '.Requests > 1 and .BytesRead >= 6 and .CopyUps.Files == 0' >/dev/null
		run ! test -s "$MNT/new"
	done
}

@test "SIGUSR1 writes them to standard error in the foreground, and the driver goes on" {
	mkdir -p "$UPPER" "$WORK"
	"$NACREFS" -f -o "lowerdir=$LOWERS,upperdir=$UPPER,workdir=$WORK" "$MNT" 2>"$BATS_TEST_TMPDIR/log" 3>&- 4>&- &
	driver=$!
	for ((i = 0; i < 600; i++)); do
		! mountpoint -q "$MNT" || break
		sleep 0.05
	done
	# Its table of descriptors has its full size already: growing it later stops the driver for 10 ms and more.
	size=$(awk '$1 == "FDSize:" { print $2 }' "/proc/$driver/status")
	[ "$size" -gt "$(nacrefs --stats --json "$MNT" | jq .Cache.DescriptorLimit)" ] || fail "only $size descriptors"
	mkdir "$MNT/one" "$MNT/two"
	for round in 1 2; do
		kill -USR1 "$driver"
		for ((i = 0; i < 600; i++)); do
			[ "$(grep -c '^threads ' "$BATS_TEST_TMPDIR/log")" != "$round" ] || break
			sleep 0.05
		done
		assert_equal "$(grep -c '^threads ' "$BATS_TEST_TMPDIR/log")" "$round"
	done
	[[ $(cat "$BATS_TEST_TMPDIR/log") =~ "MKDIR "\ *2 ]] || fail "$(cat "$BATS_TEST_TMPDIR/log")"
	mkdir "$MNT/three"
	unmount
	wait "$driver"
}

@test "what is no mount of the driver is not asked, and --json alone is a mistake" {
	assert_refused "is no mount of this driver" nacrefs --stats "$BATS_TEST_TMPDIR"
	assert_refused "No such file or directory" nacrefs --stats "$BATS_TEST_TMPDIR/nothing"
	run nacrefs --json "$BATS_TEST_TMPDIR"
	assert_status 2
	run nacrefs --stats
	assert_status 2
	assert_output_has "no mount point"
}

@test "on a read-only mount closing a file does not make the kernel ask for its attributes again" {
	while fresh_mount ro,io=cached; do
		in_python <<-END
			$ask
			held = os.open("file", os.O_RDONLY)
			os.fstat(held)
			before = ask()
			for i in range(50):
			    os.close(os.open("file", os.O_RDONLY))
			    os.fstat(held)
			assert since(before)[1]["GETATTR"] < 5, since(before)[1]
			os.close(held)
		END
	done
}
