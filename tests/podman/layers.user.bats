# SPDX-License-Identifier: Apache-2.0
# nacre serve-layers of a plain user: his podman sees the owners that the files have in their images.

load ../lib/common
load ../lib/podman

# The mount comes first: a test's mounts do not spread to the namespace of a podman that is there already.
setup_file() {
	make_podman "$BATS_FILE_TMPDIR/podman"
	write_storage_conf "mount_program = \"$NACREFS\""
	sed -i "s|^\[storage.options\]|&\nadditionalimagestores = [\"$PODMAN_DIR/layers/images\"]|" "$CONTAINERS_STORAGE_CONF"
	make_base_tree "$BATS_FILE_TMPDIR/base"
	echo page >"$BATS_FILE_TMPDIR/base/var/www/page"
	chmod 600 "$BATS_FILE_TMPDIR/base/var/www/page"
	(
		cd "$BATS_FILE_TMPDIR/base" || exit
		tar --owner=0 --group=0 --exclude=./var/www -cf ../base.tar .
		tar --owner=33 --group=33 -rf ../base.tar ./var/www
		tar --owner=65534 --group=8 --mode=4755 --transform 's|^|dir/|' -rf ../base.tar bin/busybox
	)
}
setup() {
	setup_store
	nacre import -q "$BATS_FILE_TMPDIR/base.tar" base:1
	mkdir "$PODMAN_DIR/layers"
}
teardown() {
	remove_containers
	"$NACRE" umount "$PODMAN_DIR/layers"
}
teardown_file() {
	sed -i /^additionalimagestores/d "$CONTAINERS_STORAGE_CONF"
	remove_podman
}

@test "in containers of an image that serve-layers shows, each file has its own owner, and its owner may read it" {
	"$NACRE" serve-layers "$PODMAN_DIR/layers"
	assert_equal "$(stat -c %u "$PODMAN_DIR"/layers/images/overlay/*/diff/etc/private)" "$(id -u)"
	run podman run --rm base:1 sh -c 'stat -c "%n %a %u:%g" /etc/private /var/www /var/www/page /dir/bin/busybox; cat /etc/private; chown 8:8 /var/www/page'
	assert_status 0
	assert_equal "$output" $'/etc/private 600 0:0\n/var/www 755 33:33\n/var/www/page 600 33:33\n/dir/bin/busybox 4755 65534:8\nprivate'
	run podman run --rm --user 33:33 base:1 sh -c 'cat /var/www/page; cat /etc/private'
	[ "$status" != 0 ]
	assert_output_has $'page\n'
	assert_output_has "can't open '/etc/private': Permission denied"
	# What is made of it has them too.
	printf 'FROM base:1\nUSER 33\nRUN cat /var/www/page >/var/www/copy\n' | podman build -q --isolation chroot -t built:1 - >/dev/null
	assert_equal "$(podman run --rm built:1 stat -c %u:%g /var/www/copy /etc/private)" $'33:33\n0:0'
	podman rmi built:1 >/dev/null
}
