#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Compare podman on nacrefs with podman on kernel overlayfs and on fuse-overlayfs, in one run on one machine: an image of
# ten layers, what changed in a container of it, a commit, a build that installs packages, and programs that read many
# files.  The storages take turns at each row; rows.txt has the rows (group podman).  As root.
#
# usage: tests/bench/podman.sh [OPTION...]
#   --rounds N        N rounds of every row: 3 unless told
#   --peer NAME=PATH  also this mount program; may be repeated
#   --rows REGEX      only the rows whose name matches, by rows.txt
#   --goals           print also which goals are reached
#   --json FILE       all samples, too; report.py merges several such files
#   --results FILE    put the table into FILE, between its marks
#   --dir DIR         where to work, on the file system to be measured: $TMPDIR or /tmp unless told
#   --data DIR        keep the image and the packages there, for the next run
#   --build DIR       the programs of this build folder; otherwise build-bench is made and built, optimised
#   --image FILE      the root file system, a tar archive, with Debian's python3 and git in it; otherwise one is made
# environment:
#   NACRE_SETUP=0     install nothing
# shellcheck disable=SC2317,SC2016
set -Eeuo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
top=${here%/tests/bench}
export LC_ALL=C NACRE_TOP=$top NACRE_TEST_USER=${NACRE_TEST_USER:-containers}

say() { printf '%s\n' "$*" >&2; }
die() { printf 'bench: error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '/^# usage/,/^# shellcheck/{/^# shellcheck/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"; }

[ "$(id -u)" = 0 ] || die "this needs root, for kernel overlayfs"
# A mount namespace as a booted machine has it; crun refuses a mixture of both kinds of control groups.
if [ -z "${NACRE_BENCH_INSIDE:-}" ]; then
	export NACRE_BENCH_INSIDE=yes
	# shellcheck disable=SC2016
	exec unshare --mount --propagation=private sh -c \
		'mount --make-rshared / && { umount /sys/fs/cgroup/unified 2>/dev/null || true; } && exec "$@"' sh "$0" "$@"
fi

# shellcheck source=tests/bench/lib/sample.sh
. "$here/lib/sample.sh"
# shellcheck source=tests/bench/lib/programs.sh
. "$here/lib/programs.sh"
# shellcheck source=tests/lib/debian.bash
. "$top/tests/lib/debian.bash"
# shellcheck source=tests/lib/reachable.bash
. "$top/tests/lib/reachable.bash"
# shellcheck source=tests/lib/podman.bash
. "$top/tests/lib/podman.bash"

count=3 json='' results='' goals='' filter=. build='' image='' data='' parent=${TMPDIR:-/tmp}
peers=(overlayfs fuse-overlayfs nacrefs)
# shellcheck disable=SC2034 # sample.sh asks for them
declare -A program=() run_as=()
while [ $# -gt 0 ]; do
	case $1 in
	--goals) goals=--goals ;;
	--help | -h) usage; exit 0 ;;
	--rounds | --peer | --rows | --json | --results | --dir | --data | --build | --image)
		if [ $# -lt 2 ]; then
			usage >&2
			exit 2
		fi
		case $1 in
		--rounds) count=$2 ;;
		--peer)
			[[ $2 =~ ^[A-Za-z0-9._-]+=. ]] || die "--peer wants NAME=PATH, not $2"
			peers+=("${2%%=*}")
			program[${2%%=*}]=$(realpath -- "${2#*=}")
			;;
		--rows) filter=$2 ;;
		--json) json=$(realpath -- "$2") ;;
		--results) results=$(realpath -- "$2") ;;
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

sample_timeout=300
layers=10
# What the build installs, and what it needs of the image.
packages='apache2 nginx curl less nano sqlite3 vim-tiny rsync'
base_packages='python3,python3-setuptools,perl,git,apache2-utils'

work=$(mktemp -d "$parent/nacre-bench.XXXXXX")
work=$(cd "$work" && pwd -P)
data=${data:-$work/data}
declare -A runs=() # the storages' $PODMAN_RUN

cleanup() {
	local status=$? peer
	trap - EXIT ERR
	set +e
	cd /
	for peer in "${!runs[@]}"; do
		use "$peer"
		podman rm -f -a -t 0 >/dev/null 2>&1
		umount -q -l "$PODMAN_DIR/graph/overlay" 2>/dev/null
		rm -rf "$PODMAN_RUN"
	done
	rm -rf --one-file-system -- "$work"
	exit "$status"
}
trap 'say "bench: error: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- what is measured on -----------------------------------------------------------------------------------------------

make_data() {
	mkdir -p "$data"
	if [ -z "$image" ]; then
		image=$data/podman-base.tar
		if [ ! -s "$image" ]; then
			say "bench: making a root file system"
			debian_tar "$image" "$base_packages" || { tail -n 20 "$image.log" >&2; die "there is no base image"; }
		fi
	fi
	if ! compgen -G "$data/packages/*.deb" >/dev/null; then
		say "bench: fetching packages"
		mkdir "$work/tree"
		tar -C "$work/tree" -xf "$image"
		# shellcheck disable=SC2086
		debian_packages "$work/tree" "$data/packages" $packages ||
			{ tail -n 20 "$data/packages/log" >&2; die "the packages cannot be fetched"; }
		rm -rf "$work/tree"
	fi
	[ -s "$data/podman-image.tar" ] || make_image
}

# An image as builds leave it: each layer has some of the files, and the folders that they are in.
make_image() {
	local number
	local -a archives=()
	say "bench: making an image of $layers layers"
	mkdir "$work/tree"
	tar -C "$work/tree" -xf "$image"
	(cd "$work/tree" && find . -mindepth 1 ! -path './dev/*' -printf '%P\n') | sort >"$work/names"
	for ((number = 1; number <= layers; number++)); do
		split -n "l/$number/$layers" "$work/names" |
			awk -F / '{ path = $1; for (i = 2; i <= NF; i++) { print path; path = path "/" $i } print }' | sort -u |
			tar -C "$work/tree" --no-recursion --numeric-owner --xattrs -T - -cf "$work/layer-$number.tar"
		archives+=("$work/layer-$number.tar")
	done
	python3 "$top/tests/lib/make_archive.py" docker "$data/podman-image.tar" localhost/bench:1 "${archives[@]}"
	rm -rf "$work/tree" "${archives[@]}"
}

# use PEER: its storage from now on
use() {
	PODMAN_DIR=$work/$1
	PODMAN_RUN=${runs[$1]}
	export HOME=$PODMAN_DIR/home XDG_RUNTIME_DIR=$PODMAN_RUN TMPDIR=$PODMAN_DIR/tmp
	export CONTAINERS_CONF=$PODMAN_DIR/containers.conf CONTAINERS_STORAGE_CONF=$PODMAN_DIR/storage.conf
	export CONTAINERS_REGISTRIES_CONF=$PODMAN_DIR/registries.conf
}

make_storages() {
	local peer
	for peer in "${peers[@]}"; do
		make_podman "$work/$peer"
		runs[$peer]=$PODMAN_RUN
		if [ "$peer" = overlayfs ]; then
			write_storage_conf
		else
			write_storage_conf "mount_program = \"${program[$peer]}\""
		fi
		podman load -q -i "$data/podman-image.tar" >/dev/null
	done
}

# ---- the rows ----------------------------------------------------------------------------------------------------------

changes='cd /usr/share/doc && for d in a* b* c*; do [ ! -f $d/copyright ] || echo changed >>$d/copyright; done
	rm -r /usr/share/doc/git* && mkdir /new && cp -a /etc/. /new'

# timed ROW COMMAND: a line for sh, whose output the check of the row finds in $work/said
timed() {
	local row=$1
	wanted "$row" || return 0
	sample "$row" "$peer" "$work" -n 1 run -- sh -c "$2 >'$work/said'"
}

# After a diff of two mounts podman waits for the next second of the clock (containers/storage, drivers/fsdiff.go).  So that is
# no matter of chance: rounds begin in different parts of a second, and one row where there is hardly anything to wait for.
# until_part HUNDREDTHS: of a second
until_part() {
	local now
	now=$(date +%N)
	sleep "$(awk -v wanted="$1" -v now="$now" 'BEGIN { wait = wanted / 100 - now / 1e9; print wait < 0 ? wait + 1 : wait }')"
}

# timed_at HUNDREDTHS ROW COMMAND
timed_at() {
	local part=$1
	shift
	# shellcheck disable=SC2329 # sample.sh calls it before each sample
	settle() { sync && until_part "$part"; }
	timed "$@"
	settle() { sync; }
}

check_podman_diff() { grep -qx 'D /usr/share/doc/git' "$work/said" && grep -qx 'A /new/passwd' "$work/said"; }
check_podman_commit() { podman inspect out:1 --format '{{len .RootFS.Layers}}' | grep -qx $((layers + 1)); }
check_podman_commit_late() { check_podman_commit; }
check_podman_build() { podman run --rm built:1 apache2 -v | grep -q Apache; }
check_podman_find() { [ "$(wc -l <"$work/said")" -gt 5000 ]; }

measure_storage() {
	use "$peer"
	podman run --name ctr bench:1 sh -c "$changes"
	timed podman-diff 'podman diff ctr'
	timed_at $(((100 * round + 50) / count)) podman-commit 'podman commit -q ctr out:1'
	timed_at 90 podman-commit-late 'podman commit -q ctr out:1'
	podman rm ctr >/dev/null
	timed podman-build "podman build -q --no-cache --network host --isolation chroot -v '$data/packages:/packages:ro' -t built:1 '$work/context'"
	timed podman-find 'podman run --rm bench:1 find /usr -printf "%s %p\n"'
	timed podman-compile 'podman run --rm bench:1 sh -c "python3 -m compileall -q -f /usr/lib/python3*"'
	podman rmi -f -i out:1 built:1 >/dev/null
}

describe() {
	printf 'machine\t%s cores, %s GiB, podman on %s, as root\n' "$(nproc)" \
		"$(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo)" \
		"$(stat -f -c %T "$work" | sed 's,ext2/ext3,ext4,')"
	printf 'kernel\tLinux %s\n' "$(uname -r | sed 's/^\([0-9]*\.[0-9]*\).*/\1/')"
	printf 'versions\tnacrefs %s, fuse-overlayfs %s, podman %s\n' "$("${program[nacrefs]}" --version | sed 's/^nacrefs //')" \
		"$(fuse-overlayfs --version 2>&1 | sed -n 's/^fuse-overlayfs: version //p')" \
		"$(podman --version | sed 's/.* //')"
	printf 'sizes\tan image of %s layers and %s entries; a build that installs %s packages\n' "$layers" \
		"$(tar -tf "$image" | wc -l)" "$(find "$data/packages" -name '*.deb' | wc -l)"
	printf 'peers\t%s\nimage\tnone\n' "${peers[*]}"
}

main() {
	local peer round i
	: >"$work/samples"
	: >"$work/requests"
	make_programs --bench
	program[nacrefs]=$nacrefs
	program[fuse-overlayfs]=$(command -v fuse-overlayfs) || die "there is no fuse-overlayfs"
	make_data
	make_storages
	mkdir "$work/context"
	cat >"$work/context/Containerfile" <<-'END'
		FROM bench:1
		RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		RUN DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install /packages/*.deb >/dev/null
		RUN echo page >/var/www/html/page.html
	END
	for ((round = 0; round < count; round++)); do
		say "bench: round $((round + 1)) of $count ($SECONDS s)"
		for ((i = 0; i < ${#peers[@]}; i++)); do
			peer=${peers[(i + round) % ${#peers[@]}]}
			measure_storage
		done
	done
	json=${json:-$work/samples.json}
	describe >"$work/about"
	python3 "$here/report.py" collect "$work" "$json"
	python3 "$here/report.py" table $goals "$json"
	[ -z "$results" ] || python3 "$here/report.py" results "$results" "$json"
}

main
exit "$failed"
