# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Root file systems of Debian, from where this machine takes its own packages.  $NACRE_TOP is the clone.

# debian_tar OUT.tar [PACKAGE...]: a small one of this machine's release with these packages, whole or not at all.  What
# apt said is in OUT.tar.log.
debian_tar() {
	local out=$1 suite name
	shift
	# shellcheck disable=SC1091
	suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
	"$NACRE_TOP/tools/setup.sh" --sources >"$out.sources"
	# The machine's way to its mirror, which the new tree does not know by itself.
	debian_apt_way "$out.conf"
	local -a options=(--variant=minbase --quiet)
	for name in "$@"; do
		options+=("--include=$name")
	done
	[ ! -s "$out.conf" ] || options+=("--aptopt=$out.conf")
	mmdebstrap "${options[@]}" "$suite" "$out.part.tar" "$out.sources" >"$out.log" 2>&1 || return 1
	mv "$out.part.tar" "$out"
	rm -f "$out.sources" "$out.conf"
}

# debian_cached OUT.tar: the same without more packages, made once for all files that tests/run.sh runs.
debian_cached() {
	local out=$1 dir=${NACRE_TEST_CACHE:-${1%/*}}
	# As a plain user mmdebstrap works with IDs that may not pass through that user's own folders.
	{ flock 9 && { [ -s "$dir/debian.tar" ] || TMPDIR=${NACRE_TEST_CACHE:-/tmp} debian_tar "$dir/debian.tar"; }; } 9<"$dir" 3>&- 4>&- ||
		{ tail -n 20 "$dir/debian.tar.log" >&2; return 1; }
	[ "$dir/debian.tar" = "$out" ] || ln -sf "$dir/debian.tar" "$out"
}

# debian_apt_way FILE: what a container of it needs in /etc/apt/apt.conf.d to reach the machine's mirror as the machine does.
debian_apt_way() {
	apt-config dump --format '%f "%v";%n' | grep -E '^Acquire::(http|https|ftp)::' >"$1" || true
}

# debian_debs: sets $DEBS to a folder with one for each of the sets below, named after its first package, with the files
# that the set needs beyond debian:1, an image of podman of what debian_cached makes.  Once for all files that tests/run.sh runs.
debian_debs() {
	local dir=${NACRE_TEST_CACHE:-$BATS_FILE_TMPDIR}
	DEBS=$dir/debs
	export DEBS
	{ flock 9 && { [ -d "$DEBS" ] || fetch_debs "$DEBS.part" apache2 nginx-light 'gcc git libc6-dev make postgresql sqlite3'; }; } 9<"$dir" ||
		{ tail -n 20 "$DEBS.part/log" >&2; return 1; }
}

# fetch_debs DIR.part SET...
fetch_debs() {
	local part=$1
	shift
	rm -rf "$part"
	mkdir "$part"
	debian_apt_way "$part/way.conf"
	# What apt does as a user of its own would leave files here that a plain user cannot remove.
	# shellcheck disable=SC2016
	podman run --rm --network host -v "$part:/debs" -v "$part/way.conf:/etc/apt/apt.conf.d/90way" debian:1 sh -ec 'umask 022
		apt-get -q update
		for set; do
			name=${set%% *}
			mkdir -p "/debs/$name/partial"
			apt-get -q -y --no-install-recommends -d -o APT::Sandbox::User=root -o "Dir::Cache::archives=/debs/$name" install $set
		done' sh "$@" >"$part/log" 2>&1 9>&- && mv "$part" "${part%.part}"
}

# debian_packages TREE DIR PACKAGE...: what these packages need beyond what TREE, such a root file system, has: their files
# come into DIR.  As root.
debian_packages() {
	local tree=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	cp /etc/resolv.conf "$tree/etc/resolv.conf" 2>/dev/null || true
	debian_apt_way "$tree/etc/apt/apt.conf.d/90way"
	{ chroot "$tree" apt-get -q update && chroot "$tree" apt-get -q -y --no-install-recommends -d install "$@"; } \
		>"$dir/log" 2>&1 || return 1
	mv "$tree"/var/cache/apt/archives/*.deb "$dir/"
}
