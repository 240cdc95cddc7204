#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

# One change of each kind.
change_all() {
	echo added >"$MNT/etc/added"
	echo changed >"$MNT/etc/motd"
	rm "$MNT/etc/passwd"
	rm -r "$MNT/etc/conf.d"
	echo file >"$MNT/etc/conf.d"
	rm "$MNT/etc/note"
	mkdir "$MNT/etc/note"
	echo inside >"$MNT/etc/note/inside"
	rm -r "$MNT/usr/share/doc"
	mkdir "$MNT/usr/share/doc"
	echo replaced >"$MNT/usr/share/doc/x"
	chmod 700 "$MNT/tmp"
	chown 7:8 "$MNT/etc/shadow"
	ln -s motd "$MNT/etc/link"
	ln "$MNT/etc/added" "$MNT/etc/linked"
	mkfifo "$MNT/etc/fifo"
	mv "$MNT/usr/bin/tool" "$MNT/usr/bin/moved"
	setfattr -n user.mark -v here "$MNT/etc/added"
	touch -d '2001-02-03 04:05:06.123456789' "$MNT/usr/share/doc/x"
}

@test "diff: A, C and D, sorted, the same mounted and not" {
	mount_rw
	assert_equal "$(nacre diff "$MNT")" ""
	change_all
	run --separate-stderr nacre diff "$MNT"
	assert_status 0
	[ -z "$stderr" ]
	for line in "A /etc/added" "C /etc/motd" "D /etc/passwd" "C /etc/conf.d" "C /etc/note" "A /etc/note/inside" \
		"C /tmp" "C /etc/shadow" "A /etc/link" "A /etc/linked" "A /etc/fifo" "D /usr/bin/tool" "A /usr/bin/moved" \
		"C /etc" "C /usr" "C /usr/bin" "C /usr/share/doc"; do
		grep -qxF "$line" <<<"$output" || fail "not in the diff: $line" "$output"
	done
	refute_output_has "/usr/share/big"
	assert_equal "$(cut -c 3- <<<"$output")" "$(cut -c 3- <<<"$output" | LC_ALL=C sort)"
	mounted=$output
	assert_equal "$(nacre diff "$CONTAINER")" "$mounted"
	nacre umount "$MNT"
	assert_equal "$(nacre diff "$CONTAINER")" "$mounted"
}

@test "diff --json: keys; a name with a newline; a name that is no UTF-8" {
	mount_rw
	touch "$MNT/a"$'\n'"b" "$MNT/c"$'\xff'"d"
	run nacre diff --json "$MNT"
	assert_equal "$(json '.[0].Kind')" A
	assert_equal "$(json '.[0].Path')" $'/a\nb'
	assert_equal "$(json '.[1].PathHex')" 2f63ff64
	assert_equal "$(nacre diff "$MNT")" $'A /a\\nb\nA /c\\xffd'
}

@test "diff and commit see what was written a moment ago and not synced" {
	mount_rw
	head -c 3000000 /dev/urandom >"$MNT/fresh"
	# Held open: close alone might write it back.
	exec 7>>"$MNT/fresh"
	printf more >&7
	nacre commit "$MNT" app:1
	exec 7>&-
	nacre cat app:1 fresh | cmp - "$MNT/fresh"
}

@test "commit prints the ID; history, message, author and base's layers as a prefix" {
	mount_rw
	change_all
	run --separate-stderr nacre commit -m "change it" -a "Ann <ann@example.org>" "$MNT" app:1
	assert_status 0
	[ -z "$stderr" ]
	[[ $output =~ ^sha256:[0-9a-f]{64}$ ]] || fail "$output"
	id=$output
	run nacre inspect base:1 app:1
	assert_equal "$(json '.[1].Id')" "$id"
	assert_equal "$(json '.[1].Author')" "Ann <ann@example.org>"
	assert_equal "$(json '.[1].RootFS.Layers | length')" 2
	assert_equal "$(json '.[1].RootFS.Layers[:-1] == .[0].RootFS.Layers')" true
	run nacre history --json app:1
	assert_equal "$(json '.[0].Comment')" "change it"
	assert_equal "$(json '.[0].Author')" "Ann <ann@example.org>"
	run nacre history app:1
	[[ ${lines[0]} == *AUTHOR ]] || fail "${lines[0]}"
	run nacre layers app:1
	assert_equal "${#lines[@]}" 3
}

@test "a file changed through one of its names: the others are found, below folders that were renamed too" {
	mount_rw
	mkdir -p "$MNT/a/in" "$MNT/b"
	echo old >"$MNT/a/in/file"
	ln "$MNT/a/in/file" "$MNT/b/file"
	ln "$MNT/a/in/file" "$MNT/c"
	nacre commit -q "$MNT" names:1
	nacre umount "$MNT"
	id=$(nacre mount --rw names:1 "$MNT")
	mkdir "$MNT/away"
	mv "$MNT/a" "$MNT/away/moved"
	mv "$MNT/b" "$MNT/away/moved/b"
	mv "$MNT/away" "$MNT/gone"
	nacre umount "$MNT"
	nacre mount --container "$id" "$MNT" # where nobody has looked at the other names
	echo new >"$MNT/c"
	nacre commit -q "$MNT" names:2
	nacre umount "$MNT"
	nacre mount names:2 "$MNT"
	assert_equal "$(cat "$MNT"/{c,gone/moved/{in,b}/file} | xargs)" "new new new"
	assert_equal "$(stat -c %h "$MNT/c")" 3
	assert_equal "$(find "$MNT" -samefile "$MNT/c" | wc -l)" 3
}

@test "commit by container, without a name, and of no change at all" {
	mount_rw
	nacre umount "$MNT"
	id=$(nacre commit "$CONTAINER")
	run nacre inspect "$id"
	assert_equal "$(json '.[0].RepoTags | length')" 0
	nacre mount "$id" "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
}

@test "commit -c changes the config" {
	mount_rw
	nacre commit -c 'CMD ["/bin/run", "it"]' --change 'ENV COLOUR=blue' -c 'WORKDIR /srv' -c 'LABEL a=b' "$MNT" app:1
	run nacre inspect app:1
	assert_equal "$(json '.[0].Config.Cmd | join(" ")')" "/bin/run it"
	assert_equal "$(json '.[0].Config.Env | index("COLOUR=blue") != null')" true
	assert_equal "$(json '.[0].Config.WorkingDir')" /srv
	assert_equal "$(json '.[0].Config.Labels.a')" b
	assert_refused_unchanged "cannot commit $CONTAINER: " nacre commit -c 'FROM scratch' "$CONTAINER" x
	assert_refused_unchanged "cannot commit $CONTAINER: " nacre commit "$CONTAINER" "No Name"
}

@test "the same changes give the same diff ID, and with SOURCE_DATE_EPOCH the same image" {
	export SOURCE_DATE_EPOCH=1700000000
	ids=()
	for _ in 1 2; do
		mount_rw
		echo same >"$MNT/etc/same"
		touch -d @1600000001 "$MNT/etc/same" "$MNT/etc"
		ids+=("$(nacre commit -m same "$MNT")")
		nacre umount --rm "$MNT"
	done
	assert_equal "${ids[0]}" "${ids[1]}"
	assert_equal "$(nacre inspect "${ids[0]}" | jq -r '.[0].Created')" 2023-11-14T22:13:20Z
}

@test "SOURCE_DATE_EPOCH that is no number" {
	mount_rw
	SOURCE_DATE_EPOCH=soon assert_refused_unchanged "SOURCE_DATE_EPOCH is not a number of seconds: soon" \
		nacre commit "$MNT" x
}

@test "commit on commit: the layers grow, the earlier ones stay" {
	mount_rw
	echo one >"$MNT/one"
	nacre commit "$MNT" app:1
	echo two >"$MNT/two"
	nacre commit "$MNT" app:2
	nacre umount --rm "$MNT"
	CONTAINER=$(nacre mount --rw app:1 "$MNT")
	[ ! -e "$MNT/two" ]
	echo three >"$MNT/three"
	rm "$MNT/one"
	nacre commit "$MNT" app:3
	assert_equal "$(nacre diff "$MNT" | xargs)" "D /one A /three"
	run nacre inspect app:1 app:3
	assert_equal "$(json '.[1].RootFS.Layers[:-1] == .[0].RootFS.Layers')" true
	assert_equal "$(nacre ls app:3 | xargs)" "bin etc three tmp usr"
}

@test "--squash: one layer with all, one line of history, the same config" {
	nacre mount --rw base:1 "$MNT"
	change_all
	nacre commit -q -c 'CMD ["run"]' "$MNT" app:1
	nacre commit -q -c 'CMD ["run"]' --squash -m "all in one" "$MNT" flat:1
	assert_equal "$(nacre layers --json flat:1 | jq length)" 1
	assert_equal "$(nacre history --json flat:1 | jq length)" 1
	assert_equal "$(nacre history --json flat:1 | jq -r '.[0].Comment')" "all in one"
	diff <(nacre inspect app:1 | jq '.[0].Config') <(nacre inspect flat:1 | jq '.[0].Config')
	assert_equal "$(nacre diff app:1 flat:1)" ""
	nacre export app:1 | cmp - <(nacre export flat:1)
	# The layer is the archive that export writes, whatever layers the files came from.
	nacre export app:1 | nacre import -q - again:1
	assert_equal "$(nacre layers --json flat:1 | jq -r '.[0].DiffId')" "$(nacre layers --json again:1 | jq -r '.[0].DiffId')"
	nacre verify -q
}

@test "--squash of no change is the image in one layer" {
	cd "$BATS_TEST_TMPDIR"
	make_archive second second.tar
	make_archive layout oci shop:1 "$BASE_TAR" second.tar
	nacre load -q oci
	nacre mount --rw shop:1 "$MNT"
	nacre commit -q --squash "$MNT" flat:1
	assert_equal "$(nacre diff shop:1 flat:1)" ""
	assert_equal "$(nacre layers --json flat:1 | jq length)" 1
	nacre export --layer "$(nacre layers --json flat:1 | jq -r '.[0].DiffId')" >layer.tar
	! tar -t -f layer.tar | grep -F .wh. || fail "a whiteout in a layer that nothing lies under"
}

# Names, owners, times and xattrs that need a pax record, sizes around those of blocks and buffers.
change_oddly() {
	local long
	long=$(printf 'n%.0s' {1..200})
	mkdir -p "$MNT/odd/$long/$long"
	echo deep >"$MNT/odd/$long/$long/file"
	ln "$MNT/odd/$long/$long/file" "$MNT/odd/z-linked"
	ln -s "$long/$long/$long" "$MNT/odd/link"
	printf 'x' >"$MNT/odd/$(printf 'a%.0s' {1..100})"$'\xff\n'
	setfattr -n user.bytes -v 0x000a3d0041 "$MNT/odd/z-linked"
	setfattr -n user.empty "$MNT/odd"
	: >"$MNT/odd/empty"
	head -c 512 /dev/zero >"$MNT/odd/block"
	head -c 1025 /dev/urandom >"$MNT/odd/two-blocks"
	head -c 9000001 /dev/urandom >"$MNT/odd/large"
	truncate -s 3M "$MNT/odd/hole"
	touch -d '1969-12-31 23:59:58.5 UTC' "$MNT/odd/block"
	touch -d '1969-12-31 23:59:59.25 UTC' "$MNT/odd/two-blocks"
	touch -d '1911-02-03 04:05:06 UTC' "$MNT/odd/empty"
	touch -d '2200-02-03 04:05:06.000000001 UTC' "$MNT/odd/large"
	chown -h 3000000:4000000 "$MNT/odd/link" 2>/dev/null || true
	chmod 6755 "$MNT/odd/large"
	rm "$MNT/etc/motd"
	rm -r "$MNT/usr/share/doc"
	mkdir "$MNT/usr/share/doc"
}

@test "all that an upper can have is in the commit, and verify reads it as any other archive" {
	cd "$BATS_TEST_TMPDIR"
	mount_rw
	change_oddly
	nacre commit -q "$MNT" odd:1
	run nacre verify
	assert_status 0
	mkdir -p "$BATS_TEST_TMPDIR/again"
	nacre mount odd:1 "$BATS_TEST_TMPDIR/again"
	assert_same_tree "$MNT" "$BATS_TEST_TMPDIR/again"
	assert_equal "$(stat -c %.Y "$BATS_TEST_TMPDIR/again/odd/block")" -1.500000000
	assert_equal "$(getfattr -e hex -n user.bytes "$BATS_TEST_TMPDIR/again/odd/z-linked" | grep -c 0x000a3d0041)" 1
	nacre umount "$BATS_TEST_TMPDIR/again"
	nacre export --layer "$(nacre layers --json odd:1 | jq -r '.[-1].DiffId')" >layer.tar
	assert_equal "sha256:$(sha256sum <layer.tar | cut -d ' ' -f 1)" "$(nacre layers --json odd:1 | jq -r '.[-1].DiffId')"
}

# The kernel writes nothing back while it has many requests under way, and reads ahead are such.
@test "a commit has what a program has written that goes on, however much is being read" {
	local live i
	local -a readers=()
	printf '#!/bin/sh\nLD_PRELOAD=%s NACRE_FAULT_SLOW_READS=500 exec %s "$@"\n' \
		"$NACRE_BUILD/tests/fault/libnacre_fault.so" "$NACREFS" >"$BATS_TEST_TMPDIR/driver"
	chmod +x "$BATS_TEST_TMPDIR/driver"
	mkdir "$BATS_TEST_TMPDIR/tree"
	for ((i = 0; i < 32; i++)); do
		head -c 400000 /dev/urandom >"$BATS_TEST_TMPDIR/tree/large$i"
	done
	tar -C "$BATS_TEST_TMPDIR/tree" -c . | nacre import -q - large:1
	NACREFS=$BATS_TEST_TMPDIR/driver nacre mount --rw large:1 "$MNT"
	for live in '' --live; do
		coproc PROGRAM {
			exec python3 - "$MNT/open$live" 3>&- 4>&- <<-'END'
				import sys, time
				file = open(sys.argv[1], "w")
				print("open", flush=True)
				time.sleep(1)
				file.write("written")
				file.flush()
				print("written", flush=True)
				time.sleep(60)
			END
		}
		read -r -u "${PROGRAM[0]}"
		for i in $([ -n "$live" ] && seq 16 31 || seq 0 15); do
			cat "$MNT/large$i" >/dev/null 3>&- 4>&- &
			readers+=($!)
		done
		read -r -u "${PROGRAM[0]}"
		# shellcheck disable=SC2086 # none, or one
		nacre commit -q $live "$MNT" "app$live:1"
		kill "$PROGRAM_PID"
		wait "$PROGRAM_PID" || true
		assert_equal "$(nacre cat "app$live:1" "/open$live")" written
	done
	wait "${readers[@]}"
}

@test "a commit has what a program has written that goes on, however slow the disk" {
	local live
	printf '#!/bin/sh\nLD_PRELOAD=%s NACRE_FAULT_SLOW=10 exec %s "$@"\n' \
		"$NACRE_BUILD/tests/fault/libnacre_fault.so" "$NACREFS" >"$BATS_TEST_TMPDIR/driver"
	chmod +x "$BATS_TEST_TMPDIR/driver"
	NACREFS=$BATS_TEST_TMPDIR/driver nacre mount --rw base:1 "$MNT"
	for live in '' --live; do
		coproc PROGRAM {
			exec python3 - "$MNT/etc" "open$live" 3>&- 4>&- <<-'END'
				import os, sys, time
				os.chdir(sys.argv[1])
				files = [open("%s.%d" % (sys.argv[2], i), "w") for i in range(100)]
				for i, file in enumerate(files):
				    file.write("%d\n" % i)
				    file.flush()
				print("written", flush=True)
				time.sleep(60)
			END
		}
		read -r -u "${PROGRAM[0]}"
		# shellcheck disable=SC2086 # none, or one
		nacre commit -q $live "$MNT" "app$live:1"
		kill "$PROGRAM_PID"
		wait "$PROGRAM_PID" || true
		assert_equal "$(for i in $(seq 0 99); do nacre cat "app$live:1" "/etc/open$live.$i"; done)" "$(seq 0 99)"
	done
}
