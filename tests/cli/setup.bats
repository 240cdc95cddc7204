# SPDX-License-Identifier: Apache-2.0
# nacre setup: the configuration of other programs.  tests/podman/setup.bats has podman read it.

# shellcheck disable=SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/cli

setup() {
	setup_store
	export CONTAINERS_STORAGE_CONF=$BATS_TEST_TMPDIR/etc/storage.conf
}

# The program as the file has it.
program() { sed -n 's/^mount_program = "\(.*\)"$/\1/p' "$CONTAINERS_STORAGE_CONF"; }

@test "setup podman prints a new file and writes none" {
	run --separate-stderr nacre setup podman
	assert_status 0
	assert_output_has "# $CONTAINERS_STORAGE_CONF"
	assert_output_has $'[storage]\ndriver = "overlay"'
	assert_output_has $'[storage.options.overlay]\nmount_program = "'"$(realpath "$NACREFS")"'"'
	[ ! -e "$CONTAINERS_STORAGE_CONF" ]
	[ ! -e "$NACRE_STORE" ]
}

@test "--write makes the file with its folder, and is content the second time" {
	run --separate-stderr nacre setup --write podman
	assert_status 0
	assert_equal "$output" "$CONTAINERS_STORAGE_CONF"
	assert_equal "$(program)" "$(realpath "$NACREFS")"
	cp -p "$CONTAINERS_STORAGE_CONF" "$BATS_TEST_TMPDIR/before"
	run --separate-stderr nacre setup -w podman
	assert_status 0
	assert_equal "$output" ""
	[ ! "$CONTAINERS_STORAGE_CONF" -nt "$BATS_TEST_TMPDIR/before" ]
	assert_equal "$(ls "$BATS_TEST_TMPDIR/etc")" storage.conf
}

# edited BEFORE AFTER: what --write makes of a file; @ stands for the driver.
edited() {
	mkdir -p "$BATS_TEST_TMPDIR/etc"
	printf '%s' "$1" >"$CONTAINERS_STORAGE_CONF"
	chmod 640 "$CONTAINERS_STORAGE_CONF"
	nacre setup --write podman 2>/dev/null
	diff "$CONTAINERS_STORAGE_CONF" <(printf '%s' "$2" | sed "s|@|mount_program = \"$(realpath "$NACREFS")\"|")
	assert_equal "$(stat -c %a "$CONTAINERS_STORAGE_CONF")" 640
}

@test "what a file says already stays, and the program goes where it belongs" {
	edited $'# mine\n[storage]\ndriver = "overlay" # yes\n\n[storage.options.overlay]\nmount_program = "/old"\nmountopt = "nodev"\n' \
		$'# mine\n[storage]\ndriver = "overlay" # yes\n\n[storage.options.overlay]\n@\nmountopt = "nodev"\n'
	edited $'[storage]\ngraphroot = "/x"\n[ storage.options.overlay ]\n# mount_program = "/none"\nmountopt = "a"\n[other]\nmount_program = "o"\n' \
		$'[storage]\ngraphroot = "/x"\n[ storage.options.overlay ]\n@\n# mount_program = "/none"\nmountopt = "a"\n[other]\nmount_program = "o"\n'
	edited $'[storage]\ndriver = "overlay"' $'[storage]\ndriver = "overlay"\n\n[storage.options.overlay]\n@\n'
	edited '' $'\n[storage.options.overlay]\n@\n'
}

@test "a link to the file stays a link" {
	mkdir -p "$BATS_TEST_TMPDIR/etc"
	echo '[storage]' >"$BATS_TEST_TMPDIR/real"
	ln -s ../real "$CONTAINERS_STORAGE_CONF"
	nacre setup --write podman
	[ -L "$CONTAINERS_STORAGE_CONF" ]
	grep -q mount_program "$BATS_TEST_TMPDIR/real"
}

@test "the storage of another driver is refused, and the file left alone" {
	mkdir -p "$BATS_TEST_TMPDIR/etc"
	printf '[storage]\n  driver="vfs"\n' >"$CONTAINERS_STORAGE_CONF"
	assert_refused "its driver is vfs" nacre setup podman
	assert_refused "its driver is vfs" nacre setup --write podman
	assert_equal "$(cat "$CONTAINERS_STORAGE_CONF")" $'[storage]\n  driver="vfs"'
}

@test "a file that cannot be read or written is an error" {
	mkdir -p "$CONTAINERS_STORAGE_CONF"
	assert_refused "cannot read" nacre setup podman
	rmdir "$CONTAINERS_STORAGE_CONF"
	rmdir "$BATS_TEST_TMPDIR/etc"
	touch "$BATS_TEST_TMPDIR/etc"
	assert_refused "etc/storage.conf" nacre setup --write podman
}

@test "what is missing is said: programs, and ranges of IDs" {
	run --separate-stderr env "PATH=$BATS_TEST_TMPDIR" NACREFS=/nowhere/nacrefs "$NACRE" setup podman
	assert_status 0
	[[ $stderr == *"nacrefs is missing"*"podman is missing"* ]] || fail "$stderr"
	if is_root; then
		run --separate-stderr setpriv --reuid=54321 --regid=54321 --clear-groups "$NACRE" setup podman
		[[ $stderr == *"/etc/subuid has no range for this user"*"/etc/subgid has no range"* ]] || fail "$stderr"
	else
		[[ $stderr == *"newuidmap is missing"*"newgidmap is missing"* ]] || fail "$stderr"
		[[ $stderr != *"no range"* ]] || fail "$stderr"
	fi
}

@test "without a name for the file it is the user's own, or the machine's" {
	unset CONTAINERS_STORAGE_CONF
	if is_root; then
		run --separate-stderr nacre setup podman
		assert_output_has '# /etc/containers/storage.conf'
	else
		XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/xdg nacre setup --write podman
		nacre setup --write podman
		cmp "$BATS_TEST_TMPDIR/xdg/containers/storage.conf" "$HOME/.config/containers/storage.conf"
		unset HOME
		assert_refused "HOME is not set" nacre setup podman
	fi
}

# What serve-layers shows, for the eyes of setup.
served() { mkdir -p "$1/images"; }

@test "--images adds an image store to what is there, once; without the folder nothing is written" {
	local dir=$BATS_TEST_TMPDIR/served
	served "$dir"
	nacre setup -w --images "$dir" podman
	assert_equal "$(grep -A 1 'storage.options]' "$CONTAINERS_STORAGE_CONF")" \
		$'[storage.options]\nadditionalimagestores = ["'"$dir/images"$'"]'
	# As they are shipped: a list on several lines, and an example in a comment.
	printf '[storage]\ndriver = "overlay"\n[storage.options]\n# additionalimagestores = ["%s"]\nadditionalimagestores = [\n  "/other",\n]\n' \
		"$dir/images" >"$CONTAINERS_STORAGE_CONF"
	nacre setup -w --images "$dir" podman
	assert_equal "$(sed -n 4,7p "$CONTAINERS_STORAGE_CONF")" \
		$'# additionalimagestores = ["'"$dir/images"$'"]\nadditionalimagestores = ["'"$dir/images"$'", \n  "/other",\n]'
	cp "$CONTAINERS_STORAGE_CONF" "$BATS_TEST_TMPDIR/before"
	nacre setup -w --images "$dir" podman
	cmp "$CONTAINERS_STORAGE_CONF" "$BATS_TEST_TMPDIR/before"
	# Podman would not start.
	assert_refused "$dir-missing/images: No such file or directory" nacre setup -w --images "$dir-missing" podman
	rmdir "$dir/images"
	assert_refused "nacre serve-layers" nacre setup -w --images "$dir" podman
	touch "$dir/images"
	assert_refused "$dir/images: Not a directory" nacre setup -w --images "$dir" podman
	cmp "$CONTAINERS_STORAGE_CONF" "$BATS_TEST_TMPDIR/before"
}

# has PROGRAM VERSION: an installed program, as far as setup sees it.
has() {
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\n[ "$*" = --version ] && echo "%s version %s"\n' "$1" "$2" >"$BATS_TEST_TMPDIR/bin/$1"
	chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

@test "--layers says which of the installed programs are too new to take layers" {
	local dir=$BATS_TEST_TMPDIR/served
	local -a setup=(env "PATH=$BATS_TEST_TMPDIR/bin:/usr/bin:/bin" "$NACRE" setup)
	served "$dir"
	has podman 4.3.1
	has buildah '1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)'
	has crio 1.30.9
	run --separate-stderr "${setup[@]}" --layers "$dir" podman
	assert_status 0
	[[ $stderr != *"takes no layers"* ]] || fail "$stderr"
	has podman 5.10.0
	has buildah 2.0
	has crio 1.31.0
	run --separate-stderr "${setup[@]}" --layers "$dir" podman
	assert_status 0
	[[ $stderr == *"podman 5.10 takes no layers from $dir: --images $dir gives"*"buildah 2.0 takes"*"crio 1.31 takes"* ]] || fail "$stderr"
	run --separate-stderr "${setup[@]}" --images "$dir" podman
	assert_status 0
	[[ $stderr != *"takes no layers"* ]] || fail "$stderr"
}

@test "--images that another user mounted are told" {
	served "$BATS_TEST_TMPDIR/served"
	run --separate-stderr nacre setup --images "$BATS_TEST_TMPDIR/served" podman
	[[ $stderr != *"another user"* ]] || fail "$stderr"
	rmdir "$BATS_TEST_TMPDIR/served/images"
	if is_root; then
		install -d -o 54321 "$BATS_TEST_TMPDIR/served/images"
	else
		ln -s /usr "$BATS_TEST_TMPDIR/served/images"
	fi
	run --separate-stderr nacre setup --images "$BATS_TEST_TMPDIR/served" podman
	assert_status 0
	[[ $stderr == *"shown by another user"* ]] || fail "$stderr"
}

@test "the units that come along are what systemd takes, and mount the folders that the manual names" {
	local whose unit dir
	for whose in system user; do
		unit=$NACRE_TOP/tools/nacre-layers.service.in dir=/var/lib/nacre-layers
		[ "$whose" = system ] || unit=$NACRE_TOP/tools/nacre-layers.user.service.in dir=%h/.local/share/nacre-layers
		sed "s|@bindir@|${NACRE%/*}|" "$unit" >"$BATS_TEST_TMPDIR/nacre-layers.service"
		grep -qxF "ExecStart=$NACRE serve-layers $dir" "$BATS_TEST_TMPDIR/nacre-layers.service"
		grep -qxF "ExecStop=$NACRE umount $dir" "$BATS_TEST_TMPDIR/nacre-layers.service"
		command -v systemd-analyze >/dev/null || continue
		XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR run systemd-analyze "--$whose" --man=no verify "$BATS_TEST_TMPDIR/nacre-layers.service"
		assert_status 0
		[[ $output != *nacre-layers* ]] || fail "$output"
	done
}

@test "another program is not known" {
	assert_misused nacre setup
	assert_misused nacre setup docker
	assert_misused nacre setup podman docker
}
