# SPDX-License-Identifier: Apache-2.0
# What containers do on nacrefs: podman's commands that mount one.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

@test "a container's root is nacrefs, writable, and gone with its driver afterwards" {
	run in_base sh -c 'grep " / " /proc/mounts; echo new >/etc/new; cat /etc/new /usr/share/link; rm /usr/share/data/2
		test -e /usr/share/data/2 || echo removed'
	assert_status 0
	assert_output_has 'nacrefs / fuse.nacrefs rw'
	assert_output_has $'new\n1\nremoved'
	wait_gone "$(storage_drivers)"
	run in_base cat /usr/share/data/2
	assert_equal "$output" 2
}

@test "a stopped container keeps what it wrote" {
	podman run --name ctr base:1 sh -c 'echo 1 >>/root/log; mv 2>/dev/null /usr/share/data/deep /root/deep || mv /root/deep /root/deeper'
	podman start -a ctr
	podman cp ctr:/root/log "$BATS_TEST_TMPDIR/log"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/log")" $'1\n1'
	podman cp ctr:/root/deeper/er/file - | tar -xO >"$BATS_TEST_TMPDIR/file"
	assert_equal "$(cat "$BATS_TEST_TMPDIR/file")" deep
}

@test "exec sees and changes what the container does" {
	podman run -d --name ctr base:1 sleep 1000
	podman exec ctr sh -c 'echo from exec >/tmp/f; chmod 4755 /tmp/f'
	assert_equal "$(podman exec ctr stat -c '%a %s' /tmp/f)" "4755 10"
	podman cp "$BATS_FILE_TMPDIR/base.tar" ctr:/tmp/base.tar
	assert_equal "$(podman exec ctr md5sum </dev/null /tmp/base.tar | cut -d ' ' -f 1)" \
		"$(md5sum <"$BATS_FILE_TMPDIR/base.tar" | cut -d ' ' -f 1)"
	podman rm -f -t 0 ctr
}

@test "diff names what changed and nothing else" {
	podman run --name ctr base:1 sh -c 'cd /usr/share/data
		echo more >>1; rm 2; chmod 600 3; ln 4 four; mkdir new; touch new/file; mv 5 6; rm -r deep; mkdir deep
		cat large >/dev/null; ls -lR /usr >/dev/null; touch -r 7 /tmp/same; chown 33:33 8'
	run podman diff ctr
	assert_status 0
	assert_equal "$(sort <<<"$output" | grep -v -e ' /run' -e ' /etc$')" "$(sort <<-'END'
		C /tmp
		A /tmp/same
		C /usr
		C /usr/share
		C /usr/share/data
		C /usr/share/data/1
		C /usr/share/data/one
		D /usr/share/data/2
		C /usr/share/data/3
		A /usr/share/data/four
		A /usr/share/data/new
		A /usr/share/data/new/file
		D /usr/share/data/5
		C /usr/share/data/6
		C /usr/share/data/8
		C /usr/share/data/deep
		D /usr/share/data/deep/er
	END
	)"
}

@test "commit makes an image of what is in the container, and nothing else" {
	podman run --name ctr base:1 sh -c 'cd /usr/share/data
		echo more >>1; rm 2; chmod 4711 3; echo x >>4; ln 4 four; mkdir -p new/dir; chown 33:33 8 new; mv deep moved; rm -r new/dir
		mkfifo pipe; chmod 644 pipe; ln -s nowhere dangling; touch -d "2001-01-01 01:01:01" old'
	podman commit -q ctr changed:1 >/dev/null
	diff <(export_listing ctr) <(image_listing changed:1)
	assert_equal "$(podman run --rm changed:1 sh -c 'cd /usr/share/data; cat 1; stat -c "%a %u:%g" 3 8; stat -c %h 4 pipe
		test ! -e 2; test ! -e deep; cat moved/er/file')" $'1\nmore\n4711 0:0\n644 33:33\n2\n1\ndeep'
	assert_no_marks changed:1
	podman rmi -f changed:1
}

@test "an image is mounted read-only, and unmounted" {
	# shellcheck disable=SC2016
	run in_storage sh -c 'dir=$(podman image mount base:1) && cat "$dir/etc/private" && grep " $dir " /proc/mounts &&
		! touch "$dir/x" && podman image umount base:1 && ! grep " $dir " /proc/mounts'
	assert_status 0
	assert_output_has private
	assert_output_has ' fuse.nacrefs ro,'
	assert_output_has 'Read-only file system'
}

@test "a container is mounted beside its processes" {
	podman create --name ctr base:1 true
	# shellcheck disable=SC2016
	run in_storage sh -c 'dir=$(podman mount ctr) && echo outside >"$dir/root/f" && podman umount ctr >/dev/null'
	assert_status 0
	podman cp ctr:/root/f - | tar -xO | grep -qx outside
}

@test "--read-only leaves the root alone, and has room in tmp" {
	run podman run --rm --read-only base:1 sh -c 'echo x >/tmp/x && cat /tmp/x; echo x >/etc/x'
	assert_output_has $'x\nsh: can'
	assert_output_has 'Read-only file system'
}

@test "a container with user namespace mappings shows the image's owners" {
	local -a mapping=(--uidmap 0:100000:1000 --gidmap 0:100000:1000)
	is_root || mapping=(--uidmap 0:1:1000 --gidmap 0:1:1000)
	podman run --name ctr "${mapping[@]}" base:1 sh -c 'stat -c "%u:%g" /etc/private /usr /tmp; cat /etc/private
		touch /root/mine; chown 33:33 /root/mine; mkdir /var/www/d; chown 33:33 /usr/share/data/1; cp /etc/private /root/copy'
	podman commit -q ctr mapped:1
	assert_equal "$(podman run --rm mapped:1 stat -c '%u:%g %a' /root/mine /usr/share/data/1 /root/copy /etc/private)" \
		$'33:33 644\n33:33 644\n0:0 600\n0:0 600'
	podman rmi mapped:1
}

@test "--userns=auto maps each container" {
	run podman run --rm --userns=auto:size=2000 base:1 sh -c 'id -u; cat /etc/private; stat -c %u /etc/private; touch /root/x
		stat -c %u /root/x'
	assert_status 0
	assert_equal "$output" $'0\nprivate\n0\n0'
}

@test "volumes, named and bound, and a copy-up of the image's content into a new one" {
	mkdir "$BATS_TEST_TMPDIR/bound"
	echo bound >"$BATS_TEST_TMPDIR/bound/file"
	podman run --rm -v data:/usr/share/data -v "$BATS_TEST_TMPDIR/bound:/mnt" base:1 sh -c \
		'cat /usr/share/data/50 /mnt/file; echo changed >/usr/share/data/50; echo out >/mnt/out'
	assert_equal "$(cat "$BATS_TEST_TMPDIR/bound/out")" out
	assert_equal "$(podman run --rm -v data:/d base:1 cat /d/50 /d/deep/er/file)" $'changed\ndeep'
	podman volume rm data
}

@test "a :O volume is an overlay of its own" {
	mkdir "$BATS_TEST_TMPDIR/dir"
	echo below >"$BATS_TEST_TMPDIR/dir/file"
	run podman run --rm -v "$BATS_TEST_TMPDIR/dir:/mnt:O" base:1 sh -c \
		'cat /mnt/file; echo above >/mnt/file; cat /mnt/file; grep " /mnt " /proc/mounts'
	assert_status 0
	assert_output_has $'below\nabove'
	assert_output_has 'fuse.nacrefs'
	assert_equal "$(cat "$BATS_TEST_TMPDIR/dir/file")" below
}

@test "an image is a volume of a container, read-only and writable" {
	assert_equal "$(podman run --rm --mount type=image,source=base:1,destination=/mnt base:1 cat /mnt/etc/private)" private
	run podman run --rm --mount type=image,source=base:1,destination=/mnt,rw=true base:1 sh -c 'rm /mnt/etc/private
		echo x >/mnt/etc/x; cat /mnt/etc/x; ls /mnt/etc'
	assert_status 0
	assert_output_has $'x\ngroup\npasswd\nx'
}

@test "cp takes files out of a container, running or not, and puts them into another" {
	mkdir -p "$BATS_TEST_TMPDIR/in/d"
	echo in >"$BATS_TEST_TMPDIR/in/d/f"
	podman run -d --name ctr base:1 sleep 1000 >/dev/null
	podman cp "$BATS_TEST_TMPDIR/in" ctr:/srv
	podman exec ctr sh -c 'cat /srv/d/f; chmod 4711 /srv/d/f; chmod 2750 /srv/d; rm /usr/share/data/2; ln -s d/f /srv/link'
	podman cp ctr:/srv - | tar -tv | awk '{ print $1, $6, $8 }' | sort >"$BATS_TEST_TMPDIR/running"
	grep -qx -- '-rws--x--x srv/d/f ' "$BATS_TEST_TMPDIR/running"
	grep -qx -- 'drwxr-s--- srv/d/\? ' "$BATS_TEST_TMPDIR/running"
	grep -qx -- 'lrwxrwxrwx srv/link d/f' "$BATS_TEST_TMPDIR/running"
	# Of the image, and without what is gone.
	assert_equal "$(podman cp ctr:/usr/share/data - | tar -t | grep -cx 'data/[23]')" 1
	podman create -q --name other base:1 sh -c 'stat -c "%n %a" /copied/d/f /copied/d; cat /copied/link' >/dev/null
	podman cp ctr:/srv other:/copied
	podman stop -t 0 ctr >/dev/null
	podman cp ctr:/srv - | tar -tv | awk '{ print $1, $6, $8 }' | sort | diff "$BATS_TEST_TMPDIR/running" -
	run podman start -a other
	assert_status 0
	assert_equal "$output" $'/copied/d/f 4711\n/copied/d 2750\nin'
}
