#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# How nacrefs refuses, starts and ends.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

setup() {
	setup_store
	LOWER=$BATS_TEST_TMPDIR/lower
	mkdir -p "$LOWER/d" "$UPPER" "$WORK"
	echo hello >"$LOWER/file"
}
teardown() { unmount_all; }

# refused STATUS TEXT ARGUMENT...: nacrefs ends with it, says the text, and nothing is mounted.
refused() {
	local want=$1 text=$2
	shift 2
	run --separate-stderr nacrefs "$@"
	[ "$status" = "$want" ] || fail "expected exit $want, got $status" "$stderr"
	[[ $stderr == "nacrefs: "*"$text"* ]] || fail "expected in the message: $text" "$stderr"
	assert_equal "$output" ""
	[ -z "$(mounts_below "$BATS_TEST_TMPDIR")" ] || fail "something is mounted"
	[ -z "$(driver_pids "$BATS_TEST_TMPDIR")" ] || fail "a driver is left"
}

@test "a lowerdir that is not there, or is a file, is named" {
	refused 1 "$LOWER/missing" -o "lowerdir=$LOWER/missing" "$MNT"
	refused 1 "$LOWER/missing" -o "lowerdir=$LOWER:$LOWER/missing,upperdir=$UPPER,workdir=$WORK" "$MNT"
	refused 1 "$LOWER/file" -o "lowerdir=$LOWER/file" "$MNT"
}

@test "an upperdir or workdir that is not there is named" {
	refused 1 "$UPPER/missing" -o "lowerdir=$LOWER,upperdir=$UPPER/missing,workdir=$WORK" "$MNT"
	refused 1 "$WORK/missing" -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK/missing" "$MNT"
	refused 1 "$LOWER/file" -o "lowerdir=$LOWER,upperdir=$LOWER/file,workdir=$WORK" "$MNT"
}

@test "upperdir without workdir, and workdir without upperdir, is a misuse" {
	refused 2 workdir -o "lowerdir=$LOWER,upperdir=$UPPER" "$MNT"
	refused 2 upperdir -o "lowerdir=$LOWER,workdir=$WORK" "$MNT"
}

@test "no lowerdir, no mount point, two mount points, a wrong word: exit 2" {
	refused 2 lowerdir "$MNT"
	refused 2 lowerdir -o "upperdir=$UPPER,workdir=$WORK" "$MNT"
	refused 2 lowerdir -o lowerdir= "$MNT"
	refused 2 "mount point" -o "lowerdir=$LOWER"
	refused 2 "mount point" -o "lowerdir=$LOWER" a b c
	refused 2 --wrong --wrong -o "lowerdir=$LOWER" "$MNT"
	refused 2 "-o" -o
}

@test "a mount point that is missing or a file is named" {
	refused 1 "$BATS_TEST_TMPDIR/missing" -o "lowerdir=$LOWER" "$BATS_TEST_TMPDIR/missing"
	touch "$BATS_TEST_TMPDIR/plain"
	refused 1 "$BATS_TEST_TMPDIR/plain" -o "lowerdir=$LOWER" "$BATS_TEST_TMPDIR/plain"
}

@test "a workdir that is the upperdir, or inside it, is refused" {
	refused 1 "$UPPER" -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$UPPER" "$MNT"
	mkdir "$UPPER/in" "$WORK/in"
	ln -s upper/in "$BATS_TEST_TMPDIR/link"
	refused 1 "workdir $UPPER/in is in upperdir $UPPER" -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$UPPER/in" "$MNT"
	refused 1 "workdir $UPPER/in is in upperdir $UPPER" \
		-o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$BATS_TEST_TMPDIR/link" "$MNT"
	refused 1 "upperdir $WORK/in is in workdir $WORK" -o "lowerdir=$LOWER,upperdir=$WORK/in,workdir=$WORK" "$MNT"
	assert_equal "$(ls "$UPPER" "$WORK" "$UPPER/in" "$WORK/in" | grep -v : | xargs)" "in in"
}

@test "a lower that is the upperdir or the workdir, or in one of them, is refused, and nothing in it is touched" {
	local with=upperdir=$UPPER,workdir=$WORK
	mkdir -p "$UPPER/in" "$WORK/work/in"
	echo kept >"$WORK/work/in/file"
	ln -s upper/in "$BATS_TEST_TMPDIR/link"
	refused 1 "lowerdir $UPPER is the folder of upperdir $UPPER" -o "lowerdir=$UPPER,$with" "$MNT"
	refused 1 "lowerdir $UPPER is the folder of upperdir $UPPER" -o "lowerdir=$LOWER:$UPPER/.,$with" "$MNT"
	refused 1 "lowerdir $UPPER/in is in upperdir $UPPER" -o "lowerdir=$LOWER:$UPPER/in,$with" "$MNT"
	refused 1 "lowerdir $UPPER/in is in upperdir $UPPER" -o "lowerdir=$BATS_TEST_TMPDIR/link,$with" "$MNT"
	refused 1 "lowerdir $WORK is the folder of workdir $WORK" -o "lowerdir=$WORK,$with" "$MNT"
	refused 1 "lowerdir $WORK/work/in is in workdir $WORK" -o "lowerdir=$WORK/work/in,$with" "$MNT"
	refused 1 "lowerdir $WORK/work is in workdir $WORK" -o "lowerdir=$LOWER::$WORK/work,$with" "$MNT"
	assert_equal "$(cat "$WORK/work/in/file")" kept
}

@test "an upperdir and a workdir in a lower, as with podman's -v /:/x:O, and lowers in one another are in order" {
	local lower=$BATS_TEST_TMPDIR/all
	mkdir -p "$lower/upper" "$lower/work" "$lower/in/d" "$lower/upper2"
	echo in >"$lower/in/file"
	nacrefs -o "lowerdir=$lower,upperdir=$lower/upper,workdir=$lower/work" "$MNT"
	echo more >>"$MNT/in/file"
	assert_equal "$(xargs <"$MNT/in/file")" "in more"
	assert_equal "$(xargs <"$lower/in/file")" in
	unmount
	nacrefs -o "lowerdir=/,upperdir=$lower/upper,workdir=$lower/work" "$MNT"
	assert_equal "$(xargs <"$MNT/$lower/upper/in/file")" "in more"
	unmount
	# Of one name as far as it goes, and beside it.
	nacrefs -o "lowerdir=$lower/in:$lower:$lower/in:$lower/upper2,upperdir=$lower/upper,workdir=$lower/work" "$MNT"
	assert_equal "$(xargs <"$MNT/file")" in
}

@test "ID mappings that are none are refused by name" {
	local value
	for value in x 0 0:0 0:0:x 0:0:1:5 -1:0:1 0:99999999999:1 0::1; do
		refused 2 uidmapping -o "lowerdir=$LOWER,uidmapping=$value" "$MNT"
		refused 2 gidmapping -o "lowerdir=$LOWER,gidmapping=$value" "$MNT"
	done
	refused 2 squash_to_uid -o "lowerdir=$LOWER,squash_to_uid=root" "$MNT"
	refused 2 squash_to_gid -o "lowerdir=$LOWER,squash_to_gid=" "$MNT"
	refused 2 timeout -o "lowerdir=$LOWER,timeout=soon" "$MNT"
	refused 2 xattr_permissions -o "lowerdir=$LOWER,xattr_permissions=7" "$MNT"
}

@test "an image or a store that is not there is named" {
	refused 1 "$BATS_TEST_TMPDIR/no-store" -o "store=$BATS_TEST_TMPDIR/no-store,image=x:1" "$MNT"
	refused 2 store -o "image=x:1" "$MNT"
	tar -C "$LOWER" -cf "$BATS_TEST_TMPDIR/l.tar" .
	nacre import "$BATS_TEST_TMPDIR/l.tar" here:1
	refused 2 image -o "store=$NACRE_STORE" "$MNT"
	refused 1 gone:1 -o "store=$NACRE_STORE,image=gone:1" "$MNT"
	refused 2 lowerdir -o "store=$NACRE_STORE,image=here:1,lowerdir=$LOWER" "$MNT"
	refused 1 "$LOWER" -o "store=$LOWER,image=here:1" "$MNT"
}

@test "an unknown option is ignored with a warning, and the mount is there" {
	run --separate-stderr nacrefs -o "lowerdir=$LOWER,no_such_option,another=1,plugins=x" "$MNT"
	assert_status 0
	[[ $stderr == *no_such_option* && $stderr == *another* ]] || fail "$stderr"
	[ -e "$MNT/file" ]
}

@test "options of podman, with empty ones among them, mount" {
	nacrefs -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,,volatile,nodev,fsync=0,noatime," "$MNT"
	echo x >"$MNT/new"
	unmount
	[ -e "$UPPER/new" ]
}

@test "lower paths with a colon, a comma, a backslash, a space" {
	local dir=$BATS_TEST_TMPDIR/'a:b,c\d e'
	mkdir "$dir"
	echo odd >"$dir/odd"
	local escaped=${dir//\\/\\\\}
	escaped=${escaped//:/\\:}
	escaped=${escaped//,/\\,}
	nacrefs -o "lowerdir=$escaped:$LOWER,upperdir=$UPPER,workdir=$WORK" "$MNT"
	assert_equal "$(ls "$MNT" | xargs)" "d file odd"
}

@test "relative paths, and a lower by a symlink and .." {
	mkdir "$BATS_TEST_TMPDIR/links"
	ln -s "$LOWER/d" "$BATS_TEST_TMPDIR/links/L"
	(cd "$BATS_TEST_TMPDIR" && nacrefs -o "lowerdir=links/L/../../lower,upperdir=upper,workdir=work" mnt)
	assert_equal "$(cat "$MNT/file")" hello
	unmount
	(cd "$BATS_TEST_TMPDIR" && nacrefs -o "lowerdir=links/L/.." mnt)
	assert_equal "$(cat "$MNT/file")" hello
}

@test "-o in one word, options after the mount point, a source before it" {
	nacrefs "-olowerdir=$LOWER" "$MNT"
	unmount
	nacrefs "$MNT" -o "lowerdir=$LOWER"
	unmount
	nacrefs source "$MNT" -o "lowerdir=$LOWER" -o ro
	assert_equal "$(cat "$MNT/file")" hello
}

@test "redirects in circles, to nowhere, out of the tree, to a file: an error or nothing, and the driver lives" {
	local top=$BATS_TEST_TMPDIR/top low=$BATS_TEST_TMPDIR/low name as
	local -A redirects=([self]=/self [one]=/two [two]=/one [nowhere]=/missing/deep [file]=/plain [out]=../../etc
		[dots]=/../../etc [empty]='' [slash]=/ [double]=//d [below]=/below/in [long]=/$(printf 'x%.0s' {1..300}))
	mkdir -p "$top" "$low/d/in" "$low/below/in"
	echo secret >"$low/d/in/f"
	touch "$low/plain"
	for name in "${!redirects[@]}"; do
		mkdir -p "$top/$name" "$low/$name/was"
		setfattr -n user.overlay.redirect -v "${redirects[$name]}" "$top/$name"
		is_root && setfattr -n trusted.overlay.redirect -v "${redirects[$name]}" "$top/$name"
	done
	for as in lower upper; do
		if [ "$as" = lower ]; then
			nacrefs -o "lowerdir=$top:$low" "$MNT"
		else
			nacrefs -o "lowerdir=$low,upperdir=$top,workdir=$WORK" "$MNT"
		fi
		for name in "${!redirects[@]}"; do
			timeout 60 ls -R "$MNT/$name" >"$BATS_TEST_TMPDIR/out" 2>&1 || [ $? -lt 100 ] || fail "$name hangs or crashes"
			! grep -q -e passwd -e hostname "$BATS_TEST_TMPDIR/out" || fail "$name leaves the tree"
		done
		timeout 60 find "$MNT" >/dev/null 2>&1 || [ $? -lt 100 ]
		assert_equal "$(cat "$MNT/d/in/f")" secret
		[ "$as" = lower ] || mv "$MNT/one" "$MNT/one.moved" 2>/dev/null || true
		assert_equal "$(cat "$MNT/d/in/f")" secret
		unmount
	done
}

@test "records and marks that make no sense are no records and no marks, or an error" {
	local low=$BATS_TEST_TMPDIR/low value
	mkdir -p "$low/d"
	for value in "" : 1:2 a:b:c 0:0:99999 1:2:0644:nonsense 1:2:0644:char-x-y 99999999999:1:0644 "1:2:0644:char-1-3:more" \
		"$(printf '1%.0s' {1..200})"; do
		touch "$low/d/f"
		setfattr -n user.containers.override_stat -v "$value" "$low/d/f"
		setfattr -n user.containers.override_stat -v 0:0:0755 "$low"
		nacrefs -o "lowerdir=$low,upperdir=$UPPER,workdir=$WORK,xattr_permissions=2" "$MNT"
		timeout 60 ls -lR "$MNT" >/dev/null 2>&1 || [ $? -lt 100 ]
		timeout 60 stat "$MNT" >/dev/null
		unmount
	done
}

@test "--version and --help say so on standard output" {
	run --separate-stderr nacrefs --version
	assert_status 0
	[[ $output == nacrefs\ [0-9]* ]] || fail "$output"
	run --separate-stderr nacrefs --help
	assert_status 0
	assert_output_has lowerdir
	assert_equal "$stderr" ""
}

@test "the mount is live when the command returns" {
	local i
	for i in 1 2 3 4 5; do
		nacrefs -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK" "$MNT" && [ -e "$MNT/file" ]
		mountpoint -q "$MNT"
		unmount
	done
}

@test "started with its standard descriptors closed it mounts, and takes no file of its own for one of them" {
	timeout 60 "$NACREFS" -o "lowerdir=$LOWER" "$MNT" <&- >&- 2>&- 3>&- 4>&-
	[ -e "$MNT/file" ]
	run timeout 60 bash -c '"$1" --version >&-' - "$NACREFS"
	assert_status 1
	assert_output_has "cannot write to standard output: Bad file descriptor"
}

@test "the daemon lets go of standard output and error: a reader sees their end" {
	run timeout 60 bash -c '{ "$1" -o "lowerdir=$2" "$3" 2>&1 3>&- | cat; } 3>&-' - "$NACREFS" "$LOWER" "$MNT"
	assert_status 0
	[ -e "$MNT/file" ]
}

@test "an unmount by anybody ends the daemon, and the lowers are free at once" {
	mount_dirs "$LOWER"
	local pid
	pid=$(driver_pids "$MNT")
	[ -n "$pid" ]
	fusermount3 -u "$MNT"
	wait_gone "$pid"
	[ -z "$(driver_pids "$MNT")" ]
	mount_dirs "$LOWER"
	pid=$(driver_pids "$MNT")
	(cd "$MNT" && fusermount3 -uz "$MNT" && [ -e file ])
	wait_gone "$pid"
}

@test "SIGTERM, SIGINT and SIGHUP unmount, and what was written is there" {
	local signal pid
	for signal in TERM INT HUP; do
		mount_dirs "$LOWER"
		echo "$signal" >>"$MNT/file"
		pid=$(driver_pids "$MNT")
		kill "-$signal" "$pid"
		wait_gone "$pid"
		! mountpoint -q "$MNT" || fail "still mounted after SIG$signal"
	done
	assert_equal "$(xargs <"$UPPER/file")" "hello TERM INT HUP"
}

@test "SIGKILL leaves an upper that mounts again, with all that was synced" {
	local i pid
	for i in 1 2 3; do
		mount_dirs "$LOWER"
		in_python "$MNT" "$i" <<-'END'
			n = sys.argv[1]
			fd = os.open("synced" + n, os.O_CREAT | os.O_WRONLY, 0o644)
			os.write(fd, b"x" * 100000)
			os.fsync(fd)
			fd = os.open("file", os.O_WRONLY | os.O_APPEND)
			os.write(fd, n.encode())
			os.fsync(fd)
			os.mkdir("dir" + n)
			os.rename("dir" + n, "renamed" + n)
		END
		pid=$(driver_pids "$MNT")
		kill -KILL "$pid"
		wait_gone "$pid"
		umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT"
	done
	mount_dirs "$LOWER"
	assert_equal "$(tr -d '\n' <"$MNT/file")" hello123
	for i in 1 2 3; do
		assert_equal "$(stat -c %s "$MNT/synced$i")" 100000
		[ -d "$MNT/renamed$i" ]
	done
}

@test "SIGKILL in the middle of copy-ups leaves whole files, old or new" {
	local i pid
	head -c 2000000 /dev/zero | tr '\0' o >"$LOWER/large"
	for i in 1 2 3 4 5 6; do
		cp "$LOWER/large" "$LOWER/large$i"
	done
	mount_dirs "$LOWER"
	pid=$(driver_pids "$MNT")
	(for i in 1 2 3 4 5 6; do chmod 600 "$MNT/large$i" || break; done) 2>/dev/null 3>&- &
	sleep 0.01
	kill -KILL "$pid"
	wait_gone "$pid"
	wait
	umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT"
	mount_dirs "$LOWER"
	for i in 1 2 3 4 5 6; do
		cmp "$MNT/large$i" "$LOWER/large"
	done
	[ -z "$(find "$WORK/work" -type f -size +0)" ] || fail "left in the workdir: $(ls -l "$WORK/work")"
}

@test "two mounts of the same lower do not disturb each other" {
	mkdir -p "$BATS_TEST_TMPDIR/mnt2" "$BATS_TEST_TMPDIR/u2" "$BATS_TEST_TMPDIR/w2"
	mount_dirs "$LOWER"
	nacrefs -o "lowerdir=$LOWER,upperdir=$BATS_TEST_TMPDIR/u2,workdir=$BATS_TEST_TMPDIR/w2" "$BATS_TEST_TMPDIR/mnt2"
	echo one >"$MNT/file"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/mnt2/file")" hello
	rm "$BATS_TEST_TMPDIR/mnt2/file"
	assert_equal "$(cat "$MNT/file")" one
}
