#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compare nacrefs with its peers in one run: the file system below, kernel overlayfs (as root), fuse-overlayfs, and nacrefs
# with directories and with an image of the store as lowers; then the import of an image with tar, umoci and podman.
# The peers are mounted together and take turns at each row, so that a disturbance meets all of them alike; each round
# has fresh uppers.  What is printed for a row is the least of its rounds: noise only adds.
#
# usage: tests/bench/run.sh [OPTION...]
#   --quick           fewer files and rounds: under 90 s rather than under 6 minutes
#   --tmpfs           uppers on a tmpfs, where no journal hides what a file system adds of its own
#   --peer NAME=PATH  also a program that takes fuse-overlayfs's command line; may be repeated
#   --rows REGEX      only the rows whose name, the first word of a line of the list below, matches
#   --json FILE       all samples too
#   --dir DIR         where to work, on the file system to be measured: $TMPDIR or /tmp unless told
#   --build DIR       the programs of this build folder; otherwise build-bench is made and built, optimised
#   --image FILE      the tar archive to import: the quickstart's base image unless told, else some real files
# environment:
#   NACRE_SETUP=0     install nothing
# shellcheck disable=SC2317
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=${here%/tests/bench}
export LC_ALL=C

# name | unit | what it says in the table
rows='
mount         | ms | mount of an empty upper, until ready
find-fresh    | us | find -printf, first walk of a fresh mount, per entry
find-warm     | us | find -printf, warm, per entry
find-cold     | us | find -printf, after drop_caches 2, per entry
stat          | us | stat of 2,000 small files, warm
open          | us | open+close of them, warm
read          | us | open+read+close of them, warm
seqread       | us | sequential read of 1 MiB, not yet in the cache of the mount
seqread-warm  | us | sequential read of 1 MiB, again
create        | us | create+write+close of 4 KiB files
rename        | us | rename of them in their directory
unlink        | us | unlink of them
mkdir         | us | mkdir
rmdir         | us | rmdir
symlink       | us | symlink
pwrite        | us | pwrite of 4 KiB over a file
append        | us | pwrite of 4 KiB to a new file, fdatasync at its end
write         | us | sequential write of 1 MiB to a new file
untar         | us | untar of real files, per entry
rm            | us | rm -rf of them, per entry
rm-lower      | us | rm -rf of lower files, per entry
'
import_rows='
import        | ms | plain tar
import-gzip   | ms | gzip
import-layout | ms | OCI layout, one gzip layer
'

say() { printf '%s\n' "$*" >&2; }
die() { printf 'bench: error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '9,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }
is_root() { [ "$(id -u)" = 0 ]; }

quick='' tmpfs='' json='' filter=. build='' image='' parent=${TMPDIR:-/tmp}
declare -A program=()
peers=()
given=()

add_peer() {
	local name=${1%%=*} path=${1#*=}
	if ! [[ $1 == *=* && $name =~ ^[A-Za-z0-9._-]+$ ]]; then
		die "--peer wants NAME=PATH, not $1"
	fi
	path=$(command -v -- "$path") || die "no such program: ${1#*=}"
	given+=("$name")
	program[$name]=$(realpath -- "$path")
}

while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes ;;
	--tmpfs) tmpfs=yes ;;
	--help | -h) usage; exit 0 ;;
	--peer | --rows | --json | --dir | --build | --image)
		if [ $# -lt 2 ]; then
			usage >&2
			exit 2
		fi
		case $1 in
		--peer) add_peer "$2" ;;
		--rows) filter=$2 ;;
		--json) json=$(realpath -- "$2") ;;
		--dir) parent=$2 ;;
		--build) build=$(realpath -- "$2") ;;
		--image) image=$(realpath -- "$2") ;;
		esac
		shift
		;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

if [ -n "$quick" ]; then
	rounds=3 heavy_rounds=1 import_rounds=1 passes=10
	wide_entries=4000 tree_entries=1500 big_bytes=$((64 << 20))
else
	rounds=6 heavy_rounds=3 import_rounds=3 passes=20
	wide_entries=20000 tree_entries=6000 big_bytes=$((128 << 20))
fi
small_files=2000
small_bytes=2048
pwrite_bytes=$((8 << 20))

# ---- a folder of our own, and its end --------------------------------------------------------------------------------

work=$(mktemp -d "$parent/nacre-bench.XXXXXX")
work=$(cd "$work" && pwd -P)
chmod 755 "$work"
up=$work/up

mounts_below() {
	awk -v prefix="$1/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo | tac
}

unmount() {
	local try
	for try in 1 2 3 4 5; do
		if is_root; then
			umount "$1" 2>/dev/null && return 0
		else
			fusermount3 -u "$1" 2>/dev/null && return 0
		fi
		sleep "0.$try"
	done
	say "bench: warning: $1 is busy; unmounting it lazily"
	umount -l "$1" 2>/dev/null || fusermount3 -uz "$1" 2>/dev/null || true
}

remove() {
	# The work folders of overlayfs come without any permission.
	is_root || find "$@" -type d ! -perm -700 -exec chmod 700 {} + 2>/dev/null || true
	rm -rf --one-file-system -- "$@"
}

cleanup() {
	local status=$? point
	trap - EXIT
	# Whatever fails, the rest is still to be done.
	set +e
	for point in $(mounts_below "$work"); do
		unmount "$point"
	done
	[ -n "$(mounts_below "$work")" ] || remove "$work"
	if [ "$up" != "$work/up" ]; then
		remove "$up"
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- programs --------------------------------------------------------------------------------------------------------

make_programs() {
	local log=$work/build.log
	[ "${NACRE_SETUP:-1}" = 0 ] || "$top/tools/setup.sh" --build --bench >&2
	if [ -z "$build" ]; then
		build=$top/build-bench
		if [ ! -e "$build/build.ninja" ]; then
			# Warnings are for those who change the code: this asks for the optimiser's own set of them.
			meson setup "$build" "$top" --buildtype=release >"$log" 2>&1 ||
				{ tail -n 30 "$log" >&2; die "meson setup failed"; }
		fi
		ninja -C "$build" fs/nacrefs tools/nacre tests/bench/nacre-bench >"$log" 2>&1 ||
			{ tail -n 60 "$log" >&2; die "the build failed"; }
	fi
	bench=$build/tests/bench/nacre-bench
	nacre=$build/tools/nacre
	nacrefs=$build/fs/nacrefs
	for name in "$bench" "$nacre" "$nacrefs"; do
		[ -x "$name" ] || die "no program $name"
	done
}

choose_peers() {
	peers=(native)
	if is_root; then
		peers+=(overlayfs)
	fi
	if program[fuse-overlayfs]=$(command -v fuse-overlayfs); then
		peers+=(fuse-overlayfs)
	else
		say "bench: no fuse-overlayfs on this machine: left out"
	fi
	peers+=("${given[@]}")
	program[nacrefs]=$nacrefs
	peers+=(nacrefs nacrefs-store)
}

# ---- what is measured on ---------------------------------------------------------------------------------------------

# The first $1 entries of what most machines have, without what an ordinary user cannot read.
real_files() {
	(cd / && find usr/include usr/share -xdev \
		! -type l \( ! -readable -o -type d ! -executable \) -prune -o \
		\( -type d -o -type l -o -type f -size -512k \) -print) | sort | sed -n "1,$1p"
}

make_lowers() {
	mkdir "$work/lower" "$work/lower/small" "$work/lower/wide" "$work/mnt" "$up"
	real_files "$wide_entries" >"$work/wide.list"
	real_files "$tree_entries" >"$work/tree.list"
	# The lists may be shorter than asked for.
	wide_entries=$(wc -l <"$work/wide.list")
	tree_entries=$(wc -l <"$work/tree.list")
	tar -C / --no-recursion -c -f "$work/wide.tar" -T "$work/wide.list"
	tar -C / --no-recursion -c -f "$work/tree.tar" -T "$work/tree.list"
	tar -C "$work/lower/wide" -xf "$work/wide.tar"
	"$bench" -n "$small_files" -s "$small_bytes" "$work/lower/small" make >/dev/null
	"$bench" -s "$big_bytes" "$work/lower" makebig >/dev/null
	mkdir "$work/lower/tree"
	tar -C "$work/lower/tree" -xf "$work/tree.tar"

	if [ -n "$tmpfs" ]; then
		if is_root; then
			mount -t tmpfs tmpfs "$up"
		else
			up=$(mktemp -d /dev/shm/nacre-bench.XXXXXX)
		fi
	fi
	export NACRE_STORE=$work/store
	export NACREFS=$nacrefs
	if ! tar -C "$work/lower" -c . | "$nacre" import - bench:1 >/dev/null; then
		say "bench: the lowers could not be imported: nacrefs-store is left out"
		failed=1
		peers=("${peers[@]/nacrefs-store/}")
	fi
	sync -f "$work"
}

mount_command() {
	local peer=$1
	local upper="upperdir=$up/$peer/upper,workdir=$up/$peer/work"
	case $peer in
	overlayfs) command=(mount -t overlay overlay -o "lowerdir=$work/lower,$upper" "$work/mnt/$peer") ;;
	nacrefs-store) command=("$nacrefs" -o "store=$NACRE_STORE,image=bench:1,$upper" "$work/mnt/$peer") ;;
	*) command=("${program[$peer]}" -o "lowerdir=$work/lower,$upper" "$work/mnt/$peer") ;;
	esac
}

# Where a peer shows the lowers, and where it writes.
read_dir() { if [ "$1" = native ]; then echo "$work/lower"; else echo "$work/mnt/$1"; fi; }
write_dir() { if [ "$1" = native ]; then echo "$up/native"; else echo "$work/mnt/$1"; fi; }

# ---- samples ---------------------------------------------------------------------------------------------------------

failed=0
declare -A out=()

# sample ROW[,ROW...] PEER DIR [OPTION...] OPERATION [-- COMMAND...]: a row for each line that the operation prints
sample() {
	local row peer=$2 dir=$3 line
	local -a names lines
	IFS=, read -ra names <<<"$1"
	shift 3
	if [ -n "${out[$peer]:-}" ]; then
		return
	fi
	local -a options=()
	while [[ $1 == -* ]]; do
		options+=("$1" "$2")
		shift 2
	done
	if timeout --kill-after=5 120 "$bench" "${options[@]}" "$dir" "$@" >"$work/lines" 2>"$work/error"; then
		mapfile -t lines <"$work/lines"
	else
		say "bench: ${names[*]} on $peer failed: $(tail -n 3 "$work/error" | tr '\n' ' ')"
		lines=()
		failed=1
	fi
	for row in "${!names[@]}"; do
		line=${lines[row]:-failed}
		printf '%s\t%s\t%s\n' "${names[row]}" "$peer" "${line##*$'\t'}" >>"$work/samples"
	done
}

# wanted ROW[,ROW...]
wanted() {
	local row
	for row in ${1//,/ }; do
		[[ ! $row =~ $filter ]] || return 0
	done
	return 1
}

# in_turn ROW[,ROW...] WHERE [OPTION...] OPERATION...: one sample for each peer, another one first in each round
in_turn() {
	local row=$1 where=$2 peer i
	shift 2
	if ! wanted "$row"; then
		return
	fi
	for ((i = 0; i < ${#peers[@]}; i++)); do
		peer=${peers[(i + round) % ${#peers[@]}]}
		before "$row" "$peer" || continue
		sample "$row" "$peer" "$("$where" "$peer")" "$@"
	done
}

# What a row needs of the state before it, untimed.  Return: 1 where the row says nothing about the peer.
before() {
	local row=$1 peer=$2
	case $row in
	find-fresh) [ "$peer" != native ] ;;
	find-cold) sync -f "$work" && echo 2 >/proc/sys/vm/drop_caches ;;
	append | write | untar | rm | rm-lower) sync -f "$up" ;;
	esac
}

mount_all() {
	local peer
	mkdir -p "$up/native/new"
	for peer in "${peers[@]}"; do
		[ "$peer" != native ] || continue
		mkdir -p "$up/$peer/upper" "$up/$peer/work" "$work/mnt/$peer"
		mount_command "$peer"
		sample mount "$peer" / -n 1 run -- "${command[@]}"
		if ! mountpoint -q "$work/mnt/$peer" || ! mkdir "$work/mnt/$peer/new"; then
			say "bench: $peer is left out: it does not mount, or nothing can be made there"
			out[$peer]=yes
			failed=1
		fi
	done
}

unmount_all() {
	local point
	for point in $(mounts_below "$work/mnt"); do
		unmount "$point"
	done
	remove "$up"/*
}

light_rows() {
	local -a walk=(find wide -printf '%p %s %T@ %m\n')
	in_turn find-fresh read_dir -n "$wide_entries" run -- "${walk[@]}"
	in_turn find-warm read_dir -n "$wide_entries" run -- "${walk[@]}"
	in_turn find-warm read_dir -n "$wide_entries" run -- "${walk[@]}"
	if is_root; then
		in_turn find-cold read_dir -n "$wide_entries" run -- "${walk[@]}"
	fi
	in_turn stat small_dir -n "$small_files" -p "$passes" stat
	in_turn open small_dir -n "$small_files" -p "$passes" open
	in_turn read small_dir -n "$small_files" -p "$passes" read
	in_turn seqread read_dir seqread
	in_turn seqread-warm read_dir seqread
	in_turn create,rename,unlink new_dir -n "$small_files" files
	in_turn mkdir,rmdir new_dir -n "$small_files" dirs
	in_turn symlink new_dir -n "$small_files" symlinks
	in_turn pwrite new_dir -s "$pwrite_bytes" -p 3 pwrite
	in_turn append new_dir -s "$pwrite_bytes" append
	in_turn write new_dir -s "$big_bytes" write
}

small_dir() { echo "$(read_dir "$1")/small"; }
new_dir() { echo "$(write_dir "$1")/new"; }

heavy_rows() {
	in_turn untar new_dir -n "$tree_entries" run -- tar -xf "$work/tree.tar"
	if wanted untar; then
		in_turn rm new_dir -n "$tree_entries" run -- rm -rf usr
	fi
	if wanted rm-lower; then
		# What is below cannot be kept from its own removal: a copy.
		mkdir "$up/native/tree"
		tar -C "$up/native/tree" -xf "$work/tree.tar"
		in_turn rm-lower write_dir -n "$tree_entries" run -- rm -rf tree
	fi
}

# ---- import ----------------------------------------------------------------------------------------------------------

make_images() {
	if [ -z "$image" ]; then
		image=$(find "$top"/build*/quickstart -name 'rootfs-*.tar' -print -quit 2>/dev/null || true)
	fi
	if [ -z "$image" ]; then
		image=$work/wide.tar
	fi
	# In the same folder for all, and in the page cache.
	cp -- "$image" "$work/image.tar"
	image_text="${image##*/}, $(($(stat -c %s "$work/image.tar") >> 20)) MiB, $(tar -tf "$work/image.tar" | wc -l) entries"
	layout=$work/layout
	if command -v umoci >/dev/null && umoci init --layout "$layout" && umoci new --image "$layout:base" &&
		umoci raw add-layer --image "$layout:base" "$work/image.tar"; then
		# The layer is the largest blob, and it is a tar.gz.
		find "$layout/blobs/sha256" -type f -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2 |
			xargs -I '{}' ln '{}' "$work/image.tar.gz"
		tar -C "$layout" -cf "$work/layout.tar" .
	else
		layout=
		gzip <"$work/image.tar" >"$work/image.tar.gz"
	fi >"$work/umoci.log" 2>&1
}

# import_sample ROW COLUMN COMMAND...: into an empty folder, with nothing left to be written from before
import_sample() {
	local row=$1 column=$2
	shift 2
	wanted "$row" || return 0
	mkdir "$work/import"
	sync -f "$work"
	# A home of its own: podman keeps its network's configuration there.
	HOME=$work/import NACRE_STORE=$work/import/store sample "$row" "$column" "$work/import" -n 1 run -- "$@"
	if command -v podman >/dev/null && [ -d "$work/import/podman" ]; then
		# Its storage may be mounted on itself.
		local point
		for point in $(mounts_below "$work/import"); do
			unmount "$point"
		done
	fi
	remove "$work/import"
}

import_round() {
	local -a podman=(podman --root "$work/import/podman" --runroot "$work/import/podman-run" --storage-driver overlay)
	local -a unpack=(umoci unpack) tar=(tar)
	if ! is_root; then
		unpack+=(--rootless)
		# Nobody but root makes device nodes; umoci leaves them out by itself.
		tar+=(--exclude=dev/\*)
	fi
	# shellcheck disable=SC2016
	local synced='"$@" && sync -f .'
	import_sample import 'nacre' "$nacre" import -q "$work/image.tar" i:1
	import_sample import 'tar -x' "${tar[@]}" -xf "$work/image.tar"
	import_sample import 'tar -x, sync' sh -c "$synced" sh "${tar[@]}" -xf "$work/image.tar"
	import_sample import-gzip 'nacre' "$nacre" import -q "$work/image.tar.gz" i:1
	import_sample import-gzip 'tar -x' "${tar[@]}" -xzf "$work/image.tar.gz"
	[ -n "$layout" ] || return 0
	# The same file: what tar took for it holds here too.
	sed -n 's/^import-gzip\(\ttar -x\t\)/import-layout\1/p' "$work/samples" | tail -n 1 >"$work/lines"
	cat "$work/lines" >>"$work/samples"
	import_sample import-layout 'nacre' "$nacre" load -q "$layout"
	import_sample import-layout 'umoci unpack' "${unpack[@]}" --image "$layout:base" bundle
	if command -v podman >/dev/null; then
		import_sample import-layout 'podman load' "${podman[@]}" load -q -i "$work/layout.tar"
	fi
}

# ---------------------------------------------------------------------------------------------------------------------

version_of() { "$@" --version 2>/dev/null | sed -n '1s/^[^0-9]*//; 1s/[ ,-].*//; 1p'; }

describe() {
	local name
	printf 'machine\t%s cores, %s GiB, kernel %s, %s%s, %s\n' "$(nproc)" \
		"$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" \
		"$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')" "$(stat -f -c %T "$work" | sed 's,ext2/ext3,ext4,')" \
		"${tmpfs:+, uppers on tmpfs}" "$(if is_root; then echo 'as root'; else echo 'as an ordinary user'; fi)"
	printf 'versions\tnacrefs %s' "$("$nacrefs" --version | sed 's/^nacrefs //')"
	if [ -n "${program[fuse-overlayfs]}" ]; then
		printf ', fuse-overlayfs %s' "$(fuse-overlayfs --version 2>&1 | sed -n 's/^fuse-overlayfs: version //p')"
	fi
	for name in "${given[@]}"; do
		printf ', %s %s' "$name" "$(version_of "${program[$name]}")"
	done
	for name in tar umoci podman; do
		! command -v "$name" >/dev/null || printf ', %s %s' "$name" "$(version_of "$name")"
	done
	printf '\npeers\t%s\n' "${peers[*]}"
	printf 'image\t%s\n' "${image_text:-none}"
	printf 'sizes\t%s entries for find, %s for untar and rm; files of 1 MiB calls %s MiB\n' \
		"$wide_entries" "$tree_entries" $((big_bytes >> 20))
}

report() {
	describe >"$work/about"
	printf '%s' "$rows" | sed '/^$/d' >"$work/rows"
	printf '%s' "$import_rows" | sed '/^$/d' >"$work/import-rows"
	python3 "$here/report.py" "$work" ${json:+"$json"}
}

make_programs
choose_peers
say "bench: making the lowers"
make_lowers
mapfile -t peers < <(printf '%s\n' "${peers[@]}" | sed '/^$/d')
: >"$work/samples"
for ((round = 0; round < rounds; round++)); do
	say "bench: round $((round + 1)) of $rounds"
	mount_all
	light_rows
	if [ "$round" -lt "$heavy_rounds" ]; then
		heavy_rows
	fi
	unmount_all
done
if wanted import || wanted import-gzip || wanted import-layout; then
	say "bench: making the images"
	make_images
	for ((round = 0; round < import_rounds; round++)); do
		say "bench: import, round $((round + 1)) of $import_rounds"
		import_round
	done
fi
report
exit "$failed"
