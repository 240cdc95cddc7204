#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compare nacrefs with its peers in one run on one machine: the file system below, kernel overlayfs (as root),
# fuse-overlayfs, unionfs-fuse and mergerfs; nacrefs with directories and with images of the store as lowers, as root and
# as an ordinary user, with io=passthrough and io_uring where there are such.  The peers are mounted together and take
# turns at each row, so that a disturbance meets all of them alike; each round has fresh uppers.  rows.txt has the rows.
#
# usage: tests/bench/run.sh [OPTION...]
#   --quick           less of everything: one round, about three minutes rather than thirty
#   --rounds N        N rounds of every row, rather than one to five: with 1 about twenty minutes
#   --tmpfs           uppers on a tmpfs, where no journal hides what a file system adds of its own
#   --loop            uppers on a new ext4 with a journal in a loop device, whatever file system is below (root)
#   --peer NAME=PATH  also a program that takes fuse-overlayfs's command line; may be repeated
#   --rows REGEX      only the rows whose name matches, by rows.txt
#   --peers REGEX     only the columns whose whole name matches
#   --variant NAME=OPTIONS  also nacrefs with these mount options, as the column nacrefs-NAME; may be repeated
#   --again NAME      that column once more, in the last place: what a place does to a figure; may be repeated
#   --goals           print also which goals are reached
#   --json FILE       all samples, too; report.py merges several such files
#   --results FILE    put the tables into FILE, between its marks
#   --svg FILE        a chart of the rows that it knows
#   --flame FILE      a flame graph of the rows asked for, client and driver, in one column (root); its figures are slower
#   --dir DIR         where to work, on the file system to be measured: $TMPDIR or /tmp unless told
#   --data DIR        keep the trees that are measured on there, for the next run
#   --prepare         only make these
#   --build DIR       the programs of this build folder; otherwise build-bench is made and built, optimised
#   --image FILE      the tar archive to import: the quickstart's base image unless told, else some real files
# environment:
#   NACRE_SETUP=0     install nothing
# shellcheck disable=SC2317
set -Eeuo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=${here%/tests/bench}
export LC_ALL=C

say() { printf '%s\n' "$*" >&2; }
die() { printf 'bench: error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '/^# usage/,/^# shellcheck/{/^# shellcheck/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }
is_root() { [ "$(id -u)" = 0 ]; }

# shellcheck source=tests/lib/uring.bash
. "$top/tests/lib/uring.bash"
# shellcheck source=tests/bench/lib/sample.sh
. "$here/lib/sample.sh"
# shellcheck source=tests/bench/lib/flame.sh
. "$here/lib/flame.sh"
# shellcheck source=tests/bench/lib/programs.sh
. "$here/lib/programs.sh"
# shellcheck source=tests/bench/lib/peers.sh
. "$here/lib/peers.sh"
# shellcheck source=tests/bench/lib/trees.sh
. "$here/lib/trees.sh"
# shellcheck source=tests/bench/lib/rows_files.sh
. "$here/lib/rows_files.sh"
# shellcheck source=tests/bench/lib/rows_data.sh
. "$here/lib/rows_data.sh"
# shellcheck source=tests/bench/lib/rows_image.sh
. "$here/lib/rows_image.sh"
# shellcheck source=tests/bench/lib/rows_load.sh
. "$here/lib/rows_load.sh"

groups='small names walk layers threads data tree diff big image import load'
declare -A rounds=([small]=3 [names]=5 [walk]=2 [layers]=2 [threads]=3 [data]=3 [tree]=2 [diff]=1 [big]=1 [image]=1
	[import]=2 [load]=2)

quick='' tmpfs='' loop='' json='' results='' svg='' flame='' goals='' filter=. only_peers='' only_rounds='' build='' image='' data=''
prepare_only='' parent=${TMPDIR:-/tmp}
again=()
variants=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=yes ;;
	--tmpfs) tmpfs=yes ;;
	--loop) loop=yes ;;
	--goals) goals=--goals ;;
	--prepare) prepare_only=yes ;;
	--help | -h) usage; exit 0 ;;
	--peer | --rows | --peers | --variant | --again | --rounds | --json | --results | --svg | --flame | --dir | --data | --build | --image)
		if [ $# -lt 2 ]; then
			usage >&2
			exit 2
		fi
		case $1 in
		--peer) add_given "$2" ;;
		--rows) filter=$2 ;;
		--peers) only_peers=$2 ;;
		--variant)
			[[ $2 =~ ^[A-Za-z0-9._-]+=. ]] || die "--variant wants NAME=OPTIONS, not $2"
			variants+=("$2")
			;;
		--again) again+=("$2") ;;
		--rounds) only_rounds=$2 ;;
		--json) json=$(realpath -- "$2") ;;
		--results) results=$(realpath -- "$2") ;;
		--svg) svg=$(realpath -- "$2") ;;
		--flame) flame=$(realpath -- "$2") ;;
		--dir) parent=$2 ;;
		--data) data=$(realpath -- "$2") ;;
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
	passes=4 turns=400 sample_timeout=60
	wide_entries=4000 tree_entries=1500 install_files=1500 layer_files=2000 diff_files=3000 million_files=20000
	big_bytes=$((32 << 20)) huge_bytes=$((64 << 20)) inserts=50 fio_calls=4000
	huge_files=64 project_folders=store
	layer_bytes=8000000 layer_entries=500 index_entries=20000
	repeats=1
else
	passes=20 turns=2000 sample_timeout=150
	wide_entries=60000 tree_entries=10000 install_files=20000 layer_files=20000 diff_files=90000 million_files=1000000
	big_bytes=$((128 << 20)) huge_bytes=$((1 << 30)) inserts=200 fio_calls=20000
	huge_files=256 project_folders='store tools'
	layer_bytes=220000000 layer_entries=10000 index_entries=1000000
	repeats=3 # samples a round takes of what can be had again in it
fi
small_files=2000
small_bytes=2048
pwrite_bytes=$((8 << 20))
fsync_bytes=$((inserts * 4096))
diff_changes=50

# ---- a folder of our own, and its end --------------------------------------------------------------------------------

work=$(mktemp -d "$parent/nacre-bench.XXXXXX")
work=$(cd "$work" && pwd -P)
chmod 755 "$work"
up=$work/up
data=${data:-$work/data}

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
	cd /
	for point in $(mounts_below "$work"); do
		unmount "$point"
	done
	uring_off
	[ -n "$(mounts_below "$work")" ] || remove "$work"
	if [ "$up" != "$work/up" ]; then
		remove "$up"
	fi
	exit "$status"
}
trap 'say "bench: error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_folder() {
	mkdir -p "$work/mnt" "$up" "$data" "$work/home"
	! is_root || chown "$bench_user:" "$work/home"
	if [ -n "$tmpfs" ]; then
		if is_root; then
			mount -t tmpfs tmpfs "$up"
		else
			up=$(mktemp -d /dev/shm/nacre-bench.XXXXXX)
		fi
	elif [ -n "$loop" ]; then
		is_root || die "--loop needs root"
		clear_uppers
	fi
	: >"$work/samples"
	: >"$work/requests"
	export NACRE_STORE=$data/store
}

# ---- what was measured, and on what ----------------------------------------------------------------------------------

version_of() { "$@" --version 2>&1 | sed -n '/[0-9]\.[0-9]/{s/^[^0-9]*//; s/[ ,-].*//; p; q}'; }
package_version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null | sed 's/-.*//'; }

# The distribution's package is for the distribution's own python, which may not be the first one.
find_matplotlib() {
	for chart_python in python3 /usr/bin/python3; do
		! "$chart_python" -c 'import matplotlib' 2>/dev/null || return 0
	done
	return 1
}

describe() {
	local name
	printf 'machine\t%s cores, %s GiB, %s%s%s\n' "$(nproc)" "$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" \
		"$(stat -f -c %T "$work" | sed 's,ext2/ext3,ext4,')" "${tmpfs:+, uppers on tmpfs}${loop:+, uppers on ext4 in a loop device}" \
		"$(if is_root; then echo ', as root'; else echo ', as an ordinary user'; fi)"
	printf 'kernel\tLinux %s\n' "$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')"
	printf 'versions\tnacrefs %s' "$("$nacrefs" --version | sed 's/^nacrefs //')"
	[ -z "${program[fuse-overlayfs]:-}" ] ||
		printf ', fuse-overlayfs %s' "$(fuse-overlayfs --version 2>&1 | sed -n 's/^fuse-overlayfs: version //p')"
	for name in "${given[@]}"; do
		printf ', %s %s' "$name" "$(version_of "${program[$name]}")"
	done
	for name in unionfs-fuse mergerfs; do
		[ -z "${program[$name]:-}" ] || printf ', %s %s' "$name" "$(package_version "$name")"
	done
	for name in tar git fio sqlite3 umoci skopeo podman buildah; do
		! command -v "$name" >/dev/null || printf ', %s %s' "$name" "$(version_of "$name")"
	done
	printf '\npeers\t%s\n' "${peers[*]}"
	printf 'image\t%s\n' "${image_text:-none}"
	printf 'packages\t%s\n' "${packages_text:-none}"
	printf 'sizes\tfind and grep %s entries, untar and rm %s, layers %s, install %s, NaiveDiff %s, the image %s; ' \
		"${wide_found:-none}" "${tree_found:-none}" "$layer_files" "$install_files" "$diff_files" "$million_files"
	printf 'files of the calls %s MiB, large lower files %s MiB\n' $((big_bytes >> 20)) $((huge_bytes >> 20))
}

report() {
	json=${json:-$work/samples.json}
	describe >"$work/about"
	python3 "$here/report.py" collect "$work" "$json"
	python3 "$here/report.py" table $goals "$json"
	[ -z "$results" ] || python3 "$here/report.py" results "$results" "$json"
	[ -z "$svg" ] || "$chart_python" "$here/chart.py" "$svg" "$json"
	[ -z "$flame" ] || flame_draw
}

main() {
	local group count
	local -a chosen=()
	make_folder
	make_programs --bench ${svg:+--chart}
	# Rather now than after a quarter of an hour.
	[ -z "$svg" ] || find_matplotlib || die "--svg needs python3-matplotlib"
	choose_peers
	[ -z "$flame" ] || check_flame
	renew_stores
	for group in $groups; do
		# shellcheck disable=SC2046
		if wanted $(rows_of "$group"); then
			chosen+=("$group")
			"prepare_$group"
		fi
	done
	[ ${#chosen[@]} -gt 0 ] || die "no row matches $filter"
	sync -f "$data"
	[ -z "$prepare_only" ] || exit "$failed"

	for group in "${chosen[@]}"; do
		count=${rounds[$group]}
		[ -z "$quick" ] || count=1
		count=${only_rounds:-$count}
		for ((round = 0; round < count; round++)); do
			say "bench: $group, round $((round + 1)) of $count ($SECONDS s)"
			kept_warm=()
			"group_$group"
		done
	done
	say "bench: done in $SECONDS s"
	report
}

main
exit "$failed"
