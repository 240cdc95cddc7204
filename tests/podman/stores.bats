# SPDX-License-Identifier: Apache-2.0
# Which storage podman uses, and by which name it finds the driver.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# Another storage, whose additional image store is the first.
use_second_store() {
	write_storage_conf "mount_program = \"$NACREFS\""
	sed -i -e "s|\"$PODMAN_DIR/graph\"|\"$PODMAN_DIR/second\"|" \
		-e "s|^runroot.*|runroot = \"$PODMAN_RUN/second\"|" \
		-e "s|^\[storage.options\]|&\nadditionalimagestores = [\"$PODMAN_DIR/graph\"]|" "$CONTAINERS_STORAGE_CONF"
}

remove_second_store() {
	remove_containers
	podman rmi -f -a >/dev/null
	# shellcheck disable=SC2016
	in_storage sh -c 'umount -q -l "$1/overlay"; rm -rf "$1"' sh "$PODMAN_DIR/second"
	write_storage_conf "mount_program = \"$NACREFS\""
}

# All that is in the layers of the first.
layer_files() {
	# shellcheck disable=SC2016
	in_storage sh -c 'cd "$1/graph/overlay" && find ./*/diff -ls | sort -k 11' sh "$PODMAN_DIR"
}

@test "additionalimagestores: containers and images stand on an image of another storage, which stays as it is" {
	layer_files >"$BATS_TEST_TMPDIR/before"
	use_second_store
	assert_equal "$(podman images --format '{{.Repository}}:{{.Tag}} {{.ReadOnly}}')" 'localhost/base:1 true'
	run podman run --name ctr base:1 sh -c 'grep " / " /proc/mounts; cat /etc/private; rm /usr/share/data/2; echo new >/root/new'
	assert_status 0
	assert_output_has ' fuse.nacrefs '
	assert_output_has private
	assert_equal "$(podman diff ctr | grep -v ' /etc$' | sort)" \
		$'A /root/new\nC /root\nC /usr\nC /usr/share\nC /usr/share/data\nD /usr/share/data/2'
	podman commit -q ctr over:1 >/dev/null
	printf 'FROM over:1\nRUN cat /root/new >/root/built && rm -r /usr/share/data/deep\n' |
		podman build -q --isolation chroot -t built:1 - >/dev/null
	assert_equal "$(podman run --rm built:1 sh -c 'cat /root/built; ls -d /usr/share/data/deep /usr/share/data/2 2>/dev/null')" new
	assert_no_marks built:1
	remove_second_store
	layer_files | diff "$BATS_TEST_TMPDIR/before" -
	in_base cat /usr/share/data/2
}

# What podman does with a storage that once had a mount program, when storage.conf names none.
@test "as fuse-overlayfs in PATH nacrefs mounts without a word about it in storage.conf" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	ln -s "$NACREFS" "$BATS_TEST_TMPDIR/bin/fuse-overlayfs"
	write_storage_conf
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run podman run --name ctr base:1 sh -c 'grep " / " /proc/mounts; rm /usr/share/data/1'
	write_storage_conf "mount_program = \"$NACREFS\""
	assert_status 0
	assert_output_has ' fuse.nacrefs '
	podman diff ctr | grep -qx 'D /usr/share/data/1'
}

# podman takes most of these off before it mounts, and passes on the rest.
@test "mountopt of storage.conf: what fuse-overlayfs takes, nacrefs takes" {
	write_storage_conf "mount_program = \"$NACREFS\"" \
		'mountopt = "nodev,metacopy=on,fsync=0,noacl,static_nlink,redirect_dir=off,xino=off,threaded=1,timeout=1,writeback=0,fast_ino=1"'
	run in_base sh -c 'grep " / " /proc/mounts; stat -c %h /usr; mv /usr/share/data/deep /root/deep 2>/dev/null; cat /root/deep/er/file'
	write_storage_conf "mount_program = \"$NACREFS\""
	assert_status 0
	assert_output_has ' fuse.nacrefs '
	assert_output_has $'\n1\ndeep'
}
