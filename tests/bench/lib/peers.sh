# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# The columns of the table: what there is on this machine, and how each of them is mounted.

peers=()
given=()
declare -A program=() # of a peer
declare -A kind=()    # native, overlayfs, unionfs-fuse, mergerfs, overlay (takes fuse-overlayfs's command line)
declare -A lower=()   # dirs or store
declare -A more=()    # further mount options
declare -A run_as=()  # a function that runs a command as whoever mounts it, where that is not us

# The owner of all lower files, who is also the plain user of the columns that end in -user.
bench_user=nobody

become_user=(setpriv --reuid="$bench_user" --regid="$(id -g "$bench_user")" --clear-groups --inh-caps=-all --)

run_as_user() {
	"${become_user[@]}" env HOME="$work/home" USER="$bench_user" LOGNAME="$bench_user" NACRE_STORE="$data/store-user" "$@"
}

add_given() {
	local name=${1%%=*} path=${1#*=}
	if ! [[ $1 == *=* && $name =~ ^[A-Za-z0-9._-]+$ ]]; then
		die "--peer wants NAME=PATH, not $1"
	fi
	path=$(command -v -- "$path") || die "no such program: ${1#*=}"
	given+=("$name")
	program[$name]=$(realpath -- "$path")
}

# add_peer NAME KIND [dirs|store [OPTIONS]]
add_peer() {
	peers+=("$1")
	kind[$1]=$2
	lower[$1]=${3:-dirs}
	more[$1]=${4:-}
}

# add_program NAME KIND COMMAND
add_program() {
	if program[$1]=$(command -v "$3"); then
		add_peer "$1" "$2"
	else
		say "bench: no $3 on this machine: $1 is left out"
	fi
}

# Does nacrefs mount with these options here, and leaves none out?
mounts_with() {
	local point=$work/try/mnt
	mkdir -p "$point" "$work/try/lower" "$work/try/upper" "$work/try/work"
	"$nacrefs" -o "lowerdir=$work/try/lower,upperdir=$work/try/upper,workdir=$work/try/work,$1" "$point" \
		>"$work/try.log" 2>&1 && is_mounted "$point" && unmount "$point" && [ ! -s "$work/try.log" ]
}

choose_peers() {
	local name
	add_peer native native
	if is_root; then
		add_peer overlayfs overlayfs
	fi
	add_program fuse-overlayfs overlay fuse-overlayfs
	for name in "${given[@]}"; do
		add_peer "$name" overlay
	done
	add_program unionfs-fuse unionfs-fuse unionfs
	add_program mergerfs mergerfs mergerfs
	program[nacrefs]=$nacrefs
	add_peer nacrefs overlay
	add_peer nacrefs-store overlay store
	if is_root; then
		if [ -z "$quick" ]; then
			add_peer nacrefs-user overlay
			add_peer nacrefs-user-store overlay store
			run_as[nacrefs-user]=run_as_user
			run_as[nacrefs-user-store]=run_as_user
		fi
		if mounts_with io=passthrough; then
			add_peer nacrefs-passthrough overlay dirs io=passthrough
		else
			say "bench: this nacrefs, or this kernel, has no io=passthrough: left out"
		fi
	fi
	# As root the kernel's switch for it is on for as long as we run.
	uring_on || true
	if mounts_with io_uring; then
		add_peer nacrefs-uring overlay dirs io_uring
	else
		say "bench: no column nacrefs-uring: $(cat "$work/try.log")"
	fi
	for name in "${variants[@]}"; do
		mounts_with "${name#*=}" || die "nacrefs does not mount with ${name#*=}: $(cat "$work/try.log")"
		add_peer "nacrefs-${name%%=*}" overlay dirs "${name#*=}"
	done
	for name in "${peers[@]}"; do
		[[ $name != nacrefs-* ]] || program[$name]=$nacrefs
	done
	if [ -n "$only_peers" ]; then
		mapfile -t peers < <(printf '%s\n' "${peers[@]}" | grep -Ex -- "$only_peers" || true)
		[ ${#peers[@]} -gt 0 ] || die "no peer matches $only_peers"
	fi
	for name in "${again[@]}"; do
		repeat_peer "$name"
	done
}

# The same under another name, in the last place of each turn.
repeat_peer() {
	local name=$1-again
	[[ " ${peers[*]} " == *" $1 "* ]] || die "there is no column $1"
	add_peer "$name" "${kind[$1]}" "${lower[$1]}" "${more[$1]}"
	program[$name]=${program[$1]:-}
	[ -z "${run_as[$1]:-}" ] || run_as[$name]=${run_as[$1]}
}

# ---- mounting --------------------------------------------------------------------------------------------------------

mounts_below() {
	awk -v prefix="$1/" 'index($5, prefix) == 1 { print $5 }' /proc/self/mountinfo | tac
}

unmount() {
	local try
	for try in 1 2 3 4 5 6 7 8 9; do
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

# mount_command PEER SET POINT [UPPER]: in the array "command", to be run in $data; UPPER holds upper and work
mount_command() {
	local peer=$1 set=$2 point=$3 upper=${4:-} options='' branches
	local -a dirs
	read -ra dirs <<<"$(lowers_of "$set")"
	[ -z "$upper" ] || options="upperdir=$upper/upper,workdir=$upper/work"
	[ -z "${more[$peer]}" ] || options+=${options:+,}${more[$peer]}
	case ${kind[$peer]} in
	overlayfs)
		# As short as can be: mount(2) takes a page of options.
		ln -sfn "${set%-part}" "$data/l"
		dirs=("${dirs[@]/#${set%-part}\//l/}")
		options="lowerdir=$(IFS=:; printf '%s' "${dirs[*]}")${options:+,$options}"
		command=(mount -t overlay overlay -o "$options" "$point")
		;;
	unionfs-fuse)
		branches=$(printf ":$data/%s=RO" "${dirs[@]}")
		[ -n "$upper" ] && branches="$upper/upper=RW$branches" || branches=${branches#:}
		options=cow,hide_meta_files,use_ino
		! is_root || options+=,allow_other,suid,dev
		command=("${program[$peer]}" -o "$options" "$branches" "$point")
		;;
	mergerfs)
		branches=$(printf ":$data/%s=RO" "${dirs[@]}")
		[ -n "$upper" ] && branches="$upper/upper=RW$branches" || branches=${branches#:}
		# What its manual recommends where mmap is needed, with all that is new in the first branch; but for
		# dropcacheonclose, which takes what it has read out of the page cache that the next column reads from.
		options=use_ino,cache.files=partial,category.create=ff,minfreespace=1M,fsname=mergerfs
		! is_root || options+=,allow_other
		command=("${program[$peer]}" -o "$options" "$branches" "$point")
		;;
	*)
		if [ "${lower[$peer]}" = store ]; then
			options="store=$(store_of "$peer"),image=bench-$set:1${options:+,$options}"
		else
			options="lowerdir=$(printf ":$data/%s" "${dirs[@]}" | cut -c 2-)${options:+,$options}"
		fi
		command=("${program[$peer]}" -o "$options" "$point")
		;;
	esac
}

store_of() { if [ -n "${run_as[$1]:-}" ]; then echo "$data/store-user"; else echo "$data/store"; fi; }

# Folders that belong to whoever mounts the peer.
make_folders() {
	local peer=$1 folder
	shift
	for folder in "$@"; do
		mkdir -p "$folder"
		[ -z "${run_as[$peer]:-}" ] || chown "$bench_user:" "$folder"
	done
}

# mount_one PEER SET [ro]: at $work/mnt/PEER; return 1 where it cannot be, which is said
mount_one() {
	local peer=$1 set=$2 upper=$up/$1 point=$work/mnt/$1 log=$work/mount.log
	make_folders "$peer" "$point"
	if [ "${3:-}" = ro ]; then
		upper=
	else
		make_folders "$peer" "$upper" "$upper/upper" "$upper/work"
	fi
	mount_command "$peer" "$set" "$point" "$upper"
	if ! (cd "$data" && as_peer "$peer" timeout 100 "${command[@]}" >"$log" 2>&1) || ! is_mounted "$point"; then
		fail "mount of $set" "$peer" "$(tail -n 2 "$log" | tr '\n' ' ')"
		out["$peer"]=yes
		return 1
	fi
}

# mount_all SET: every peer, with an empty upper and the folder new in it
mount_all() {
	local peer
	out=()
	for peer in "${peers[@]}"; do
		if [ "${kind[$peer]}" = native ]; then
			mkdir -p "$up/$peer/new"
			[ ! -d "$data/$1/small" ] || ln -sfn "$data/$1/small" "$up/$peer/small"
			continue
		fi
		mount_one "$peer" "$1" || continue
		if ! as_peer "$peer" mkdir "$work/mnt/$peer/new"; then
			fail "mount of $1" "$peer" "nothing can be made there"
			out["$peer"]=yes
		fi
	done
}

unmount_all() {
	local point
	for point in $(mounts_below "$work/mnt"); do
		unmount "$point"
	done
	clear_uppers
}

# With --loop on a new file system each time: how fast names come there must not depend on what went before.
clear_uppers() {
	local device
	if [ -z "$loop" ]; then
		remove "$up"/*
		return
	fi
	! is_mounted "$up" || unmount "$up"
	rm -f "$work/up.ext4"
	truncate -s 64G "$work/up.ext4"
	mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 "$work/up.ext4"
	device=$(losetup --find --show --direct-io=on "$work/up.ext4")
	mount "$device" "$up"
	# It goes with the mount.
	losetup --detach "$device"
}

# Where a peer shows the lowers of the sets with an upper, and where it writes.
read_dir() { if [ "${kind[$1]}" = native ]; then echo "$data/$current_set"; else echo "$work/mnt/$1"; fi; }
write_dir() { if [ "${kind[$1]}" = native ]; then echo "$up/$1"; else echo "$work/mnt/$1"; fi; }
small_dir() { echo "$(read_dir "$1")/small"; }
wide_dir() { echo "$(read_dir "$1")/wide"; }
new_dir() { echo "$(write_dir "$1")/new"; }
