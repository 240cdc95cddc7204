#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
#
# The main job from end to end, as a new user would do it.
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_store; }
teardown() { unmount_all; }

# A tree with real files in it, of some size.
make_rootfs() {
	local root=$BATS_TEST_TMPDIR/rootfs
	mkdir -p "$root"/{etc,usr,var/lib,tmp,root}
	cp -a /etc/alternatives /etc/default /etc/skel "$root/etc/" 2>/dev/null || true
	cp -a /usr/include "$root/usr/" 2>/dev/null || true
	printf 'welcome\n' >"$root/etc/motd"
	mkdir -p "$root/usr/share/gone/deep" "$root/usr/share/becomes-file" "$root/usr/lib"
	touch "$root/usr/share/gone/deep/file" "$root/usr/share/becomes-file/x" "$root/usr/share/becomes-folder"
	printf 'tool\n' >"$root/usr/lib/tool"
	ln "$root/usr/lib/tool" "$root/usr/lib/tool-again"
	chmod 1777 "$root/tmp"
	tar --xattrs --format=pax --sort=name -C "$root" -cf "$BATS_TEST_TMPDIR/rootfs.tar" .
}

change_tree() {
	tar -C /etc -cf - alternatives | tar -C "$MNT/var/lib" -xf -
	printf 'changed\n' >>"$MNT/etc/motd"
	rm "$MNT/usr/lib/tool-again"
	rm -r "$MNT/usr/share/gone"
	rm -r "$MNT/usr/share/becomes-file"
	printf 'a file now\n' >"$MNT/usr/share/becomes-file"
	rm "$MNT/usr/share/becomes-folder"
	mkdir "$MNT/usr/share/becomes-folder"
	printf 'x\n' >"$MNT/usr/share/becomes-folder/x"
	chmod 4755 "$MNT/usr/lib/tool"
	chown 1234:5678 "$MNT/etc/motd"
	chmod 2750 "$MNT/root"
	mv "$MNT/etc/default" "$MNT/etc/renamed" 2>/dev/null || true
	setfattr -n user.note -v "by hand" "$MNT/etc/motd"
	ln "$MNT/etc/motd" "$MNT/etc/motd.again"
	truncate -s 5M "$MNT/var/sparse"
	printf end | dd of="$MNT/var/sparse" bs=1 seek=4M conv=notrunc status=none
}

@test "import, mount, change, diff, commit, mount again" {
	make_rootfs
	nacre import "$BATS_TEST_TMPDIR/rootfs.tar" base:1
	mkdir "$BATS_TEST_TMPDIR/base" "$BATS_TEST_TMPDIR/two"
	nacre mount base:1 "$BATS_TEST_TMPDIR/base"
	list_tree "$BATS_TEST_TMPDIR/base" >"$BATS_TEST_TMPDIR/base.before"
	nacre mount --rw base:1 "$MNT"
	diff "$BATS_TEST_TMPDIR/base.before" <(list_tree "$MNT")
	change_tree

	run nacre diff "$MNT"
	assert_status 0
	for line in "C /etc/motd" "A /etc/motd.again" "D /usr/share/gone" "C /usr/share/becomes-file" \
		"C /usr/share/becomes-folder" "A /usr/share/becomes-folder/x" "D /usr/lib/tool-again"; do
		grep -qxF "$line" <<<"$output" || fail "not in the diff: $line"
	done

	run nacre commit -m "change it" -a "Ann <ann@example.org>" "$MNT" app:1
	assert_status 0
	run nacre inspect base:1 app:1
	assert_equal "$(json '.[1].RootFS.Layers[:-1] == .[0].RootFS.Layers')" true
	assert_equal "$(json '(.[1].RootFS.Layers | length) - (.[0].RootFS.Layers | length)')" 1
	run nacre history app:1
	assert_output_has "change it"

	nacre mount app:1 "$BATS_TEST_TMPDIR/two"
	assert_same_tree "$MNT" "$BATS_TEST_TMPDIR/two"

	nacre umount "$MNT" "$BATS_TEST_TMPDIR/two"
	diff "$BATS_TEST_TMPDIR/base.before" <(list_tree "$BATS_TEST_TMPDIR/base")
	nacre umount "$BATS_TEST_TMPDIR/base"
	nacre mount base:1 "$MNT"
	diff "$BATS_TEST_TMPDIR/base.before" <(list_tree "$MNT")
}

@test "the tree of an image without a mount is the one that the mount shows" {
	make_rootfs
	nacre import "$BATS_TEST_TMPDIR/rootfs.tar" base:1
	nacre mount --rw base:1 "$MNT"
	change_tree
	nacre commit "$MNT" app:1
	mkdir "$BATS_TEST_TMPDIR/two"
	nacre mount app:1 "$BATS_TEST_TMPDIR/two"
	diff <(nacre ls -R --json app:1 | jq -r '.[] | "\(.Type) \(.Mode) \(.Uid):\(.Gid) \(.Path)"' | sort) \
		<(cd "$BATS_TEST_TMPDIR/two" && find . -mindepth 1 -printf '%y %#m %U:%G /%P\n' |
			awk '{ type = $1 == "d" ? "dir" : $1 == "l" ? "symlink" : $1 == "f" ? "file" : $1 == "p" ? "fifo" : $1
				path = $0; sub(/^[^ ]* [^ ]* [^ ]* /, "", path)
				printf "%s %s %s %s\n", type, substr("0000" $2, length($2) + 1), $3, path }' |
			sort)
}
