#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_store
	cd "$BATS_TEST_TMPDIR" || return
	make_archive base base.tar
	make_archive second second.tar
	make_archive layout oci shop:1 base.tar second.tar
	nacre load -q oci
}
teardown() { unmount_all; }

# Of a view: what `nacre ls` says of the tree, without the column of the layer.
listing() { nacre ls -lR --json "$1" / | jq -c 'map(del(.Layer, .LayerDiffId))'; }

@test "the merged tree without whiteouts; nacre import makes it again" {
	nacre export shop:1 >out.tar
	! tar -t -f out.tar | grep -F .wh. || fail "a whiteout in the archive"
	! tar -t -f out.tar | grep -x etc/passwd || fail "a deleted file in the archive"
	nacre import -q out.tar flat:1
	diff <(listing shop:1) <(listing flat:1)
	for path in etc/motd usr/share/big etc/conf.d/d; do
		cmp <(nacre cat shop:1 "$path") <(nacre cat flat:1 "$path")
	done
	# The canonical form: what it makes again is what it was.
	nacre export flat:1 | cmp - out.tar
}

@test "tar makes the tree that a mount shows" {
	nacre export -o out.tar shop:1
	mkdir tree
	tar --xattrs --xattrs-include='*' --numeric-owner -x -p -C tree -f out.tar
	nacre mount shop:1 "$MNT"
	if is_root; then
		assert_same_tree tree "$MNT"
	else
		# Owners are not a plain user's to give.
		diff <(list_tree tree | awk '{ $4 = $5 = "" } 1') <(list_tree "$MNT" | awk '{ $4 = $5 = "" } 1')
	fi
}

@test "the lowest layers only; a layer as it came in" {
	nacre export shop:1@1 >lowest.tar
	tar -x -O -f lowest.tar etc/motd | cmp - <(echo welcome)
	for n in 1 2; do
		id=$(nacre layers --json shop:1 | jq -r ".[$((n - 1))].DiffId")
		nacre export --layer "$id" >layer.tar
		assert_equal "sha256:$(sha256sum <layer.tar | cut -d ' ' -f 1)" "$id"
		short=${id#sha256:}
		nacre export -o layer.tar --layer "${short:0:12}"
		cmp layer.tar "$([ "$n" = 1 ] && echo base.tar || echo second.tar)"
	done
}

@test "odd files: devices, huge owners, names of any bytes" {
	make_archive odd odd.tar
	nacre import -q odd.tar odd:1 2>/dev/null
	nacre export odd:1 >out.tar
	nacre import -q out.tar flat:1
	# libarchive 3.6 loses the sign of a time like -0.5.
	diff <(listing odd:1 | jq -c 'map(select(.Path != "/before-1970"))') \
		<(listing flat:1 | jq -c 'map(select(.Path != "/before-1970"))')
}

@test "a container: by name, by ID and by its folder, mounted and not" {
	nacre mount --rw --name box shop:1 "$MNT"
	echo changed >"$MNT/etc/motd"
	rm -r "${MNT:?}/usr/share"
	mv "$MNT/etc/conf.d" "$MNT/etc/moved"
	ln "$MNT/etc/motd" "$MNT/etc/second-name"
	setfattr -n user.mark -v here "$MNT/opt/new"
	chmod 700 "$MNT/tmp"
	nacre export "$MNT" >mounted.tar
	nacre import -q mounted.tar flat:1
	mkdir flat
	nacre mount flat:1 flat
	assert_same_tree "$MNT" flat
	nacre export box | cmp - mounted.tar
	nacre umount "$MNT"
	nacre export -o box.tar box
	cmp box.tar mounted.tar
	nacre export "$(nacre ps -aq)" | cmp - mounted.tar
	# The image is as it was.
	nacre export shop:1 | tar -x -O -f - etc/motd | cmp - <(echo second)
}

@test "a name of both is the container, with its tag the image" {
	nacre tag shop:1 both
	nacre mount --rw --name both shop:1 "$MNT"
	echo box >"$MNT/etc/motd"
	assert_equal "$(nacre export both | tar -x -O -f - etc/motd)" box
	assert_equal "$(nacre export both:latest | tar -x -O -f - etc/motd)" second
}

@test "what cannot be exported is refused, and nothing is left" {
	assert_refused_unchanged "no such image" nacre export nothing
	assert_refused_unchanged "the image has 2 layers" nacre export -o out.tar shop:1@3
	assert_refused_unchanged "No such file or directory" nacre export -o out.tar ./nothing
	assert_refused_unchanged "cannot export 00000000" nacre export -o out.tar --layer 00000000
	assert_refused_unchanged "cannot write to none/out.tar" nacre export -o none/out.tar shop:1
	# A name with a slash might be a path.
	nacre tag shop:1 localhost:5000/shop:1
	assert_refused_unchanged "cannot write to none/out.tar: No such file" nacre export -o none/out.tar localhost:5000/shop:1
	refute_output_has "nacre ps"
	nacre rmi localhost:5000/shop:1
	assert_misused nacre export
	assert_misused nacre export shop:1 box
	assert_misused nacre export --layer 0000 shop:1
	run find . -maxdepth 1 -name 'out.tar*'
	assert_equal "$output" ""
	[ -z "$(find "$NACRE_STORE/leases" -type f)" ] || fail "a lease is left"
}

@test "a reader that leaves; a full device" {
	# shellcheck disable=SC2016
	run bash -c 'set -o pipefail; "$0" export shop:1 | head -c 100 >/dev/null' "$NACRE"
	assert_status 1
	assert_output_has "cannot write to standard output"
	run nacre export -o /dev/full shop:1
	assert_status 1
	assert_output_has "cannot write to /dev/full: No space left on device"
	[ -c /dev/full ]
}

@test "a damaged layer is told of, and the file that was there stays" {
	echo old >out.tar
	sqlite3 "$NACRE_STORE/index.db" "UPDATE layer SET diff_id = zeroblob(32) WHERE id = 1"
	run nacre export -o out.tar --layer 0000
	assert_status 1
	assert_output_has "another digest"
	assert_equal "$(cat out.tar)" old
	object=$(find "$NACRE_STORE/objects" -type f | head -n 1)
	rm "$object"
	run nacre export -o out.tar shop:1
	assert_status 1
	assert_output_has "/usr/share/big: "
	assert_equal "$(cat out.tar)" old
	run find . -maxdepth 1 -name 'out.tar?*'
	assert_equal "$output" ""
}
