# SPDX-License-Identifier: Apache-2.0
# Faults of other mount programs that change images: each would show in what podman commits.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# commit NAME COMMANDS: run them in base:1, or in the image given third, and make the result image NAME.
commit() {
	podman run --name ctr "${3:-base:1}" sh -c "$2"
	podman commit -q ctr "$1" >/dev/null
	podman rm ctr >/dev/null
}

# fuse-overlayfs 1.10 to 1.16: looked up by name in a fresh mount, the files below an opaque directory are there again.
@test "a directory that was removed and made again has none of its old names, listed or not" {
	commit again:1 'cd /usr/share && rm -rf data && mkdir data && echo new >data/new && rm -rf /var && mkdir -p /var/www/deep'
	assert_equal "$(podman run --rm again:1 sh -c 'cd /usr/share/data; for name in 1 2 deep deep/er/file large one new; do
		test -e $name && echo $name; done; ls')" $'new\nnew'
	# A second layer on it is diffed against the first, by names.
	commit again:2 'touch /usr/share/data/newer' again:1
	assert_equal "$(podman diff again:2 | grep /usr | sort)" $'A /usr/share/data/newer\nC /usr\nC /usr/share\nC /usr/share/data'
	assert_equal "$(podman run --rm again:2 ls /usr/share/data)" $'new\nnewer'
	podman rmi -f again:1 again:2
}

# fuse-overlayfs 2.0: a whiteout in the middle is forgotten once a higher layer has the name again.
@test "a whiteout in a middle layer holds, whatever higher layers have of that name" {
	commit middle:1 'rm -r /usr/share/data /var'
	commit middle:2 'mkdir -p /usr/share/data/deep /var/log && echo 3 >/usr/share/data/deep/new' middle:1
	assert_equal "$(podman run --rm middle:2 find /usr/share/data /var | sort)" \
		$'/usr/share/data\n/usr/share/data/deep\n/usr/share/data/deep/new\n/var\n/var/log'
	commit middle:3 'rm -r /usr/share/data/deep && mkdir /usr/share/data/deep' middle:2
	assert_equal "$(podman run --rm middle:3 find /usr/share/data)" $'/usr/share/data\n/usr/share/data/deep'
	podman rmi -f middle:1 middle:2 middle:3
}

# fuse-overlayfs 2.0 too: at the root of the mount a directory made again gets no mark.
@test "directories at the root are removed and made again like others" {
	commit root:1 'rm -rf /usr /var /tmp && mkdir /usr /var && echo x >/usr/x'
	assert_equal "$(podman run --rm root:1 sh -c 'find /usr /var; test -e /tmp || echo no tmp')" \
		$'/usr\n/usr/x\n/var\nno tmp'
	podman rmi -f root:1
}

# fuse-overlayfs 2.0 once more: a hard link of a lower counts 1, so tar and podman take the names for files of their own.
@test "hard links of an image count their names, and stay links in what is exported" {
	assert_equal "$(in_base stat -c %h /usr/share/data/1 /usr/share/data/one)" $'2\n2'
	podman create --name ctr base:1 true
	export_listing ctr | grep 'usr/share/data/one .* usr/share/data/1 '
}

# fuse-overlayfs 1.16 made pipes with all permissions.
@test "the umask counts for everything that is made" {
	run in_base sh -c 'umask 027; cd /root; mkfifo p; mkdir d; touch f; stat -c "%n %a" p d f'
	assert_equal "$output" $'p 640\nd 750\nf 640'
}
