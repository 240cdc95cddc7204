# SPDX-License-Identifier: Apache-2.0
# Labels of SELinux: what of them reaches the kernel.

# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common

LABEL='system_u:object_r:container_file_t:s0:c1,c2'

setup() {
	setup_store
	mkdir -p "$BATS_TEST_TMPDIR/lower" "$UPPER" "$WORK"
}
teardown() { unmount_all; }

# mount_calls OPTIONS: what the driver asks of mount(2) where the machine looks like one with SELinux.  A kernel without it
# refuses the mount.
mount_calls() {
	# shellcheck disable=SC2016
	unshare --mount --propagation=private sh -c 'mount -t tmpfs none /sys/fs && mkdir /sys/fs/selinux &&
		touch /sys/fs/selinux/enforce && strace -f -s 1000 -e trace=mount,fsconfig -o "$1" "$2" -o "$3" "$4" && umount "$4"' \
		sh "$BATS_TEST_TMPDIR/trace" "$NACREFS" "$1" "$MNT" 3>&- 4>&- || true
	cat "$BATS_TEST_TMPDIR/trace"
}

# Slow, which it is not, keeps it out of the builds whose checks of memory fail where strace looks on.
# bats test_tags=slow
@test "a kernel with SELinux gets podman's context= with its quotes and its comma, and nothing else of the list" {
	run mount_calls "lowerdir=$BATS_TEST_TMPDIR/lower,upperdir=$UPPER,workdir=$WORK,,context=\"$LABEL\",volatile"
	assert_output_has "\"context=\\\"$LABEL\\\",default_permissions,"
	refute_output_has volatile
	refute_output_has lowerdir
}

# bats test_tags=slow
@test "the other labels go there too, in their order" {
	run mount_calls "ro,fscontext=a_t,defcontext=\"b_t:s0:c3,c4\",rootcontext=c_t,lowerdir=$BATS_TEST_TMPDIR/lower"
	assert_output_has 'fscontext=a_t,defcontext=\"b_t:s0:c3,c4\",rootcontext=c_t'
}
