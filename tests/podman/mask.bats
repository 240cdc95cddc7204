# SPDX-License-Identifier: Apache-2.0
# force_mask: all files on disk have one mode and one owner, what they are said to be is recorded beside them.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman 'force_mask = "0700"'; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

@test "with force_mask a container sees the image's owners and modes, and changes them" {
	run in_base stat -c '%n %F %a %u:%g' /etc/private /usr /bin/busybox /usr/share/link
	assert_equal "$output" "$(printf '%s\n' '/etc/private regular file 600 0:0' '/usr directory 755 0:0' \
		'/bin/busybox regular file 755 0:0' '/usr/share/link symbolic link 777 0:0')"
	# The higher bits get lost when podman itself unpacks the layer that a commit makes.
	run podman run --name ctr base:1 sh -c 'cd /usr/share/data && chown 33:33 1 && chmod 4711 1 && stat -c %a 1 && chmod 711 1 && chmod 640 2 && chown 33:33 2 &&
		mkdir d && chown 33:0 d && chmod 2770 d && stat -c %a d && chmod 770 d && echo x >new && chmod 751 new && mv 3 three &&
		chmod 600 deep && ln -s x sym'
	assert_equal "$output" $'4711\n2770'
	podman commit -q ctr masked:1 >/dev/null
	assert_no_marks masked:1
	assert_equal "$(podman run --rm masked:1 sh -c 'cd /usr/share/data && stat -c "%n %F %a %u:%g" 1 2 d new three deep sym')" \
		"$(printf '%s\n' '1 regular file 711 33:33' '2 regular file 640 33:33' 'd directory 770 33:0' \
			'new regular file 751 0:0' 'three regular file 644 0:0' 'deep directory 600 0:0' 'sym symbolic link 777 0:0')"
	podman rmi -f masked:1
}

# fuse-overlayfs 1.10 resets the owner with the second of them.
@test "chmod after chown keeps the owner, and chown after chmod the mode" {
	run in_base sh -c 'cd /usr/share/data; chown 33:33 4; chmod 600 4; chmod 640 5; chown 33:33 5; stat -c "%a %u:%g" 4 5'
	assert_equal "$output" $'600 33:33\n640 33:33'
}
