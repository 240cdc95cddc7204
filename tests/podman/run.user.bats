# SPDX-License-Identifier: Apache-2.0
# What only a plain user's podman does.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

@test "--userns=keep-id shows the user's own number, and root's files as root's" {
	mkdir "$BATS_TEST_TMPDIR/bound"
	run podman run --rm --userns=keep-id -v "$BATS_TEST_TMPDIR/bound:/mnt" base:1 sh -c 'id -u; stat -c %u /etc/passwd /bin/busybox /mnt
		touch /mnt/mine; touch /tmp/mine; stat -c %u /tmp/mine; cat /etc/private'
	assert_equal "${lines[0]} ${lines[1]} ${lines[2]} ${lines[3]} ${lines[4]}" "$(id -u) 0 0 $(id -u) $(id -u)"
	assert_output_has "can't open '/etc/private': Permission denied"
	assert_equal "$(stat -c %u "$BATS_TEST_TMPDIR/bound/mine")" "$(id -u)"
}

@test "unshare shows the storage with its owners" {
	podman run --name ctr base:1 chown 33:33 /etc/private
	assert_equal "$(podman unshare sh -c 'dir=$(podman mount ctr); stat -c "%u:%g %a" "$dir/etc/private"; podman umount ctr >/dev/null')" \
		"33:33 600"
}
