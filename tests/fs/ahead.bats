#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Listings that are made before they are asked for: who walks a tree sees it as it is, whoever changes it meanwhile.
# shellcheck disable=SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# Folders of files, two levels, some of them empty; one with more files than one answer holds.
walked_tree() {
	python3 - "$1" <<-'END'
		import os, sys
		os.chdir(sys.argv[1])
		for a in range(16):
		    for b in range(10):
		        os.makedirs("t/a%d/b%d" % (a, b))
		        for f in range((a + b) % 5):
		            with open("t/a%d/b%d/f%d" % (a, b, f), "w") as file:
		                file.write("x" * (a + b + f))
		os.mkdir("t/large")
		for f in range(600):
		    os.symlink("target%d" % f, "t/large/link%d" % f)
		for d in range(4):
		    os.makedirs("o/d%d" % d)
		    for f in range(30):
		        with open("o/d%d/f%d" % (d, f), "w") as file:
		            file.write("x" * f)
	END
}

setup_file() { make_lowers walked_tree; }
setup() { setup_store; }
teardown() { unmount_all; }
teardown_file() { lowers_unchanged; }

# In the order of listings, as find goes; what a function does before each folder is listed.
walk='
import json, threading, time
def ahead():
    text = subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(text)["ListingsAhead"]
def walk(top, before=lambda path: None):
    before(top)
    with os.scandir(top) as entries:
        entries = list(entries)
    seen = {}
    for entry in entries:
        seen[entry.path] = entry.stat(follow_symlinks=False)
        if entry.is_dir(follow_symlinks=False):
            seen.update(walk(entry.path, before))
    return seen
def plain(seen):
    return {path: (st.st_mode, st.st_size, st.st_mtime_ns, st.st_nlink) for path, st in seen.items()}
'

@test "a walk sees what is there, and listings are made ahead of it" {
	while fresh_mount io=cached; do
		list_tree "$LOWERS_DIR/1/t" >"$BATS_TEST_TMPDIR/below"
		list_tree "$MNT/t" | diff "$BATS_TEST_TMPDIR/below" - || fail "the trees differ"
		remount
		in_python <<-END
			$walk
			before = ahead()["Made"]
			seen = walk("t")
			eq(len(seen), 16 + 160 + sum((a + b) % 5 for a in range(16) for b in range(10)) + 1 + 600)
			# It begins with a folder that nobody has come to yet, whenever that thread gets its turn.
			for i in range(200 if len(os.sched_getaffinity(0)) > 1 else 0):
			    if ahead()["Made"] > before:
			        break
			    time.sleep(.05)
			    walk("t")
			else:
			    eq(len(os.sched_getaffinity(0)), 1, "nothing was made ahead")
			assert ahead()["Found"] <= ahead()["Made"]
		END
	done
}

@test "nothing is made ahead where there is one processor" {
	mount_kinds() { one_kind; }
	fresh_mount io=cached
	(
		taskset -pc "$(taskset -pc "$BASHPID" | sed 's/.*: \([0-9]*\).*/\1/')" "$BASHPID" >/dev/null
		remount
	)
	in_python <<-END
		$walk
		for i in range(20):
		    walk("t")
		eq(ahead()["Made"], 0)
	END
}

@test "what changes before a folder is listed shows in its listing" {
	mount_kinds() { one_kind; }
	while fresh_mount io=cached; do
		in_python <<-END
			$walk
			# Now and then, so that there is something to be out of date: a mode, a size, a name more, a name less.
			count = 0
			def change(path):
			    global count
			    count += 1
			    if count % 9 or not path.startswith("t/a") or path.count("/") < 2:
			        return
			    files = [path + "/f%d" % f for f in range(4)]
			    if os.path.exists(files[0]):
			        os.chmod(files[0], 0o640 + count % 8)
			    if os.path.exists(files[1]):
			        with open(files[1], "a") as file:
			            file.write("more")
			    if os.path.exists(files[2]):
			        os.unlink(files[2])
			    with open(path + "/new", "w") as file:
			        file.write("new")
			seen = plain(walk("t", change))
			for i in range(2):
			    os.sync()
			    eq({path: v for path, v in plain(walk("t")).items() if not stat.S_ISDIR(v[0])},
			       {path: v for path, v in seen.items() if not stat.S_ISDIR(v[0])})
			assert any(path.endswith("/new") for path in seen)
			now = os.listdir("t/a3/b4")
			eq(len(now), len(set(now)))
		END
		list_tree "$MNT/t" >"$BATS_TEST_TMPDIR/seen"
		remount
		list_tree "$MNT/t" | diff "$BATS_TEST_TMPDIR/seen" - || fail "a new mount shows something else"
	done
}

@test "several walk while others change" {
	mount_kinds() { one_kind; }
	while fresh_mount io=cached; do
		in_python <<-END
			$walk
			stop = False
			def disturb():
			    i = 0
			    while not stop:
			        i += 1
			        os.mkdir("t/more%d" % (i % 3))
			        os.rename("t/more%d" % (i % 3), "t/a1/more")
			        os.chmod("t/large", 0o755 - i % 2)
			        os.rmdir("t/a1/more")
			        time.sleep(.002)
			def steady(seen):
			    return {path: v for path, v in plain(seen).items()
			            if "more" not in path and path not in ("t/a1", "t/large")}
			want = steady(walk("t"))
			other = threading.Thread(target=disturb)
			other.start()
			wrong = []
			def walks():
			    for i in range(3):
			        try:
			            if steady(walk("t")) != want:
			                wrong.append(i)
			        except FileNotFoundError:
			            pass # it was there when it was listed
			walkers = [threading.Thread(target=walks) for i in range(2)]
			for w in walkers:
			    w.start()
			if os.getuid() == 0:
			    for i in range(5):
			        with open("/proc/sys/vm/drop_caches", "w") as file:
			            file.write("2")
			        time.sleep(.1)
			for w in walkers:
			    w.join()
			stop = True
			other.join()
			eq(wrong, [])
		END
	done
}

@test "what was made for nothing is not kept" {
	mount_kinds() { one_kind; }
	fresh_mount io=cached
	in_python <<-END
		$walk
		for i in range(6):
		    os.listdir("t/a%d" % i)
		nodes = json.loads(subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True,
		                                  stdout=subprocess.PIPE).stdout)["Cache"]["Nodes"]
		# What the kernel was told of: the root, t, and what these folders hold.
		assert nodes <= 2 + 17 + 60 + 10, nodes
	END
}

@test "a folder whose files are opened one after the other is told as a whole, each time as it is" {
	while fresh_mount io=cached; do
		in_python <<-END
			$walk
			def getattrs():
			    text = subprocess.run([os.environ["NACREFS"], "--stats", "--json", "."], check=True,
			                          stdout=subprocess.PIPE).stdout
			    return json.loads(text)["RequestsByOpcode"]["GETATTR"]
			want = {"o/d%d/f%d" % (d, f): ("x" * f, 0o644) for d in range(4) for f in range(30)}
			def grep():
			    seen = {}
			    for d in sorted(os.listdir("o")):
			        for name in os.listdir("o/" + d):
			            with open("o/%s/%s" % (d, name)) as file:
			                st = os.fstat(file.fileno())
			                seen["o/%s/%s" % (d, name)] = (file.read(), stat.S_IMODE(st.st_mode))
			                eq(st.st_size, len(seen["o/%s/%s" % (d, name)][0]))
			    return seen
			counts = []
			for i in range(12):
			    before = getattrs()
			    eq(grep(), want)
			    counts.append(getattrs() - before)
			    # Nothing of it stays as it was told before.
			    d = "o/d%d/" % (i % 4)
			    with open(d + "f3", "a") as file:
			        file.write("more")
			    want[d + "f3"] = (want[d + "f3"][0] + "more", 0o644)
			    os.chmod(d + "f5", 0o600 + i)
			    want[d + "f5"] = (want[d + "f5"][0], 0o600 + i)
			    os.rename(d + "f%d" % (10 + i), d + "g%d" % i)
			    want[d + "g%d" % i] = want.pop(d + "f%d" % (10 + i))
			    if i % 4 == 3:
			        os.unlink(d + "f%d" % (9 - i // 4))
			        want.pop(d + "f%d" % (9 - i // 4))
			    with open(d + "n%d" % i, "w") as file:
			        file.write("new")
			    os.chmod(d + "n%d" % i, 0o644)
			    want[d + "n%d" % i] = ("new", 0o644)
			# The first time all is known from the listings, each folder's own attributes too.
			assert counts[0] < 4, counts
			# One for each file it would be, of 120 and more.
			assert min(counts[1:]) < 40, counts
		END
	done
}
