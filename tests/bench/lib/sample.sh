# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# Samples: one figure of one row of one peer, taken in turn and checked.

failed=0
# Peers that could not be mounted, in the round that is running.
declare -A out=()
# What is read again before each sample of the group that is running.
kept_warm=()

# wanted ROW...: is one of them asked for?
wanted() {
	local row
	for row in "$@"; do
		[[ ! $row =~ $filter ]] || return 0
	done
	return 1
}

# rows_of GROUP
rows_of() {
	awk -F ' *[|] *' -v group="$1" '!/^#/ && $2 == group { print $1 }' "$here/rows.txt"
}

fail() {
	say "bench: $1 on $2 failed: $3"
	# Whether a peer can is for the reader to judge; whether nacrefs can is for everybody.
	[[ $2 != nacre* ]] || failed=1
}

record() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$work/samples"; }

# Run a command as whoever has mounted the peer.
as_peer() {
	local peer=$1
	shift
	"${run_as[$peer]:-env}" "$@"
}

# measure ROW,... PEER COMMAND...: a row for each line that the command prints, "NAME<tab>FIGURE", and what it says of their
# requests, "requests<tab>NAME<tab>...".  What the command did is then looked at by the function check_ROW of the first row,
# where there is one; it says what is wrong.
measure() {
	local row peer=$2 line wrong='' status=0
	local -a names lines=() requests=()
	IFS=, read -ra names <<<"$1"
	shift 2
	[ -z "${flame-}" ] || flame_begin "$peer"
	as_peer "$peer" timeout --kill-after=5 "$sample_timeout" "$@" >"$work/lines" 2>"$work/error" </dev/null || status=$?
	[ -z "${flame-}" ] || flame_end
	if [ "$status" = 124 ]; then
		wrong="not done after $sample_timeout s"
	elif [ "$status" != 0 ]; then
		wrong="$(tail -n 3 "$work/error" | tr '\n' ' ')(exit status $status)"
	else
		mapfile -t lines < <(sed '/^requests\t/d' "$work/lines")
		mapfile -t requests < <(sed -n 's/^requests\t[^\t]*\t//p' "$work/lines")
		if [ ${#lines[@]} -lt ${#names[@]} ]; then
			wrong="no figure came"
		elif declare -F "check_${names[0]//-/_}" >/dev/null; then
			wrong=$("check_${names[0]//-/_}" "$peer" 2>&1) || wrong=${wrong:-"the check failed"}
		fi
	fi
	if [ -n "$wrong" ]; then
		fail "${names[*]}" "$peer" "$wrong"
		lines=() requests=()
	fi
	for row in "${!names[@]}"; do
		line=${lines[row]:-failed}
		record "${names[row]}" "$peer" "${line##*$'\t'}"
		[ -z "${requests[row]:-}" ] ||
			printf '%s\t%s\t%s\n' "${names[row]}" "$peer" "${requests[row]}" >>"$work/requests"
	done
}

# Does the owner of all lower files run the command that is measured, rather than whoever has mounted the peer?
by_owner=

# sample ROW,... PEER DIR [OPTION...] OPERATION [-- COMMAND...]: nacre-bench in DIR
sample() {
	local row=$1 peer=$2 dir=$3
	shift 3
	local -a options=()
	settle "${row%%,*}"
	while [[ $1 == -* ]]; do
		options+=("$1" "$2")
		shift 2
	done
	if [ -n "$by_owner" ] && [ -z "${run_as[$peer]:-}" ]; then
		set -- "$1" -- "${become_user[@]}" "${@:3}"
	fi
	case $row in
	*-warm | *-other | git-status) rehearse "$peer" "${options[@]}" "$dir" "$@" ;;
	esac
	[[ ${program[$peer]:-} != "$nacrefs" ]] || mapfile -O ${#options[@]} -t options < <(mounts_of "$peer")
	measure "$row" "$peer" "$bench" "${options[@]}" "$dir" "$@"
}

# rehearse PEER ARGUMENT...: nacre-bench with these, untimed, just before it is timed.  What this column read at its last turn,
# many seconds ago, a kernel that reclaims idle pages has forgotten.
rehearse() {
	local peer=$1
	shift
	as_peer "$peer" timeout --kill-after=5 "$sample_timeout" "$bench" "$@" >/dev/null 2>&1 </dev/null || true
}

# Of a mount that may be another user's, who lets nobody look in.
is_mounted() { awk -v point="$1" '$5 == point { found = 1 } END { exit !found }' /proc/self/mountinfo; }

# mounts_of PEER: those of nacrefs whose requests are counted, as options
mounts_of() {
	local point
	for point in "$work/mnt/$1" "$work/mnt/$1.parent"; do
		! is_mounted "$point" || printf '%s\n' -m "$point"
	done
}

# each_peer ROW,... FUNCTION [ARGUMENT...]: FUNCTION ROW,... PEER ARGUMENT... for every peer that can do the row, another
# one first in each round.
each_peer() {
	local row=$1 function=$2 peer name i
	local -a names
	shift 2
	IFS=, read -ra names <<<"$row"
	wanted "${names[@]}" || return 0
	for ((i = 0; i < ${#peers[@]}; i++)); do
		peer=${peers[(i + round) % ${#peers[@]}]}
		can "${names[0]}" "$peer" || continue
		if [ -n "${out[$peer]:-}" ]; then
			# Which was said when it could not be mounted.
			for name in "${names[@]}"; do
				record "$name" "$peer" failed
			done
			continue
		fi
		"$function" "$row" "$peer" "$@"
	done
}

# in_turn ROW,... WHERE [OPTION...] OPERATION...: one sample of each peer, in the directory that the function WHERE names
in_turn() {
	local row=$1
	shift
	each_peer "$row" sample_in "$@"
}

sample_in() {
	local row=$1 peer=$2 where=$3
	shift 3
	sample "$row" "$peer" "$("$where" "$peer")" "$@"
}

# ---- the same state of the machine for all ---------------------------------------------------------------------------

# Nobody is to be timed while what another one wrote goes to disk, or while the drivers hear of what the kernel has
# forgotten of all mounts; nor to read from the disk what the one before had in the page cache.
settle() {
	sync
	[ -n "$quick" ] || [ ${#kept_warm[@]} = 0 ] || keep_warm='' warm "${kept_warm[@]}"
	if [[ $1 == *-cold ]]; then
		echo 2 >/proc/sys/vm/drop_caches
		await_idle
	fi
	touch_memory
}

# A guest's free memory may be its host's, who gives it back page by page as it is used: the next quarter of a gigabyte that
# anybody needs is there.  Free memory is handed over again two seconds after it was freed.
touch_memory() {
	[ -n "$quick" ] || [ ! -e /sys/module/page_reporting ] || python3 -c 'b"x" * (256 << 20)'
}

# busy_ticks: of all processors, in hundredths of a second
busy_ticks() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 }' /proc/stat; }

# Until nobody has had anything to do for a tenth of a second; on a machine with other work not for long.
await_idle() {
	local try before now
	before=$(busy_ticks)
	for ((try = 0; try < 20; try++)); do
		sleep 0.1
		now=$(busy_ticks)
		[ $((now - before)) -gt 2 ] || return 0
		before=$now
	done
}

# warm PATH...: all that is below is in the page cache, the names and attributes too.  The trees and the stores that a
# group is about are, before its first column is measured: else that one reads from the disk what the others do not.  Where
# the rows are about reading, and $keep_warm says so, again before each sample; --quick has no time for that.
warm() {
	local path
	local -a there=()
	for path; do
		[ ! -e "$path" ] || there+=("$path")
	done
	[ ${#there[@]} = 0 ] || find "${there[@]}" -xdev -printf '%s' -type f -exec cat {} + >/dev/null
	[ -z "${keep_warm-}" ] || kept_warm+=("$@")
}

# What can be had by opening the index is the same for all columns that have a store.
warm_stores() {
	local peer store
	while read -r store; do
		warm "$store"/index.db* "$store/packs" "$store/objects"
	done < <(for peer in "${peers[@]}"; do
		[ "${lower[$peer]}" != store ] || store_of "$peer"
	done | sort -u)
}

# can ROW PEER: return 1 where the row has no meaning for the peer, which is a "-" in the table
can() {
	local row=$1 peer=$2
	case $row in
	# What is always there cannot be fresh; a program that changes owners is root's.
	find-fresh | grep-fresh | mount | layers-* | image-mount | naivediff) [ "${kind[$peer]}" != native ] ;;
	memory) [[ ${kind[$peer]} != native && ${kind[$peer]} != overlayfs ]] ;;
	image-commit) [ "${lower[$peer]}" = store ] ;;
	*-cold | *read-upper) is_root ;;
	# As root of root's mounts: the files are another one's, and a user's own mount is for himself.
	*-other) is_root && [ -z "${run_as[$peer]:-}" ] ;;
	# mergerfs copies nothing up and hides nothing: what is below can be neither changed nor removed.
	rm-lower | append-big* | latency-alone) [ "${kind[$peer]}" != mergerfs ] ;;
	chown) is_root && [[ ${kind[$peer]} != mergerfs && -z ${run_as[$peer]:-} ]] ;;
	esac
}
