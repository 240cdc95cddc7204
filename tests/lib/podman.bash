# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# What the tests of podman and buildah on nacrefs share, on top of common.bash.
#
#	load ../lib/common
#	load ../lib/podman
#	setup_file() { setup_podman; }
#	teardown() { remove_containers; }
#	teardown_file() { remove_podman; }
#
# Each file has a storage of its own, with base:1 in it, which its tests share.  tests/run.sh gives each file a mount
# namespace: what podman mounts is seen only there, and what the machine's control groups look like does not matter.

# setup_podman [LINE...]: a storage below $BATS_FILE_TMPDIR that mounts with nacrefs; the lines go to storage.conf's
# overlay options.
setup_podman() {
	make_podman "$BATS_FILE_TMPDIR/podman"
	write_storage_conf "mount_program = \"$NACREFS\"" "$@"
	make_base_tree "$BATS_FILE_TMPDIR/base"
	tar -C "$BATS_FILE_TMPDIR/base" --owner=0 --group=0 --xattrs -cf "$BATS_FILE_TMPDIR/base.tar" .
	podman import -q "$BATS_FILE_TMPDIR/base.tar" base:1 >/dev/null
}

# make_podman DIR: all that podman writes goes below DIR and $PODMAN_RUN from now on.
make_podman() {
	PODMAN_DIR=$1
	# podman takes no run root of more than 50 characters.
	PODMAN_RUN=$(mktemp -d /tmp/nacre-podman.XXXXXX)
	export PODMAN_DIR PODMAN_RUN
	mkdir -p "$PODMAN_DIR"/{home,tmp}
	# A container's root in a user namespace of its own, which newer crun opens its folders as.
	reachable "$PODMAN_DIR"
	export HOME=$PODMAN_DIR/home XDG_RUNTIME_DIR=$PODMAN_RUN TMPDIR=$PODMAN_DIR/tmp
	export CONTAINERS_CONF=$PODMAN_DIR/containers.conf CONTAINERS_STORAGE_CONF=$PODMAN_DIR/storage.conf
	export CONTAINERS_REGISTRIES_CONF=$PODMAN_DIR/registries.conf BUILDAH_ISOLATION=chroot
	write_containers_conf
	echo 'unqualified-search-registries = []' >"$CONTAINERS_REGISTRIES_CONF"
}

# write_containers_conf: how containers run where there is little: no network, no control groups of their own.
write_containers_conf() {
	cat >"$CONTAINERS_CONF" <<-END
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
		log_driver = "k8s-file"
		netns = "none"
		cgroups = "disabled"
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		lock_type = "file"
		runtime = "crun"
		tmp_dir = "$PODMAN_RUN/libpod/tmp"
	END
}

# write_storage_conf LINE...: the graph and run roots as they are, and the lines as the overlay options.
write_storage_conf() {
	cat >"$CONTAINERS_STORAGE_CONF" <<-END
		[storage]
		driver = "overlay"
		graphroot = "$PODMAN_DIR/graph"
		rootless_storage_path = "$PODMAN_DIR/graph"
		runroot = "$PODMAN_RUN/containers"
		[storage.options]
		root-auto-userns-user = "$NACRE_TEST_USER"
		[storage.options.overlay]
	END
	printf '%s\n' "$@" >>"$CONTAINERS_STORAGE_CONF"
}

# A small root file system: busybox, accounts, and files to be changed.
make_base_tree() {
	local tree=$1 name
	mkdir -p "$tree"/{bin,dev,etc,proc,root,run,sys,tmp,usr/share/data/deep/er,var/www}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	for name in cat chgrp chmod chown cp date dd find getfattr grep head httpd id ln ls md5sum mkdir mkfifo mknod mount mv \
		printf readlink rm rmdir sh sleep sort stat tar test touch true umount wc wget; do
		ln -s busybox "$tree/bin/$name"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n' >"$tree/etc/passwd"
	printf 'root:x:0:\nweb:x:33:\n' >"$tree/etc/group"
	for name in $(seq 50); do
		echo "$name" >"$tree/usr/share/data/$name"
	done
	echo deep >"$tree/usr/share/data/deep/er/file"
	head -c 100000 /dev/zero | tr '\0' x >"$tree/usr/share/data/large"
	ln "$tree/usr/share/data/1" "$tree/usr/share/data/one"
	ln -s data/1 "$tree/usr/share/link"
	echo private >"$tree/etc/private"
	chmod 600 "$tree/etc/private"
	chmod 1777 "$tree/tmp"
	# A diff tells files of one size apart by their times alone.
	python3 "$NACRE_TOP/tests/lib/rootfs.py" stamp "$tree"
}

# Programs under test; bats' own descriptors must not stay with conmon.
podman() {
	if [ "$1" = run ] && [ "$2" != -d ]; then
		shift
		run_attached "$@"
	else
		command podman --log-level=error "$@" 3>&- 4>&-
	fi
}
# What an attached container writes comes to podman by way of conmon, which now and then loses it: 3 of 1,500 runs on kernel
# overlayfs printed nothing (podman 4.3.1, conmon 2.1.6) while the log had it.  So it writes to podman's own output, but to a
# pipe there: the runtime makes what it finds the container's user's, a file of bats too.
run_attached() (
	local -a straight=(command podman --log-level=error run --log-driver passthrough "$@")
	set -o pipefail
	if [ /dev/fd/1 -ef /dev/fd/2 ]; then # and stays in the order it was written
		"${straight[@]}" 2>&1 3>&- 4>&- | cat
	else
		{
			"${straight[@]}" 2>&1 >&5 3>&- 4>&- 5>&- | cat >&2 5>&-
		} 5>&1 | cat
	fi
)
buildah() { command buildah --log-level=error "$@" 3>&- 4>&-; }

# export_listing CONTAINER: what is in a container, but for what podman itself puts there.
export_listing() {
	podman export -o "$BATS_TEST_TMPDIR/$1.tar" "$1"
	python3 "$NACRE_TOP/tests/lib/rootfs.py" list "$BATS_TEST_TMPDIR/$1.tar"
	rm -f "$BATS_TEST_TMPDIR/$1.tar"
}

# image_listing IMAGE: the same of an image.
image_listing() {
	local container
	container=$(podman create -q "$1" true)
	export_listing "$container"
	podman rm "$container" >/dev/null
}

# Nothing in an image's blobs may name what drivers note in layers.
assert_no_marks() {
	local blob
	podman save -q --format oci-dir -o "$BATS_TEST_TMPDIR/oci" "$1"
	for blob in "$BATS_TEST_TMPDIR"/oci/blobs/sha256/*; do
		! { gzip -dc "$blob" 2>/dev/null || cat "$blob"; } |
			grep -aqE '(trusted|user)\.((fuse)?overlay|containers)' || fail "a driver's xattr is in $blob"
	done
	rm -r "$BATS_TEST_TMPDIR/oci"
}

# in_base COMMAND...: run a command in a new container of base:1 that is gone afterwards.
in_base() { podman run --rm base:1 "$@"; }

# In podman's own user namespace, where the files of the storage have their owners; as root just here.
in_storage() {
	if is_root; then
		"$@"
	else
		command podman --log-level=error unshare "$@" 3>&- 4>&-
	fi
}

# The drivers that serve mounts of this file's storage.
storage_drivers() { driver_pids "$PODMAN_DIR/"; }

# Programs of podman that run with this file's folders.
podman_pids() {
	local process
	for process in /proc/[0-9]*; do
		if [[ $(readlink "$process/exe" 2>/dev/null) == */podman ]] &&
			tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qxF "PODMAN_RUN=$PODMAN_RUN"; then
			printf '%s\n' "${process#/proc/}"
		fi
	done
}

remove_containers() {
	podman rm -f -a -t 0 >/dev/null
	buildah rm -a >/dev/null
}

# Nothing may stay: no mount, no driver, no file that only podman can remove.
remove_podman() {
	local pid drivers result=0
	podman rm -f -a -t 0 >/dev/null || result=1
	buildah rm -a >/dev/null || result=1
	drivers=$(storage_drivers)
	wait_gone "$drivers" || result=1
	# A plain user's podman mounts the storage over itself.
	# shellcheck disable=SC2016
	in_storage sh -c 'umount -q -l "$1/overlay"; rm -rf "$1"' sh "$PODMAN_DIR/graph" || result=1
	# The processes that keep a plain user's namespaces.
	for pid in $(podman_pids); do
		kill "$pid" 2>/dev/null || true
	done
	rm -rf "$PODMAN_RUN" || result=1
	return "$result"
}
