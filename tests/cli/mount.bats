#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2153,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() { setup_base; }
teardown() { unmount_all; }

@test "mount without operands lists what is mounted, and what it shows" {
	local line container
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci" >/dev/null
	cd "$BATS_TEST_TMPDIR"
	mkdir ro low one each all "a b" other
	nacre mount two:1 ro
	nacre mount two:1@1 low
	nacre mount --layer "$(nacre layers --json two:1 | jq -r '.[1].DiffId')" one
	nacre mount --layers two:1 each
	nacre mount --all all
	container=$(nacre mount --rw --name work base:1 "a b")
	nacre --store "$BATS_TEST_TMPDIR/two" import -q "$BASE_TAR" base:1
	nacre --store "$BATS_TEST_TMPDIR/two" mount base:1 other
	run nacre mount
	[[ ${lines[0]} =~ ^MOUNTED\ ON\ +IMAGE\ +SHOWS\ +MODE\ +CONTAINER\ ID\ +NAME$ ]] || fail "${lines[0]}"
	for line in "ro two:1 image ro - -" "low two:1 lowest 1 layer ro - -" "one two:1 layer 2 ro - -" \
		"other $(nacre --store "$BATS_TEST_TMPDIR/two" images -q base:1) image ro - -" \
		"each two:1 each layer ro - -" "all - the whole store ro - -" "a b base:1 container rw $container work"; do
		[[ $(tr -s ' ' <<<"$output") == *"$BATS_TEST_TMPDIR/$line"* ]] || fail "not in the list: $line" "$output"
	done
	run nacre mount --json
	assert_equal "$(json ".[] | select(.MountPoint | startswith(\"$BATS_TEST_TMPDIR/\")) | .Kind" | sort | xargs)" \
		"container image image layer layers lowest store"
	schema_ok mount
	assert_equal "$(json ".[] | select(.MountPoint == \"$BATS_TEST_TMPDIR/one\") | [.FirstLayer, .LastLayer, .Image] | tostring")" \
		'[2,2,"two:1"]'
	assert_equal "$(nacre mount --format '{{.MountPoint}} {{.Name}}' | grep -c 'a b work$')" 1
}

@test "mount shows the image when it returns, and nothing can be changed" {
	run nacre mount base:1 "$MNT"
	assert_status 0
	assert_equal "$output" ""
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	assert_equal "$(findmnt -n -o FSTYPE "$MNT")" fuse.nacrefs
	run touch "$MNT/new"
	[ "$status" != 0 ]
	assert_output_has "Read-only file system"
	assert_equal "$(nacre ps -a --json)" "[]"
}

@test "mount by ID, and by its first digits" {
	nacre mount "$BASE_ID" "$MNT"
	nacre umount "$MNT"
	short=${BASE_ID#sha256:}
	nacre mount "${short:0:8}" "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
}

@test "mount --rw prints the container's ID" {
	run nacre mount --rw base:1 "$MNT"
	assert_status 0
	[[ $output =~ ^[0-9a-f]{12}$ ]] || fail "$output"
	echo new >"$MNT/new"
	assert_equal "$(nacre ps --json | jq -r '.[0].Id')" "$output"
	assert_equal "$(cat "$MNT/new")" new
}

@test "a missing image" {
	assert_refused_unchanged "nacre: cannot mount none:1 on $MNT: " nacre mount none:1 "$MNT"
	assert_output_has "'nacre images' lists them"
	assert_refused_unchanged "nacre: cannot mount none:1 on $MNT: " nacre mount --rw none:1 "$MNT"
}

@test "a mount point that is not there" {
	assert_refused_unchanged "cannot mount base:1 on $MNT/none: there is no such directory" \
		nacre mount --rw base:1 "$MNT/none"
}

@test "a mount point that is a file" {
	: >"$BATS_TEST_TMPDIR/file"
	assert_refused_unchanged "cannot mount base:1 on $BATS_TEST_TMPDIR/file: it is not a directory" \
		nacre mount --rw base:1 "$BATS_TEST_TMPDIR/file"
}

@test "a mount point that is not empty, unless it is allowed" {
	: >"$MNT/.hidden"
	assert_refused_unchanged "cannot mount base:1 on $MNT: directory is not empty" nacre mount --rw base:1 "$MNT"
	nacre mount -o nonempty base:1 "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	nacre umount "$MNT"
	[ -e "$MNT/.hidden" ]
}

@test "a mount point that is in use" {
	mount_rw
	assert_refused_unchanged "cannot mount base:1 on $MNT: something of nacre is mounted there already" \
		nacre mount base:1 "$MNT"
}

@test "a driver that fails: its own message, and no container is left" {
	cat >"$BATS_TEST_TMPDIR/driver" <<-'END'
		#!/bin/sh
		echo "nacrefs: the moon is in the wrong phase" >&2
		exit 1
	END
	chmod +x "$BATS_TEST_TMPDIR/driver"
	export NACREFS=$BATS_TEST_TMPDIR/driver
	assert_refused_unchanged "nacre: cannot mount base:1 on $MNT: the moon is in the wrong phase" \
		nacre mount --rw base:1 "$MNT"
	assert_equal "$(find "$NACRE_STORE/containers" -mindepth 1 2>/dev/null | wc -l)" 0
}

@test "a driver that is not there, or ends without a mount" {
	NACREFS=$BATS_TEST_TMPDIR/none assert_refused_unchanged "cannot run the driver $BATS_TEST_TMPDIR/none" \
		nacre mount --rw base:1 "$MNT"
	NACREFS=true assert_refused_unchanged "ended without a mount" nacre mount --rw base:1 "$MNT"
}

@test "the driver is told everything, with its commas, colons and backslashes escaped" {
	cat >"$BATS_TEST_TMPDIR/driver" <<-'END'
		#!/bin/sh
		printf '%s\n' "$@" >&2
		exit 1
	END
	chmod +x "$BATS_TEST_TMPDIR/driver"
	store=$BATS_TEST_TMPDIR/'a,b:c\d'
	id=$(nacre --store "$store" import "$BASE_TAR" base:1)
	NACREFS=$BATS_TEST_TMPDIR/driver run nacre --store "$store" mount -o allow_other,timeout=1 -o nonempty -o noacl \
		base:1 "$MNT"
	assert_status 1
	assert_output_has "-o;store=$BATS_TEST_TMPDIR/a\\,b\\:c\\\\d,image=sha256:"
	assert_output_has ",ro,fsname=nacre:${id:7:12},allow_other,timeout=1,noacl;$MNT"
	NACREFS=$BATS_TEST_TMPDIR/driver run nacre --store "$store" mount --rw base:1 "$MNT"
	assert_output_has ",upperdir=$BATS_TEST_TMPDIR/a\\,b\\:c\\\\d/containers/"
	if is_root; then
		refute_output_has fakeroot
	else
		assert_output_has fakeroot
	fi
}

@test "odd names: a store and a mount point with blanks, commas and colons" {
	store=$BATS_TEST_TMPDIR/'my store, a:b\c'
	point=$BATS_TEST_TMPDIR/'my mount, a:b\c'
	mkdir "$point"
	nacre --store "$store" import "$BASE_TAR" base:1
	nacre --store "$store" mount --rw base:1 "$point"
	echo changed >"$point/etc/motd"
	assert_equal "$(nacre --store "$store" ps --json | jq -r '.[0].MountPoint')" "$point"
	assert_equal "$(nacre --store "$store" diff "$point" | xargs)" "C /etc C /etc/motd"
	nacre --store "$store" umount "$point"
	assert_equal "$(ls "$point")" ""
}

@test "a mount point by a relative name and through a link" {
	cd "$BATS_TEST_TMPDIR"
	ln -s mnt link
	nacre mount --rw base:1 link
	assert_equal "$(nacre ps --json | jq -r '.[0].MountPoint')" "$MNT"
	assert_equal "$(nacre diff mnt)" ""
	nacre umount ./link/
	assert_equal "$(nacre ps --json)" "[]"
}

@test "a container keeps its changes over mounts" {
	mount_rw --name work
	echo kept >"$MNT/kept"
	rm "$MNT/etc/passwd"
	nacre umount "$MNT"
	run nacre mount --container work "$MNT"
	assert_status 0
	assert_equal "$output" "$CONTAINER"
	assert_equal "$(cat "$MNT/kept")" kept
	[ ! -e "$MNT/etc/passwd" ]
	mkdir "$BATS_TEST_TMPDIR/two"
	assert_refused "it is mounted already, on $MNT" nacre mount --container "$CONTAINER" "$BATS_TEST_TMPDIR/two"
	assert_refused "cannot mount container none on $BATS_TEST_TMPDIR/two: " \
		nacre mount --container none "$BATS_TEST_TMPDIR/two"
}

@test "two containers of one image do not see each other" {
	mkdir "$BATS_TEST_TMPDIR/two"
	mount_rw
	nacre mount --rw base:1 "$BATS_TEST_TMPDIR/two"
	echo one >"$MNT/etc/motd"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/two/etc/motd")" welcome
	assert_refused "cannot mount base:1 on $BATS_TEST_TMPDIR: " nacre mount --rw --name x base:1 "$BATS_TEST_TMPDIR"
}

@test "a writable mount of a plain user: any owner can be given, and stays" {
	mount_rw
	chown 12:34 "$MNT/etc/motd"
	chmod 4711 "$MNT/usr/bin/tool"
	nacre umount "$MNT"
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(stat -c '%u:%g' "$MNT/etc/motd")" 12:34
	assert_equal "$(stat -c %a "$MNT/usr/bin/tool")" 4711
}

@test "umount ends the mount and the driver" {
	mount_rw
	pids=$(driver_pids "$MNT")
	[ -n "$pids" ]
	run nacre umount "$MNT"
	assert_status 0
	assert_equal "$output" ""
	for pid in $pids; do
		[[ ! -e /proc/$pid || $(process_state "$pid") == [XZ]* ]] || fail "the driver is still there"
	done
	assert_equal "$(nacre ps --json)" "[]"
	assert_equal "$(nacre ps -a --json | jq -r '.[0].MountPoint')" null
}

@test "umount of several, by folder and by container" {
	mkdir "$BATS_TEST_TMPDIR/two"
	mount_rw --name work
	nacre mount base:1 "$BATS_TEST_TMPDIR/two"
	run nacre umount work "$BATS_TEST_TMPDIR/two"
	assert_status 0
	assert_equal "$(mounts_below "$BATS_TEST_TMPDIR")" ""
}

@test "umount --rm removes the changes too" {
	mount_rw
	echo new >"$MNT/new"
	nacre umount --rm "$MNT"
	assert_equal "$(nacre ps -a --json)" "[]"
	assert_equal "$(find "$NACRE_STORE/containers" -mindepth 1 2>/dev/null | wc -l)" 0
}

@test "umount of what is in use" {
	mount_rw
	exec 7>"$MNT/open"
	assert_refused "cannot unmount $MNT: Device or resource busy (a program has its working directory" nacre umount "$MNT"
	exec 7>&-
	run nacre umount "$MNT"
	assert_status 0
}

@test "umount of what is not mounted" {
	assert_refused "cannot unmount $MNT: nothing of nacre is mounted there" nacre umount "$MNT"
	assert_refused "cannot unmount $MNT/none: there is no such directory" nacre umount "$MNT/none"
	assert_refused "cannot unmount /proc: nothing of nacre is mounted there" nacre umount /proc
}

@test "umount works when the store is another, or gone" {
	mount_rw
	run nacre --store "$BATS_TEST_TMPDIR/elsewhere" umount "$MNT"
	assert_status 0
	[ ! -e "$BATS_TEST_TMPDIR/elsewhere" ]
	# What the store recorded is not believed: nothing is mounted there.
	assert_equal "$(nacre ps --json)" "[]"
	nacre mount base:1 "$MNT"
	assert_refused "it is mounted read-only" nacre diff "$MNT"
}

@test "a mount whose driver was killed can be unmounted and mounted again" {
	mount_rw
	echo kept >"$MNT/kept"
	sync "$MNT/kept"
	pids=$(driver_pids "$MNT")
	# shellcheck disable=SC2086
	kill -KILL $pids
	wait_gone "$pids"
	assert_refused "the driver of the mount there is gone ('nacre umount' it first)" nacre mount base:1 "$MNT"
	run nacre umount "$MNT"
	assert_status 0
	nacre mount --container "$CONTAINER" "$MNT"
	assert_equal "$(cat "$MNT/kept")" kept
}

@test "mounts that another program unmounted are not believed" {
	mount_rw
	unmount "$MNT"
	assert_equal "$(nacre ps --json)" "[]"
	assert_equal "$(nacre ps -a --json | jq -r '.[0].Mounted')" false
	first=$CONTAINER
	mount_rw
	echo x >"$MNT/x"
	assert_equal "$(nacre diff "$MNT")" "A /x"
	assert_equal "$(nacre diff "$first")" ""
}

# two:1, base:1 with a second layer over it.
load_two() {
	make_archive second "$BATS_TEST_TMPDIR/second.tar"
	make_archive layout "$BATS_TEST_TMPDIR/oci" two:1 "$BASE_TAR" "$BATS_TEST_TMPDIR/second.tar"
	nacre load -q "$BATS_TEST_TMPDIR/oci"
}

@test "mount IMAGE@N: as its lowest layers make it" {
	load_two
	nacre mount two:1@1 "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	[ -e "$MNT/etc/passwd" ] && [ ! -e "$MNT/opt" ] || fail "$(ls -R "$MNT")"
	nacre umount "$MNT"
	nacre mount two:1@2 "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" second
	nacre umount "$MNT"
	assert_equal "$(nacre cat two:1@1 etc/motd)" welcome
	assert_equal "$(nacre ls two:1@1 etc/conf.d | xargs)" "a b c"
	assert_equal "$(nacre which --json two:1@1 etc/passwd | jq -r '.[].State')" shown
}

@test "mount IMAGE@N: layers that are not there, and writable" {
	load_two
	assert_refused "the image has 2 layers" nacre mount two:1@3 "$MNT"
	assert_refused "the image has 2 layers" nacre mount two:1@0 "$MNT"
	assert_refused "the image has 2 layers" nacre ls two:1@3
	assert_refused "a container is of a whole image" nacre mount --rw two:1@1 "$MNT"
	assert_equal "$(nacre ps -aq)" ""
	assert_refused "the image has no layer 3" nacre mount -o layers=3 two:1 "$MNT"
	assert_refused "not a number of layers" nacre mount -o layers=2-1 two:1 "$MNT"
	assert_refused "not a number of layers" nacre mount -o layers=1x two:1 "$MNT"
}

@test "mount --layer: one layer by itself" {
	load_two
	local -a ids
	mapfile -t ids < <(nacre layers --json two:1 | jq -r '.[].DiffId')
	nacre mount --layer "${ids[1]}" "$MNT"
	assert_equal "$(cd "$MNT" && find . -mindepth 1 -printf '%P\n' | sort | xargs)" \
		"etc etc/conf.d etc/conf.d/d etc/motd opt opt/new"
	nacre umount "$MNT"
	local hex=${ids[0]#sha256:}
	nacre mount --layer "${hex:0:12}" "$MNT"
	assert_equal "$(cat "$MNT/etc/motd")" welcome
	nacre umount "$MNT"
	assert_refused "no such layer" nacre mount --layer 00000000000000000000 "$MNT"
	assert_refused "not a layer's diff ID" nacre mount --layer etc "$MNT"
	assert_misused nacre mount --layer "${ids[0]}" two:1 "$MNT"
	assert_misused nacre mount --rw --layer "${ids[0]}" "$MNT"
}

@test "mount --layer --whiteouts: what a layer takes away, in three forms" {
	load_two
	layer=$(nacre layers --json two:1 | jq -r '.[1].DiffId')
	hidden="etc etc/conf.d etc/conf.d/d etc/motd opt opt/new"
	tree() { (cd "$MNT" && find . -mindepth 1 -printf '%P\n' | sort | xargs); }
	nacre mount --layer "$layer" --whiteouts=hide "$MNT"
	assert_equal "$(tree)" "$hidden"
	nacre umount "$MNT"

	nacre mount --layer "$layer" --whiteouts=mark "$MNT"
	assert_equal "$(tree)" "etc etc/.wh.passwd etc/conf.d etc/conf.d/.wh..wh..opq etc/conf.d/d etc/motd opt opt/new"
	assert_equal "$(stat -c '%F %s %h %a' "$MNT/etc/.wh.passwd" "$MNT/etc/conf.d/.wh..wh..opq" | sort -u)" \
		"regular empty file 0 1 444"
	assert_equal "$(cat "$MNT/etc/.wh.passwd")" ""
	assert_equal "$(find "$MNT" -printf '%i\n' | sort | uniq -d)" ""
	[ ! -e "$MNT/etc/passwd" ]
	nacre umount "$MNT"

	nacre mount --layer "$layer" --whiteouts=device "$MNT"
	assert_equal "$(tree)" "etc etc/conf.d etc/conf.d/d etc/motd etc/passwd opt opt/new"
	assert_equal "$(stat -c '%F %t:%T' "$MNT/etc/passwd")" "character special file 0:0"
	space=$(is_root && echo trusted || echo user)
	assert_equal "$(getfattr --absolute-names -d -m overlay "$MNT/etc/conf.d" | grep overlay)" "$space.overlay.opaque=\"y\""
	assert_equal "$(getfattr --absolute-names --only-values -n "$space.overlay.opaque" "$MNT/etc/conf.d")" y
	run getfattr --absolute-names -n "$space.overlay.opaque" "$MNT/etc"
	assert_output_has "No such attribute"
	assert_equal "$(getfattr --absolute-names --only-values -n user.nacre.layer "$MNT/etc/motd")" "$layer"
	# What is shown there is an overlay's layer: over the one below it makes the image.
	mkdir "$BATS_TEST_TMPDIR/below" "$BATS_TEST_TMPDIR/both" "$BATS_TEST_TMPDIR/whole"
	nacre mount two:1@1 "$BATS_TEST_TMPDIR/below"
	nacrefs -o "lowerdir=$MNT:$BATS_TEST_TMPDIR/below" "$BATS_TEST_TMPDIR/both"
	nacre mount two:1 "$BATS_TEST_TMPDIR/whole"
	diff <(list_tree "$BATS_TEST_TMPDIR/both") <(list_tree "$BATS_TEST_TMPDIR/whole")
}

@test "mount --whiteouts: where it means nothing" {
	load_two
	layer=$(nacre layers --json two:1 | jq -r '.[1].DiffId')
	assert_misused nacre mount --whiteouts=mark two:1 "$MNT"
	assert_misused nacre mount --layer "$layer" --whiteouts=show "$MNT"
	assert_refused "whiteouts are shown of one layer only" nacre mount -o whiteouts=mark two:1 "$MNT"
	assert_refused "not one of: hide mark device" nacre mount -o whiteouts=x two:1 "$MNT"
}
