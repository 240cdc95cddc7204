# SPDX-License-Identifier: Apache-2.0
# podman with the storage.conf that nacre setup writes.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown_file() { remove_podman; }

@test "podman mounts with nacrefs after nacre setup" {
	write_storage_conf
	nacre setup --write podman
	run podman run --rm base:1 grep ' / ' /proc/mounts
	assert_status 0
	assert_output_has 'fuse.nacrefs'
	assert_equal "$(podman info --format '{{index .Store.GraphOptions "overlay.mount_program" "Executable"}}')" \
		"$(realpath "$NACREFS")"
}
