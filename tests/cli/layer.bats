#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# nacre layer: what it takes for a layer, what it says and refuses, and what is left of it.  tests/fs/restack.bats has what
# shows in the tree.
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_base
	EXTRA=$BATS_TEST_TMPDIR/extra
	mkdir -p "$EXTRA/opt/tool" "$EXTRA/etc"
	echo tool >"$EXTRA/opt/tool/run"
	echo extra >"$EXTRA/etc/motd"
	tar -C "$EXTRA" --owner=0 --group=0 -cf "$BATS_TEST_TMPDIR/extra.tar" .
	nacre import "$BATS_TEST_TMPDIR/extra.tar" extra:1
	EXTRA_ID=$(nacre layers --json extra:1 | jq -r '.[0].DiffId')
	BASE_LAYER=$(nacre layers --json base:1 | jq -r '.[0].DiffId')
}
teardown() { unmount_all; }

stack() { nacre layer ls --format '{{json .Layer}} {{.Added}}' "$MNT"; }
only_base() { [ "$(stack)" = "\"$BASE_LAYER\" false" ] && [ ! -e "$MNT/opt" ] && [ "$(cat "$MNT/etc/motd")" = welcome ]; }

@test "a layer by image, by image and number, by ID and by its first digits; a folder" {
	mount_rw
	digits=${EXTRA_ID#sha256:}
	for what in extra:1 extra:1@1 "$EXTRA_ID" "${digits:0:12}" "$EXTRA"; do
		nacre layer add "$MNT" "$what"
		assert_equal "$(cat "$MNT/opt/tool/run" "$MNT/etc/motd")" $'tool\nextra'
		shown=\"$EXTRA_ID\"
		[ "$what" != "$EXTRA" ] || shown=\"$EXTRA\"
		assert_equal "$(stack)" "$shown true"$'\n'"\"$BASE_LAYER\" false"
		nacre layer remove "$CONTAINER" "$what"
		only_base || fail "after $what"
	done
	cd "$BATS_TEST_TMPDIR" || return
	nacre layer add "$CONTAINER" ./extra
	mv extra moved
	nacre layer remove "$CONTAINER" ./moved
	only_base
	run nacre layer ls "$MNT"
	assert_output_has "${BASE_LAYER:7:12}   false"
}

@test "what is there from the start can go too, and comes back with the next mount" {
	mount_rw
	echo second >"$MNT/second"
	nacre commit "$MNT" two:1
	nacre umount --rm "$MNT"
	assert_refused "nothing of nacre is mounted there" nacre layer ls "$MNT"
	second=$(nacre mount --rw two:1 "$MNT")
	[ -e "$MNT/second" ]
	nacre layer remove "$MNT" two:1
	[ ! -e "$MNT/second" ] && [ -e "$MNT/etc/motd" ]
	assert_refused "it is the only layer" nacre layer remove "$MNT" base:1
	nacre layer add "$MNT" two:1
	[ -e "$MNT/second" ]
	nacre layer remove "$MNT" base:1
	[ -e "$MNT/second" ] && [ ! -e "$MNT/etc/motd" ]
	nacre umount "$MNT"
	nacre mount --container "$second" "$MNT"
	[ -e "$MNT/second" ] && [ -e "$MNT/etc/motd" ]
	assert_equal "$(stack | grep -c ' false$')" 2
}

@test "what is refused leaves all as it was" {
	mount_rw
	nacre layer add "$MNT" extra:1
	before=$(stack)
	assert_refused_unchanged "one of its layers already" nacre layer add "$MNT" extra:1
	assert_refused_unchanged "one of its layers already" nacre layer add "$MNT" "$EXTRA_ID"
	assert_refused_unchanged "No such file" nacre layer add "$MNT" ./nothing
	assert_refused_unchanged "no folder" nacre layer add "$MNT" "$BATS_TEST_TMPDIR/extra.tar"
	assert_refused_unchanged "nothing" nacre layer add "$MNT" nothing:1
	assert_refused_unchanged "in the mount itself" nacre layer add "$MNT" "$MNT/usr"
	assert_refused_unchanged "own upperdir or workdir" nacre layer add "$MNT" "$NACRE_STORE/containers/$CONTAINER/upper"
	assert_refused_unchanged "none of its layers" nacre layer remove "$MNT" "$EXTRA"
	assert_refused_unchanged "none of its layers" nacre layer remove "$MNT" abcdef
	assert_refused_unchanged "nothing of nacre is mounted there" nacre layer add "$EXTRA" extra:1
	assert_refused_unchanged "no such directory or container" nacre layer add nobody extra:1
	assert_equal "$(stack)" "$before"
	nacre umount "$MNT"
	assert_refused_unchanged "neither mounted nor running" nacre layer add "$CONTAINER" extra:1
	assert_misused nacre layer add "$MNT"
	assert_misused nacre layer ls "$MNT" extra:1
	assert_misused nacre layer add --json "$MNT" extra:1
	assert_misused nacre layer put "$MNT" extra:1
}

@test "a mount of folders, and one of an image that is read-only" {
	mkdir "$BATS_TEST_TMPDIR/low" "$BATS_TEST_TMPDIR/ro" "$BATS_TEST_TMPDIR/one"
	echo low >"$BATS_TEST_TMPDIR/low/file"
	mount_dirs "$BATS_TEST_TMPDIR/low"
	nacre layer add "$MNT" "$EXTRA"
	assert_equal "$(cat "$MNT/file" "$MNT/etc/motd")" $'low\nextra'
	assert_refused "only a folder can be added" nacre layer add "$MNT" extra:1
	nacre layer remove "$MNT" "$BATS_TEST_TMPDIR/low"
	[ ! -e "$MNT/file" ]
	nacre mount base:1 "$BATS_TEST_TMPDIR/ro"
	ls -lR "$BATS_TEST_TMPDIR/ro" >/dev/null
	nacre layer add "$BATS_TEST_TMPDIR/ro" extra:1
	assert_equal "$(cat "$BATS_TEST_TMPDIR/ro/etc/motd")" extra
	nacre layer remove "$BATS_TEST_TMPDIR/ro" extra:1
	assert_equal "$(cat "$BATS_TEST_TMPDIR/ro/etc/motd")" welcome
	nacre mount --layer "$EXTRA_ID" --whiteouts=mark "$BATS_TEST_TMPDIR/one"
	assert_refused "shows whiteouts" nacre layer add "$BATS_TEST_TMPDIR/one" base:1
}

@test "an added layer's image is kept from gc, and a commit has only what was changed" {
	mount_rw
	nacre layer add "$MNT" extra:1
	echo mine >>"$MNT/etc/motd"
	run nacre rmi -f extra:1
	nacre gc
	assert_equal "$(cat "$MNT/opt/tool/run")" tool
	nacre commit --live "$MNT" live:1
	assert_equal "$(nacre cat live:1 /etc/motd)" $'extra\nmine'
	run nacre cat live:1 /opt/tool/run
	assert_status 1
	assert_equal "$(cat "$MNT/opt/tool/run" "$MNT/etc/motd")" $'tool\nextra\nmine'
	assert_equal "$(stack | cut -d' ' -f2 | tr '\n' ' ')" "false true false "
	nacre layer remove "$MNT" "$EXTRA_ID"
	[ ! -e "$MNT/opt" ]
	assert_equal "$(cat "$MNT/etc/motd")" $'extra\nmine'
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" $'extra\nmine'
}

@test "a folder that comes again with another file of the same number shows that" {
	mkdir "$BATS_TEST_TMPDIR/low"
	mount_dirs "$BATS_TEST_TMPDIR/low"
	ln "$EXTRA/etc/motd" "$EXTRA/etc/also"
	[ "$(stat -c %W "$EXTRA/etc/motd")" != 0 ] || skip "this file system keeps no birth times"
	nacre layer add "$MNT" "$EXTRA"
	echo mine >>"$MNT/etc/motd"
	nacre layer remove "$MNT" "$EXTRA"
	python3 - "$EXTRA/etc" <<-'END' || skip "this file system gives no number twice"
		import os, sys
		os.chdir(sys.argv[1])
		number = os.lstat("motd").st_ino
		os.unlink("motd")
		os.unlink("also")
		for i in range(20000):
		    with open(f"new{i}", "w") as file:
		        file.write("new\n")
		    if os.lstat(f"new{i}").st_ino == number:
		        break
		else:
		    sys.exit(1)
		os.link(f"new{i}", "other")
		os.link(f"new{i}", "third")
		for j in range(i + 1):
		    os.unlink(f"new{j}")
	END
	nacre layer add "$MNT" "$EXTRA"
	assert_equal "$(cat "$MNT/etc/other" "$MNT/etc/third" "$MNT/etc/motd")" $'new\nnew\nextra\nmine'
}

@test "a process in a container of the same user may not" {
	mount_rw
	namespaces=(-m)
	is_root || namespaces=(-m -U --map-current-user)
	unshare "${namespaces[@]}" true 2>/dev/null || skip "no namespaces here"
	run unshare "${namespaces[@]}" "$NACRE" layer add "$MNT" "$EXTRA" 3>&- 4>&-
	assert_status 1
	assert_output_has "only the user who mounted it may"
	only_base
}

@test "killed in the midst: the next mount is as it was, and what was written is there" {
	mount_rw
	for i in 1 2 3 4 5 6; do
		echo "$i" >>"$MNT/log"
		sync "$MNT/log"
		nacre layer add "$MNT" "$EXTRA"
		cat "$MNT/etc/motd" >/dev/null
		pid=$(driver_pids "$MNT")
		timeout 20 "$NACRE" layer remove "$MNT" "$EXTRA" 3>&- 4>&- &
		sleep "0.00$i"
		kill -KILL "$pid"
		wait $! || true
		nacre umount "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
		nacre mount --container "$CONTAINER" "$MNT"
		only_base
		assert_equal "$(cat "$MNT/log")" "$(seq "$i")"
	done
}
