# SPDX-License-Identifier: Apache-2.0
# root's storage, written with force_mask so that everybody can read it, as the additional image store of a plain user: he
# sees the owners and modes that the image has, none of which are his to set on disk.

load ../lib/common
load ../lib/podman

setup_file() {
	setup_podman 'force_mask = "shared"'
	podman run --name ctr base:1 sh -c 'cd /usr/share/data && chown 33:33 1 && chmod 600 1 && chown 33:44 deep && chmod 700 deep && rm 2'
	podman commit -q ctr owners:1 >/dev/null
	podman rm ctr >/dev/null
}
setup() {
	setup_user
	(cd "$PODMAN_DIR/graph" && chmod -R a+rX overlay-images overlay-layers && chmod a+rx overlay/*)
	local dir=$PODMAN_DIR/graph/overlay
	while [ "$dir" != "$BATS_RUN_TMPDIR" ]; do
		chmod a+x "$dir"
		dir=${dir%/*}
	done
}
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# as_reader: run the commands on stdin as the plain user, in a storage of his own over root's.
# shellcheck disable=SC2016
as_reader() {
	as_user env "BATS_TEST_TMPDIR=$USER_DIR" "READER_DIR=$USER_DIR/podman" "SHARED=$PODMAN_DIR/graph" bash -c '
		set -e
		. "$NACRE_TOP/tests/lib/common.bash"
		. "$NACRE_TOP/tests/lib/podman.bash"
		cd "$BATS_TEST_TMPDIR"
		make_podman "$READER_DIR"
		trap remove_podman EXIT
		write_storage_conf "mount_program = \"$NACREFS\""
		sed -i "s|^\[storage.options\]|&\nadditionalimagestores = [\"$SHARED\"]|" "$CONTAINERS_STORAGE_CONF"
		eval "$(cat)"'
}

@test "a plain user runs containers of root's shared storage, and changes what is in them" {
	[ "$(stat -c '%a %u' "$PODMAN_DIR"/graph/overlay/*/diff/etc/private)" = '755 0' ]
	run as_reader <<-'END'
		podman run --rm owners:1 sh -c 'grep " / " /proc/mounts; cd /usr/share/data; cat /etc/private 1
			stat -c "%n %a %u:%g" /etc/private 1 3 deep; test -e 2 || echo gone
			echo more >>1; chown 0:33 1; chmod 640 3; chown 33:0 3; mv 5 deep/5; rm -r deep/er; stat -c "%n %a %u:%g" 1 3 deep; ls deep'
	END
	assert_status 0
	assert_output_has ' fuse.nacrefs '
	assert_output_has $'private\n1\n/etc/private 600 0:0\n1 600 33:33\n3 644 0:0\ndeep 700 33:44\ngone\n1 600 0:33\n3 640 33:0\ndeep 700 33:44\n5'
}
