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
	apt-config dump --format '%f "%v";%n' | grep -E '^Acquire::(http|https|ftp)::' >"$out.conf" || true
	local -a options=(--variant=minbase --quiet)
	for name in "$@"; do
		options+=("--include=$name")
	done
	[ ! -s "$out.conf" ] || options+=("--aptopt=$out.conf")
	mmdebstrap "${options[@]}" "$suite" "$out.part.tar" "$out.sources" >"$out.log" 2>&1 || return 1
	mv "$out.part.tar" "$out"
	rm -f "$out.sources" "$out.conf"
}

# debian_packages TREE DIR PACKAGE...: what these packages need beyond what TREE, such a root file system, has: their files
# come into DIR.  As root.
debian_packages() {
	local tree=$1 dir=$2
	shift 2
	mkdir -p "$dir"
	cp /etc/resolv.conf "$tree/etc/resolv.conf" 2>/dev/null || true
	apt-config dump --format '%f "%v";%n' | grep -E '^Acquire::(http|https|ftp)::' >"$tree/etc/apt/apt.conf.d/90way" || true
	{ chroot "$tree" apt-get -q update && chroot "$tree" apt-get -q -y --no-install-recommends -d install "$@"; } \
		>"$dir/log" 2>&1 || return 1
	mv "$tree"/var/cache/apt/archives/*.deb "$dir/"
}
