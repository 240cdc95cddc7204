# SPDX-License-Identifier: Apache-2.0
# A storage that other drivers wrote, or will go on with, and the options of storage.conf that change what is mounted.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
setup() { use_driver nacrefs; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# Mount with nacrefs, fuse-overlayfs or the kernel from now on.
use_driver() {
	case $1 in
	nacrefs) write_storage_conf "mount_program = \"$NACREFS\"" ;;
	fuse-overlayfs) write_storage_conf "mount_program = \"$(command -v fuse-overlayfs)\"" ;;
	kernel)
		# With this podman takes a mount program from PATH if none is given.
		rm -f "$PODMAN_DIR/graph/overlay/.has-mount-program"
		write_storage_conf
		;;
	esac
}

# What is changed in a container in the first place, and then again by another driver.
first_changes='cd /usr/share/data && echo more >>10 && rm 2 3 && mkdir 3 && echo in >3/in && chmod 600 large && chown 33:33 4 &&
	rm -r deep && mkdir -p deep/new && ln 5 five && ln -s x sym && echo replaced >6 && mv 7 seven && chmod 700 /var/www &&
	cp -a /usr/share/data /usr/share/copy && rm -r /usr/share/copy/deep && mv /usr/share/copy /usr/share/moved && mkfifo p'
second_changes='cd /usr/share/data && echo again >>10 && echo back >2 && rm 3/in && touch deep/new/x deep/er && chmod 640 large &&
	rm five && mv seven 7 && rm -r /usr/share/moved && mkdir -p /usr/share/moved/deep && rm 8 p && chown 33:33 sym -h &&
	mv 9 /usr/share/moved/nine'
state='cd /usr/share && find . -exec stat -c "%n %F %a %u:%g %Y" {} + | sort && find . -type f -exec md5sum {} + | sort'

# in_ctr DRIVER COMMANDS: run them in container ctr, which runs what it finds in a folder of the test.
in_ctr() {
	use_driver "$1"
	echo "grep -o ' / [a-z.-]* ' /proc/mounts >/script/root && $2" >"$BATS_TEST_TMPDIR/script/do"
	podman start -a ctr
	case $1 in
	kernel) assert_equal "$(cat "$BATS_TEST_TMPDIR/script/root")" ' / overlay ' ;;
	*) assert_equal "$(cat "$BATS_TEST_TMPDIR/script/root")" " / fuse.$1 " ;;
	esac
}

# hand_over FIRST SECOND: one driver begins, another goes on, the first ends: both see what the other wrote.
hand_over() {
	local first=$1 second=$2
	mkdir "$BATS_TEST_TMPDIR/script"
	chmod 777 "$BATS_TEST_TMPDIR/script"
	use_driver "$first"
	podman create -q --name ctr -v "$BATS_TEST_TMPDIR/script:/script" base:1 sh /script/do >/dev/null
	in_ctr "$first" "$first_changes && $state" >"$BATS_TEST_TMPDIR/first"
	[ -s "$BATS_TEST_TMPDIR/first" ] || fail "$first could not make its changes"
	in_ctr "$second" "$state" | diff "$BATS_TEST_TMPDIR/first" -
	in_ctr "$second" "$second_changes && $state" >"$BATS_TEST_TMPDIR/second"
	[ -s "$BATS_TEST_TMPDIR/second" ] || fail "$second could not make its changes"
	in_ctr "$first" "$state" | diff "$BATS_TEST_TMPDIR/second" -
	# And its image, made by the one, is the same to the other.
	podman commit -q ctr handed:1 >/dev/null
	[ "$first" != nacrefs ] || assert_no_marks handed:1
	use_driver "$second"
	podman run --rm handed:1 sh -c "$state" | diff "$BATS_TEST_TMPDIR/second" -
	podman rm -f ctr >/dev/null
	podman rmi -f handed:1 >/dev/null
}

@test "nacrefs goes on with what kernel overlayfs wrote, and it with what nacrefs wrote" {
	hand_over kernel nacrefs
}

@test "kernel overlayfs goes on with what nacrefs wrote, and it with what the kernel wrote" {
	hand_over nacrefs kernel
}

@test "nacrefs goes on with what fuse-overlayfs wrote, and it with what nacrefs wrote" {
	hand_over fuse-overlayfs nacrefs
}

@test "fuse-overlayfs goes on with what nacrefs wrote, and it with what fuse-overlayfs wrote" {
	hand_over nacrefs fuse-overlayfs
}
