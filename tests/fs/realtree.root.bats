#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# At least 20,000 files of this machine in three folder layers, merged by the kernel's overlayfs and by nacrefs.
# shellcheck disable=SC2011,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs
load ../lib/realtree

setup() {
	setup_store
	TREE=$BATS_TEST_TMPDIR/tree
	mkdir -p "$TREE/odd"
	(cd "$TREE/odd" && base_tree)
	realtree pick 20000 | tar -C / -c -T - | tar -C "$TREE" -x
}
teardown() { unmount_all; }

# bats test_tags=slow
@test "three folder layers look as the kernel's overlayfs merges them" {
	local layer=$BATS_TEST_TMPDIR/layer kernel=$BATS_TEST_TMPDIR/kernel
	UPPER=$layer.2
	mount_dirs "$TREE"
	change "$MNT"
	unmount
	UPPER=$layer.3
	rm -rf "$WORK"
	mount_kernel "$kernel" -o redirect_dir=on,metacopy=on "$layer.2" "$TREE"
	find "$kernel" -name '*a*' -type f | head -n 300 | xargs -d '\n' rm -f
	find "$kernel" -name '*b*' -type f | head -n 300 | xargs -d '\n' chmod 600
	umount "$kernel"
	mount -t overlay overlay -o "redirect_dir=on,metacopy=on,lowerdir=$layer.3:$layer.2:$TREE" "$kernel"
	mount_dirs_ro "$layer.3" "$layer.2" "$TREE"
	same_metadata "$kernel" "$MNT" 0
	same_content "$kernel" "$MNT"
	umount "$kernel"
}
