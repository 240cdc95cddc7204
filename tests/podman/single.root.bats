# SPDX-License-Identifier: Apache-2.0
# A user without ranges of IDs: every file is his, and ignore_chown_errors has podman unpack what should be others'.

load ../lib/common
load ../lib/podman

STRANGER=54321

setup_file() {
	setup_podman
	podman run --name ctr base:1 sh -c 'chown 33:33 /usr/share/data/1 /etc/private'
	podman commit -q ctr owners:1 >/dev/null
	podman rm ctr >/dev/null
	podman save -q -o "$BATS_FILE_TMPDIR/owners.tar" owners:1
	remove_podman
	chmod 644 "$BATS_FILE_TMPDIR/owners.tar"
}

setup() {
	setup_user
	install -d -o "$STRANGER" -g "$STRANGER" "$USER_DIR/stranger"
}

# as_stranger IGNORE: run the commands on stdin as that user, in a storage of his own.
# shellcheck disable=SC2016
as_stranger() {
	setpriv --reuid="$STRANGER" --regid="$STRANGER" --clear-groups --inh-caps=-all \
		env "USER=stranger" "BATS_TEST_TMPDIR=$USER_DIR/stranger" "STRANGER_DIR=$USER_DIR/stranger/podman" \
		"OWNERS=$BATS_FILE_TMPDIR/owners.tar" bash -c '
			set -e
			. "$NACRE_TOP/tests/lib/common.bash"
			. "$NACRE_TOP/tests/lib/podman.bash"
			cd "$BATS_TEST_TMPDIR"
			make_podman "$STRANGER_DIR"
			# buildah does not work for a user without a name.
			trap "remove_podman || true" EXIT
			write_storage_conf "mount_program = \"$NACREFS\"" "ignore_chown_errors = \"$1\""
			eval "$(cat)"' sh "$1" 3>&- 4>&-
}

@test "an image with other owners is unpacked, run, changed and committed, all its files the user's own" {
	run as_stranger true <<-'END'
		podman load -q -i "$OWNERS"
		podman run --name ctr owners:1 sh -c 'grep " / " /proc/mounts; cat /etc/private; stat -c "%u:%g %a" /etc/private /usr/share/data/1
			echo more >>/usr/share/data/1; rm -r /usr/share/data/deep; chown 33 /usr/share/data/2 2>/dev/null || echo refused'
		podman diff ctr | grep data/
		podman commit -q ctr changed:1 >/dev/null
		podman run --rm changed:1 sh -c 'cat /usr/share/data/1; stat -c %u /usr/share/data/1; test -e /usr/share/data/deep || echo gone'
		find "$PODMAN_DIR/graph" ! -uid 54321 -print
	END
	assert_status 0
	assert_output_has ' fuse.nacrefs '
	assert_output_has $'private\n0:0 600\n0:0 644\nrefused\n'
	assert_output_has $'\n1\nmore\n0\ngone'
	refute_output_has /graph/
	[[ $'\n'$output$'\n' == *$'\nC /usr/share/data/1\n'* && $'\n'$output$'\n' == *$'\nD /usr/share/data/deep\n'* ]] || fail "$output"
}

@test "without ignore_chown_errors podman says why it cannot unpack it" {
	run as_stranger false <<-'END'
		podman load -q -i "$OWNERS"
	END
	[ "$status" != 0 ]
	assert_output_has 'lchown /etc/private: invalid argument'
}
