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

@test "nacre setup podman --layers: podman reads the file, and what was in the lists stays" {
	local conf=$BATS_TEST_TMPDIR/storage.conf dir=$BATS_TEST_TMPDIR/layers
	export CONTAINERS_STORAGE_CONF=$conf
	mkdir "$dir" "$dir-other"
	nacre setup -w --layers "$dir" podman
	grep -qxF "additionallayerstores = [\"$dir:ref\"]" "$conf"
	printf '[storage]\ndriver = "overlay"\n[storage.options] # mine\nadditionallayerstores = ["%s"]\n[storage.options.overlay]\nmountopt = "nodev"\n' \
		"$dir-other" >"$conf"
	nacre setup -w --layers "$dir" podman
	grep -qxF "additionallayerstores = [\"$dir:ref\", \"$dir-other\"]" "$conf"
	grep -qxF 'mountopt = "nodev"' "$conf"
	cp "$conf" "$conf.before"
	nacre setup -w --layers "$dir" podman
	cmp "$conf" "$conf.before"
	run nacre setup --layers "$dir/missing" podman
	assert_status 1
	assert_output_has 'nacre serve-layers'
}

# As README has it: the store is shown, and podman is told.
@test "nacre setup podman --images: podman has the images of nacre's store and runs them" {
	local dir=$PODMAN_DIR/served conf=$PODMAN_DIR/with-images.conf
	setup_store
	mkdir "$dir"
	nacre import -q "$BATS_FILE_TMPDIR/base.tar" served:1
	write_storage_conf
	cp "$CONTAINERS_STORAGE_CONF" "$conf"
	nacre serve-layers "$dir"
	CONTAINERS_STORAGE_CONF=$conf nacre setup -w --images "$dir" podman
	export CONTAINERS_STORAGE_CONF=$conf
	# A plain user's mount does not spread to the namespace of a podman that is there already.
	is_root || podman system migrate
	run podman images --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}'
	assert_output_has 'docker.io/library/served:1 true'
	run podman run --rm docker.io/library/served:1 sh -c 'grep " / " /proc/mounts; cat /etc/private; rm /usr/share/data/1; ls /usr/share/data | grep -cx 1'
	assert_output_has ' fuse.nacrefs '
	assert_output_has $'private\n0'
	is_root || podman system migrate
	nacre umount "$dir"
	run podman images
	[ "$status" != 0 ]
}
