# SPDX-License-Identifier: Apache-2.0
# nacre serve-layers: podman takes the layers and the images of nacre's store, and extracts none of them.

load ../lib/common
load ../lib/registry
load ../lib/podman

setup_file() { setup_podman; }

# A registry with app:1: base:1 and a layer over it that takes things away.
setup() {
	setup_store
	start_registry registry
	IMAGE=$REGISTRY/team/app:1
	LAYERS=$PODMAN_DIR/layers
	mkdir -p "$LAYERS"
	printf '[[registry]]\nlocation = "%s"\ninsecure = true\n' "$REGISTRY" >"$CONTAINERS_REGISTRIES_CONF"
	podman run --name ctr base:1 sh -c 'cd /usr/share/data && rm 1 && rm -r deep && mkdir deep && echo new >deep/new &&
		echo more >>2 && chown 33:33 3 && chmod 4755 4'
	podman commit -q ctr "$IMAGE" >/dev/null
	podman rm ctr >/dev/null
	podman push -q "$IMAGE"
	podman rmi "$IMAGE" base:1 >/dev/null
	nacre pull -q "$IMAGE"
	write_storage_conf "mount_program = \"$NACREFS\""
	sed -i "s|^\[storage.options\]|&\nadditionallayerstores = [\"$LAYERS:ref\"]|" "$CONTAINERS_STORAGE_CONF"
	serve
}

teardown() {
	remove_containers
	sed -i /additionalimagestores/d "$CONTAINERS_STORAGE_CONF"
	podman rmi -f -a >/dev/null
	in_storage sh -c 'umount -l "$1"' sh "$LAYERS"
	stop_registries
	write_storage_conf "mount_program = \"$NACREFS\""
	podman import -q "$BATS_FILE_TMPDIR/base.tar" base:1 >/dev/null
}
teardown_file() { remove_podman; }

serve() { in_storage "$NACRE" serve-layers "$LAYERS"; }

# Since 5.1 podman asks only for layers with the digest of a table of contents.
asks_for_layers() { [ "$(printf '%s\n' "$(podman --version | sed 's/.* //')" 5.1 | sort -V | head -n 1)" != 5.1 ]; }

# Folders of podman's storage that hold files of their own.
extracted() {
	asks_for_layers || return 0
	# shellcheck disable=SC2016
	in_storage sh -c 'cd "$1/graph/overlay" && find . -maxdepth 2 -name diff -type d' sh "$PODMAN_DIR"
}

state='cd /usr/share/data && ls | sort | head -n 60 && cat deep/new 2 && stat -c "%n %a %u:%g %F" 3 4 deep && test ! -e 1 && id -u'

@test "an image of nacre's store runs in podman with nothing extracted" {
	podman pull -q "$IMAGE" >/dev/null
	[ -z "$(extracted)" ]
	run podman run --rm "$IMAGE" sh -c "$state"
	assert_status 0
	assert_output_has $'new\n2\nmore\n3 644 33:33 regular file\n4 4755 0:0 regular file\ndeep 755 0:0 directory\n0'
	# Without the mount podman says so, and goes on when it is there again.
	in_storage umount "$LAYERS"
	run podman run --rm "$IMAGE" true
	if asks_for_layers; then
		[ "$status" != 0 ]
	fi
	serve
	[ "$(podman run --rm "$IMAGE" ls /usr/share/data/deep)" = new ]
}

@test "a container over it is changed, compared, committed and saved; what comes into the store later is found" {
	podman run --name ctr "$IMAGE" sh -c 'echo changed >/usr/share/data/deep/new; rm /usr/share/data/2; echo x >/added'
	assert_equal "$(podman diff ctr | sort)" $'A /added\nC /usr\nC /usr/share\nC /usr/share/data\nC /usr/share/data/deep\nC /usr/share/data/deep/new\nD /usr/share/data/2'
	podman commit -q ctr other:1 >/dev/null
	assert_equal "$(podman run --rm other:1 sh -c 'cat /usr/share/data/deep/new /added; ls /usr/share/data/2 2>/dev/null || echo gone')" \
		$'changed\nx\ngone'
	assert_no_marks other:1
	# What podman writes out is what nacre has: the same diff IDs.
	podman save -q -o "$BATS_TEST_TMPDIR/saved.tar" "$IMAGE"
	nacre load -q "$BATS_TEST_TMPDIR/saved.tar" >/dev/null
	assert_equal "$(podman inspect "$IMAGE" --format '{{json .RootFS.Layers}}')" \
		"$(nacre inspect "$IMAGE" | jq -c '.[0].RootFS.Layers')"
	podman tag other:1 "$REGISTRY/team/later:1"
	podman push -q "$REGISTRY/team/later:1"
	podman rm ctr >/dev/null
	podman rmi "$REGISTRY/team/later:1" other:1 >/dev/null
	nacre pull -q "$REGISTRY/team/later:1"
	podman pull -q "$REGISTRY/team/later:1" >/dev/null
	[ -z "$(extracted)" ]
	# What podman has used stays.
	assert_equal "$(podman run --rm "$REGISTRY/team/later:1" cat /added)" x
	run nacre rmi "$REGISTRY/team/later:1"
	nacre gc
	assert_equal "$(podman run --rm "$REGISTRY/team/later:1" cat /added)" x
}

# Every podman takes images so; podman 5 nothing else.
use_images() {
	write_storage_conf "mount_program = \"$NACREFS\""
	sed -i "s|^\[storage.options\]|&\nadditionalimagestores = [\"$LAYERS/images\"]|" "$CONTAINERS_STORAGE_CONF"
}

@test "as an image store the mount has all images: they are listed, run, compared, committed, built on and saved" {
	local id
	use_images
	id=$(nacre inspect -f '{{.Id}}' "$IMAGE")
	assert_equal "$(podman images --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.ReadOnly}}')" "$IMAGE $id true"
	assert_equal "$(podman inspect "$IMAGE" --format '{{json .RootFS.Layers}}')" \
		"$(nacre inspect "$IMAGE" | jq -c '.[0].RootFS.Layers')"
	run podman run --name ctr "$IMAGE" sh -c "$state; grep ' / ' /proc/mounts"
	assert_status 0
	assert_output_has $'new\n2\nmore\n3 644 33:33 regular file\n4 4755 0:0 regular file\ndeep 755 0:0 directory\n0'
	assert_output_has ' fuse.nacrefs '
	podman rm ctr >/dev/null
	podman run --name ctr "$IMAGE" sh -c 'echo changed >/usr/share/data/deep/new; rm /usr/share/data/2; echo x >/added'
	assert_equal "$(podman diff ctr | sort)" $'A /added\nC /usr\nC /usr/share\nC /usr/share/data\nC /usr/share/data/deep\nC /usr/share/data/deep/new\nD /usr/share/data/2'
	podman commit -q ctr other:1 >/dev/null
	printf 'FROM other:1\nRUN cat /added >/built\n' | podman build -q --isolation chroot -t built:1 - >/dev/null
	assert_equal "$(podman run --rm built:1 sh -c 'cat /usr/share/data/deep/new /added /built; ls /usr/share/data/2 2>/dev/null || echo gone')" \
		$'changed\nx\nx\ngone'
	assert_no_marks built:1
	# What podman writes out is what nacre has.
	podman save -q -o "$BATS_TEST_TMPDIR/saved.tar" "$IMAGE"
	podman push -q "$IMAGE" "$REGISTRY/team/again:1"
	nacre pull -q "$REGISTRY/team/again:1" >/dev/null
	assert_equal "$(nacre inspect -f '{{.Id}}' "$REGISTRY/team/again:1")" "$id"
	# It is there at once; what podman uses stays; podman itself takes nothing away.
	assert_equal "$(podman images --format '{{.Repository}}' | grep -c again)" 1
	run nacre rmi "$REGISTRY/team/again:1" "$IMAGE"
	[ "$status" != 0 ]
	assert_output_has "podman's container ctr stands on it"
	run podman rmi "$IMAGE"
	[ "$status" != 0 ]
	assert_output_has 'read-only'
	podman rm ctr >/dev/null
	run nacre rmi "$IMAGE"
	[ "$status" != 0 ]
	assert_output_has "podman's image localhost/other:1 stands on it"
	podman rmi built:1 other:1 >/dev/null
	# Nothing that is in use is taken away, whatever podman has; and then it is.
	podman run -d --name ctr "$IMAGE" sleep 1000 >/dev/null
	mv "$PODMAN_DIR/graph/overlay-layers" "$PODMAN_DIR/graph/elsewhere"
	run nacre rmi "$IMAGE"
	mv "$PODMAN_DIR/graph/elsewhere" "$PODMAN_DIR/graph/overlay-layers"
	[ "$status" != 0 ]
	assert_output_has "the image is in use on $(realpath "$LAYERS")"
	podman rm -f -t 0 ctr >/dev/null
	nacre rmi "$IMAGE" >/dev/null
	assert_equal "$(podman images -q)" ""
	nacre import -q "$BATS_FILE_TMPDIR/base.tar" alone:1 >/dev/null
	assert_equal "$(podman images --format '{{.Repository}}:{{.Tag}}' | grep alone)" docker.io/library/alone:1
	nacre rmi alone:1 >/dev/null
	assert_equal "$(podman images --format '{{.Repository}}:{{.Tag}}' | grep -c alone || true)" 0
}
