# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# The rows about bytes: one file, databases, large lower files.

prepare_data() { make_main; make_inserts; }
prepare_big() { make_huge; }

make_inserts() {
	local i
	fresh inserts "$inserts" || return 0
	mkdir -p "$data/inserts"
	{
		echo 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);'
		for ((i = 0; i < inserts; i++)); do
			echo "INSERT INTO t(name, value) VALUES('name $i', $((i * 7919 % 100003)));"
		done
	} >"$data/inserts/single.sql"
	{
		echo 'CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER); BEGIN;'
		for ((i = 1; i <= 100 * inserts; i++)); do
			echo "INSERT INTO t(name, value) VALUES('name $i', $((i * 7919 % 100003)));"
			((i % 1000 != 0)) || echo 'COMMIT; BEGIN;'
		done
		echo 'COMMIT;'
	} >"$data/inserts/bulk.sql"
	made inserts "$inserts"
}

group_data() {
	local keep_warm=yes
	current_set=main
	warm_main big small
	warm "$data/inserts"
	rehearse_sqlite
	mount_all main
	in_turn pwrite new_dir -s "$pwrite_bytes" -p 3 pwrite
	in_turn pwrite-fsync new_dir -s "$fsync_bytes" pwrite-fsync
	in_turn append new_dir -s "$pwrite_bytes" append
	in_turn write new_dir -s "$big_bytes" write
	in_turn seqread read_dir -s "$big_bytes" seqread
	in_turn seqread-warm read_dir -s "$big_bytes" seqread
	if command -v fio >/dev/null; then
		each_peer fio-write fio_write
		each_peer fio-read-upper fio_read_upper
	fi
	each_peer seqread-upper seqread_upper
	in_turn sqlite new_dir -n "$inserts" run -- sqlite3 single.db ".read $data/inserts/single.sql"
	in_turn sqlite-bulk new_dir -n $((100 * inserts)) run -- sqlite3 bulk.db ".read $data/inserts/bulk.sql"
	unmount_all
}

rehearse_sqlite() {
	mkdir "$work/rehearsal"
	(cd "$work/rehearsal" && sqlite3 single.db 'CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES(1)')
	remove "$work/rehearsal"
}

count_inserts() {
	local found
	found=$(as_peer "$1" sqlite3 "$(new_dir "$1")/$2" 'SELECT count(*) FROM t')
	[ "$found" = "$3" ] || { echo "$found rows rather than $3"; return 1; }
}
check_sqlite() { count_inserts "$1" single.db "$inserts"; }
check_sqlite_bulk() { count_inserts "$1" bulk.db $((100 * inserts)); }

# fio's own figure, the mean of one call: its start and end take longer than the calls.
fio_line() {
	# shellcheck disable=SC2016
	local script='fio "$@" | jq -r "\"fio\t\(.jobs[0].$0.lat_ns.mean) \(.jobs[0].$0.total_ios)\"" |
		{ read -r line; [ "${line##* }" = "$FIO_CALLS" ] && printf "%s\n" "${line% *}"; }'
	local direction=$1
	shift
	FIO_CALLS=$fio_calls sh -c "$script" "$direction" --name=bench --ioengine=psync --bs=4k --invalidate=0 \
		--allow_file_create=0 --randseed=1 --norandommap --output-format=json --number_ios="$fio_calls" "$@"
}
export -f fio_line

fio_write() {
	local row=$1 peer=$2 dir
	dir=$(new_dir "$peer")
	as_peer "$peer" cp --reflink=never "$data/main/big" "$dir/fio"
	fio_calls=$fio_calls measure "$row" "$peer" bash -c 'fio_line "$@"' bash write --filename="$dir/fio" \
		--rw=randwrite --size="$big_bytes" --io_size=$((fio_calls * 4096))
	as_peer "$peer" rm "$dir/fio"
}

# A file of the upper, of which the disk's cache has everything and the mount's nothing.
make_upper_file() {
	local peer=$1 file
	file=$(new_dir "$peer")/big
	as_peer "$peer" test -e "$file" || as_peer "$peer" cp --reflink=never "$data/main/big" "$file"
	sync
	echo 1 >/proc/sys/vm/drop_caches
	find "$up/$peer" -type f -name big -exec cat {} + >/dev/null
}

seqread_upper() {
	make_upper_file "$2"
	sample "$1" "$2" "$(new_dir "$2")" -s "$big_bytes" seqread
}

fio_read_upper() {
	make_upper_file "$2"
	fio_calls=$fio_calls measure "$1" "$2" bash -c 'fio_line "$@"' bash read --filename="$(new_dir "$2")/big" \
		--rw=randread --readonly --size="$big_bytes" --io_size=$((fio_calls * 4096))
}

fio_read() {
	settle "$1"
	fio_calls=$fio_calls measure "$1" "$2" bash -c 'fio_line "$@"' bash read --filename="$(read_dir "$2")/one" \
		--rw=randread --readonly --size="$huge_bytes" --io_size=$((fio_calls * 4096))
}

# ---- large lower files -----------------------------------------------------------------------------------------------

group_big() {
	local peer row keep_warm=yes
	current_set=huge
	warm "$data/huge"
	warm_stores
	if wanted chown fio-read; then
		mount_all huge
		if command -v fio >/dev/null; then
			each_peer fio-read fio_read
		fi
		for peer in "${peers[@]}"; do
			[ "${kind[$peer]}" != native ] || ! wanted chown || cp -a "$data/huge/files" "$(write_dir "$peer")/files"
		done
		each_peer chown chown_files
		unmount_all
	fi
	for row in append-big append-big-sync; do
		wanted "$row" || continue
		mount_all huge
		each_peer "$row" append_big
		unmount_all
	done
	if wanted latency-alone latency latency-worst; then
		mount_all huge
		each_peer latency-alone,latency,latency-worst beside
		unmount_all
	fi
}

chown_files() {
	local row=$1 peer=$2 before after entries=$((huge_files + 1))
	before=$(upper_bytes "$peer")
	sample "$row" "$peer" "$(write_dir "$peer")" -n "$entries" run -- chown -R 4321:4321 files
	[ "${kind[$peer]}" != native ] && wanted chown-bytes && [ -z "${out[$peer]:-}" ] || return 0
	sync -f "$up"
	after=$(upper_bytes "$peer")
	record chown-bytes "$peer" $(((after - before) / entries))
}

upper_bytes() { du -s --block-size=1 "$up/$1" | cut -f 1; }

check_chown() {
	local left
	left=$(find "$(write_dir "$1")/files" ! -uid 4321 | wc -l)
	[ "$left" = 0 ] || { echo "$left files have another owner"; return 1; }
}

# What is copied must not be written to disk while the next one is measured: it goes at once.
append_big() {
	local row=$1 peer=$2 dir command='printf x >>one'
	dir=$(write_dir "$peer")
	# shellcheck disable=SC2016
	[ "${kind[$peer]}" != native ] || command='cp --reflink=auto "$1" one'
	[[ $row != *-sync ]] || command+=' && sync one'
	sample "$row" "$peer" "$dir" -n 1 run -- sh -c "$command" sh "$data/huge/one"
	as_peer "$peer" rm -f "$dir/one"
}

check_append_big() {
	local want=$((huge_bytes + 1)) found
	[ "${kind[$1]}" != native ] || want=$huge_bytes
	found=$(as_peer "$1" stat -c %s "$(write_dir "$1")/one")
	[ "$found" = "$want" ] || { echo "$found bytes rather than $want"; return 1; }
	as_peer "$1" cmp -n 1048576 "$(write_dir "$1")/one" "$data/huge/one"
}
check_append_big_sync() { check_append_big "$1"; }

beside() {
	local row=$1 peer=$2 dir other copy=0
	dir=$(new_dir "$peer")
	other=$(write_dir "$peer")/one
	if [ "${kind[$peer]}" = native ]; then
		other=$data/huge/one
		copy=1
	fi
	sample "$row" "$peer" "$dir" -n "$small_files" -p 200 -e "$copy" -o "$other" beside
	as_peer "$peer" rm -f "$dir/copy" "$(write_dir "$peer")/one"
}

check_latency_alone() {
	local file
	file=$(write_dir "$1")/one
	[ "${kind[$1]}" != native ] || file=$(new_dir "$1")/copy
	[ "$(as_peer "$1" stat -c %s "$file")" = $((huge_bytes + 1)) ] || { echo "nothing was appended"; return 1; }
}
