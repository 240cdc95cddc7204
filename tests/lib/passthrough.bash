# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# io=passthrough is the kernel's to give: 6.9 and newer, if built so.  What asks for it is left out elsewhere.

# kernel_passes_through NACREFS DIR: 1 where the driver says that this kernel cannot.  For root, in a folder for it alone.
# Any other trouble is not the kernel's, and is left for the tests to fail by.
kernel_passes_through() {
	local said
	mkdir -p "$2/lower" "$2/mnt"
	said=$("$1" -o "lowerdir=$2/lower,io=passthrough" "$2/mnt" 2>&1 3>&- 4>&-) && umount "$2/mnt"
	[[ $said != *"this kernel has no passthrough"* ]]
}

# For a test or a setup() of common.bash's.
skip_without_passthrough() {
	skip_without_kernel "passthrough for FUSE" kernel_passes_through "$NACREFS" "$BATS_TEST_TMPDIR/passthrough"
}
