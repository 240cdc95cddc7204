#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# From a fresh clone to the main job: install, build, make a base image, and show import, mount, change, diff, commit and
# mount again, with every result checked.  The job works in a store of its own in a temporary folder; what stays is
# build/.  Started by root, the job runs as root and once more as a user without privilege.
#
# usage: tools/quickstart.sh [IMAGE-FILE]
#   IMAGE-FILE  a root file system's tar archive, an OCI image layout (folder or tar) or a docker archive, to be used
#               instead of a minimal Debian
set -euo pipefail

self=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)/${BASH_SOURCE[0]##*/}
top=${self%/tools/*}

say() { printf '%s\n' "$*"; }
title() { printf '\n== %s\n' "$*"; }
die() { printf 'quickstart: error: %s\n' "$*" >&2; exit 1; }

# Print a command as one would type it, and run it.
run() {
	local line='' word
	for word in "$@"; do
		[[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word=\'${word//\'/\'\\\'\'}\'
		line+=" $word"
	done
	printf '$%s\n' "$line"
	"$@"
}

# ---- the job: runs in an empty folder, with nacre in PATH, as whoever called it --------------------------------------

# A mount of which no file can have an xattr says so once, as a file system without them does: that is an empty list.
xattrs() {
	local unsupported=': Operation not supported$' errors
	errors=$(mktemp)
	find . \( -type f -o -type d -o -type l \) -print0 | LC_ALL=C sort -z |
		(xargs -0 -r getfattr --absolute-names -h -d -m - -e hex -- 2>"$errors" || grep -q "$unsupported" "$errors") |
		sed 's/^# file: /xattrs of /'
	if grep -v "$unsupported" "$errors" >&2; then
		rm -f -- "$errors"
		return 1
	fi
	rm -f -- "$errors"
}

# A tree as its user sees it: type, mode, owner, size, time in ns, links, target; devices; xattrs; content.  The size and
# the link count of a directory are the file system's own affair.
list_tree() (
	cd "$1"
	find . \( -type d -printf '%p %y %m %U %G - %T@ -\n' \
		-o -type l -printf '%p %y %m %U %G %s %T@ %n -> %l\n' \
		-o -type f -printf '%p %y %m %U %G %s %T@ %n\n' \
		-o -printf '%p %y %m %U %G - %T@ %n\n' \) | LC_ALL=C sort
	find . \( -type b -o -type c \) -exec stat -c 'device %n %t:%T' {} + | LC_ALL=C sort
	xattrs
	find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum --
)

compare() {
	if ! diff "$1" "$2" >difference; then
		head -n 40 difference >&2
		die "$3"
	fi
}

# Choose what the job changes: the first of the paths that is there and that nothing chosen before contains, else the
# first of all that find gives.  The answer is in $picked.
chosen=()
pick() {
	local test=$1 path old
	shift
	# A list, rather than a pipe: the search must be over when the changes begin.
	{
		printf '%s\n' "$@"
		if [ "$test" = -d ]; then
			find dir -mindepth 2 -type d ! -path 'dir/dev*' ! -empty -printf '%d %P\n' | sort -k1,1nr -k2 |
				cut -d ' ' -f 2-
		else
			find dir -mindepth 1 -type f -size -256k -printf '%P\n' | LC_ALL=C sort
		fi
	} >candidates
	picked=
	while IFS= read -r path; do
		if [ -L "dir/$path" ] || ! test "$test" "dir/$path"; then
			continue
		fi
		[ "$test" != -d ] || [ -n "$(ls -A "dir/$path")" ] || continue
		for old in "${chosen[@]}"; do
			[[ $old/ != "$path"/* && $path/ != "$old"/* ]] || continue 2
		done
		picked=$path
		break
	done <candidates
	[ -n "$picked" ] || die "the image has too few files to show the job on"
	chosen+=("$picked")
}

json_layers() {
	python3 -c 'import json, sys; print("\n".join(json.load(sys.stdin)[0]["RootFS"]["Layers"]))'
}

expect_line() {
	grep -qxF -- "$1" diff.txt || die "nacre diff does not say: $1"
}

job() {
	local kind=$1 image=$2 package=$3 ref edited gone gone_dir dir_to_file file_to_dir mode_file owner_file id base_count lines
	mkdir dir dir2

	if [ "$kind" = rootfs ]; then
		run nacre import "$image" base:1
	else
		run nacre load "$image" | tee loaded.txt
		ref=$(sed -n 's/^Loaded image\( ID\)\?: //p' loaded.txt | head -n 1)
		[ -n "$ref" ] || die "nacre load named no image"
		run nacre tag "$ref" base:1
	fi
	run nacre images
	nacre inspect base:1 | json_layers >base.layers

	# For the end: the base image must be then what it is now.
	nacre mount base:1 dir2
	list_tree dir2 >base.before
	nacre umount dir2

	run nacre mount --rw base:1 dir
	run dpkg-deb -x "$package" dir
	if [ "$(id -u)" = 0 ] && [ -e dir/var/lib/dpkg/status ]; then
		run dpkg --root=dir --install "$package"
	fi
	pick -f etc/passwd etc/group
	edited=$picked
	pick -f etc/issue.net etc/issue
	gone=$picked
	pick -d usr/share/doc/base-files usr/share/doc/dpkg
	gone_dir=$picked
	pick -d usr/share/doc/libc6 usr/share/doc/bash
	dir_to_file=$picked
	pick -f etc/debian_version etc/os-release
	file_to_dir=$picked
	pick -f etc/shells etc/host.conf
	mode_file=$picked
	pick -f etc/nsswitch.conf etc/profile
	owner_file=$picked
	run sed -i '1i # edited inside the mount' "dir/$edited"
	run rm "dir/$gone"
	run rm -r "dir/$gone_dir"
	run rm -r "dir/$dir_to_file"
	run touch "dir/$dir_to_file"
	run rm "dir/$file_to_dir"
	run mkdir "dir/$file_to_dir"
	run cp -a "dir/$edited" "dir/$file_to_dir/copy"
	run chmod 4750 "dir/$mode_file"
	run chown 1234:5678 "dir/$owner_file"
	run ln -s "${edited##*/}" "dir/$edited.symlink"
	run ln "dir/$edited" "dir/$edited.hardlink"
	run setfattr -n user.quickstart -v yes "dir/$edited"

	run nacre diff dir | tee diff.txt | sed -n 1,30p
	lines=$(wc -l <diff.txt)
	[ "$lines" -le 30 ] || echo "# and $((lines - 30)) more"
	expect_line "D /$gone"
	expect_line "D /$gone_dir"
	expect_line "C /$edited"
	expect_line "C /$mode_file"
	expect_line "C /$owner_file"
	expect_line "A /$edited.hardlink"
	expect_line "A /$file_to_dir/copy"

	run nacre commit -m 'a package and some changes' -a 'quickstart' dir app:1
	run nacre history app:1
	nacre inspect app:1 >app.json
	say '$ nacre inspect app:1    # its layers'
	json_layers <app.json | tee app.layers
	base_count=$(wc -l <base.layers)
	head -n "$base_count" app.layers | cmp -s - base.layers || die "the layers of base:1 do not come first in app:1"
	[ "$(wc -l <app.layers)" = $((base_count + 1)) ] || die "app:1 does not have one layer more than base:1"
	say "# the $base_count of base:1 in their order, and one more: good"

	run nacre mount app:1 dir2
	say '# comparing dir and dir2: content, modes, owners, times, links, devices, xattrs'
	list_tree dir >dir.list
	list_tree dir2 >dir2.list
	compare dir.list dir2.list "app:1 does not hold what was committed (< dir, > dir2)"
	say "# the same in all: $(find dir2 | wc -l) files and directories"
	if (: >dir2/written) 2>/dev/null; then
		die "dir2 could be written to"
	fi
	run nacre umount dir2
	run nacre umount dir

	nacre mount base:1 dir2
	list_tree dir2 >base.after
	nacre umount dir2
	compare base.before base.after "the base image has changed (< before, > after)"
	nacre inspect base:1 | json_layers | cmp -s - base.layers || die "the base image has other layers than before"
	say '# base:1 is what it was before'
	run nacre ps -a
	id=$(nacre ps -a -q | head -n 1)
	run nacre rm "$id"
	run nacre images
}

if [ "${1:-}" = --job ]; then
	shift
	job "$@"
	exit 0
fi

# ---- the frame: runs once -------------------------------------------------------------------------------------------

case ${1:-} in
-h | --help)
	sed -n '4,11s/^# \{0,1\}//p' "$self"
	exit 0
	;;
-*) die "unknown option: $1" ;;
esac
[ $# -le 1 ] || die "one image file at most"
given=
if [ $# = 1 ]; then
	[ -e "$1" ] || die "no such image file: $1"
	given=$(realpath -- "$1")
fi

temp=
stage=preparing
cleanup() {
	local status=$? point
	trap - EXIT
	if [ -n "$temp" ]; then
		awk -v prefix="$temp/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo | tac |
			while IFS= read -r point; do
				umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null ||
					umount -l "$point" 2>/dev/null || fusermount3 -uz "$point" 2>/dev/null || true
			done
		# Never into a mount that would not go.
		if ! grep -qF " $temp/" /proc/self/mountinfo; then
			chmod -R u+rwX "$temp" 2>/dev/null || true
			rm -rf -- "$temp"
		fi
	fi
	if [ "$status" != 0 ]; then
		printf '\nquickstart: FAILED while %s\n' "$stage" >&2
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

title "install"
stage="installing what is missing"
"$top/tools/setup.sh" --build

title "build"
stage="building"
build=$top/build
if [ ! -e "$build/build.ninja" ]; then
	mkdir -p "$build"
	meson setup "$build" "$top" -Dtests=false >"$build/setup.log" 2>&1 || { tail -n 30 "$build/setup.log" >&2; exit 1; }
fi
ninja -C "$build" >"$build/ninja.log" 2>&1 || { tail -n 60 "$build/ninja.log" >&2; exit 1; }
say "build/tools/nacre: $("$build/tools/nacre" --version)"

temp=$(mktemp -d "${TMPDIR:-/tmp}/nacre-quickstart.XXXXXX")
temp=$(cd "$temp" && pwd -P)
chmod 755 "$temp"
cache=$build/quickstart
mkdir -p "$cache"

title "base image"
stage="making the base image"
kind=rootfs
make_rootfs() {
	local to=$1 suite
	# shellcheck disable=SC1091
	suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
	"$top/tools/setup.sh" --sources >"$temp/distribution.sources"
	# The machine's way to its mirror, which the new tree does not know by itself.
	apt-config dump --format '%f "%v";%n' | grep -E '^Acquire::(http|https|ftp)::' >"$temp/network.conf" || true
	local -a command=(mmdebstrap --variant=essential --quiet)
	[ ! -s "$temp/network.conf" ] || command+=("--aptopt=$temp/network.conf")
	command+=("$suite" "$temp/rootfs.tar" "$temp/distribution.sources")
	if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null; then
		command=(sudo "${command[@]}")
	fi
	run "${command[@]}"
	# Whole or not at all: a second run takes what it finds.
	cp "$temp/rootfs.tar" "$to.part"
	mv "$to.part" "$to"
	rm -f "$temp/rootfs.tar"
}
if [ -n "$given" ]; then
	image=$given
	if [ -d "$given" ]; then
		[ -e "$given/oci-layout" ] || die "$given is a folder, but no OCI image layout"
		kind=layout
	# Reading to the end: a reader that stops early would end tar by a signal.
	elif tar -tf "$given" 2>/dev/null | grep -xE '(\./)?(oci-layout|manifest\.json)' >/dev/null; then
		kind=layout
	fi
	say "given: $given"
else
	image=$cache/rootfs-$(dpkg --print-architecture).tar
	if [ -s "$image" ]; then
		say "from an earlier run: ${image#"$top"/}"
	else
		make_rootfs "$image"
	fi
fi

stage="downloading a package"
package=$(find "$cache" -name 'hello_*.deb' -o -name 'less_*.deb' | head -n 1)
if [ -z "$package" ]; then
	for name in hello less nano; do
		if (cd "$cache" && apt-get -q download "$name") >"$cache/download.log" 2>&1; then
			package=$(find "$cache" -name "${name}_*.deb" | head -n 1)
			break
		fi
	done
	[ -n "$package" ] || { cat "$cache/download.log" >&2; die "no package could be downloaded; run apt-get update"; }
fi

# The clone may be where another user cannot look: the job gets copies.
mkdir "$temp/bin" "$temp/data"
cp "$build/tools/nacre" "$build/fs/nacrefs" "$self" "$temp/bin/"
cp -r --reflink=auto -- "$image" "$package" "$temp/data/"
chmod -R a+rX "$temp/bin" "$temp/data"
image=$temp/data/${image##*/}
package=$temp/data/${package##*/}

done_as=()
run_job() {
	local who=$1
	shift
	title "the main job, as $who"
	stage="doing the main job as $who"
	local home=$temp/$who
	mkdir -p "$home/job"
	[ "$#" = 0 ] || chown -R "$who": "$home"
	(
		cd "$home/job"
		ln -s "$image" "$package" .
		exec env -u XDG_RUNTIME_DIR -u XDG_DATA_HOME "PATH=$temp/bin:$PATH" "HOME=$home" "NACRE_STORE=$home/store" \
			"NACREFS=$temp/bin/nacrefs" "$@" bash "$temp/bin/${self##*/}" --job "$kind" "${image##*/}" \
			"${package##*/}"
	)
	done_as+=("$who")
}

me=$(id -un)
run_job "$me"
if [ "$(id -u)" = 0 ]; then
	# Whoever called sudo, or else the user that owns nothing: it needs a name, because fusermount3 asks for one.
	other=${SUDO_USER:-nobody}
	[ "$other" != root ] || other=nobody
	run_job "$other" setpriv "--reuid=$(id -u "$other")" "--regid=$(id -g "$other")" --init-groups --inh-caps=-all
fi

title "done"
say "imported, mounted, changed, committed and mounted again as: ${done_as[*]}"
say "every comparison was equal, and the base image is unchanged"
say "the programs: build/tools/nacre and build/fs/nacrefs; see build/tools/nacre --help"
