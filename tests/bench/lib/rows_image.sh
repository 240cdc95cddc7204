# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# The rows about images: one of many layers and files, and what import takes.

prepare_image() { make_layers million "$million_files" 0; }

group_image() {
	warm_stores
	if wanted image-mount; then
		out=()
		each_peer image-mount time_image_mount
	fi
	if wanted image-commit; then
		out=()
		each_peer image-commit time_commit
	fi
	if wanted memory memory-after; then
		out=()
		each_peer memory measure_memory
	fi
}

# The first file is looked at too: whoever puts the work off to the first request has not mounted anything.
time_image_mount() {
	local row=$1 peer=$2 point=$work/mnt/$2
	make_folders "$peer" "$point" "$up/$peer" "$up/$peer/upper" "$up/$peer/work"
	mount_command "$peer" million "$point" "$up/$peer"
	# shellcheck disable=SC2016
	command=(sh -c '"$@" && stat -c %n "$0/a00/b00/f0000000"' "$point" "${command[@]}")
	rehearse_mount "$peer" "$point" "${command[@]}"
	sample "$row" "$peer" "$data" -n 1 -e 1 run -- "${command[@]}"
	! is_mounted "$point" || unmount "$point"
	remove "$up/$peer"
}

time_commit() {
	local row=$1 peer=$2 point=$work/mnt/$2 i
	make_folders "$peer" "$point"
	if ! as_peer "$peer" env "NACREFS=$nacrefs" "$nacre" mount --rw bench-million:1 "$point" >"$work/mount.log" 2>&1; then
		fail "$row" "$peer" "$(tail -n 2 "$work/mount.log" | tr '\n' ' ')"
		record "$row" "$peer" failed
		return 0
	fi
	for i in b00/f000000{0..7} b01/f000000{8,9}; do
		as_peer "$peer" tee "$point/a00/$i" <<<"changed $i" >/dev/null
	done
	sample "$row" "$peer" "$work" -n 1 run -- "$nacre" commit "$point" bench-changed:1
	as_peer "$peer" "$nacre" umount "$point" >/dev/null
	as_peer "$peer" "$nacre" rmi bench-changed:1 >/dev/null
}

check_image_commit() {
	as_peer "$1" "$nacre" images | grep -q bench-changed || { echo "there is no such image"; return 1; }
	[ "$(as_peer "$1" "$nacre" cat bench-changed:1 /a00/b01/f0000009)" = "changed b01/f0000009" ] ||
		{ echo "it lacks a change"; return 1; }
}

daemon_of() { pgrep -f -n -- " $1\$"; }
resident_bytes() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$1/status"; }

# Bytes rather than nanoseconds.  The others walk the lowest layers only: they look for each name in every layer, which for
# all of them takes minutes, and what an entry takes does not depend on how many there are.
measure_memory() {
	local row=$1 peer=$2 point=$work/mnt/$2 set=million entries pid empty full after
	[[ $peer == nacrefs* ]] || set=million-part
	entries=$(layered_entries "$set" "$million_files")
	mount_one "$peer" "$set" || { record memory "$peer" failed; return 0; }
	pid=$(daemon_of "$point")
	empty=$(resident_bytes "$pid")
	if ! as_peer "$peer" timeout "$sample_timeout" "$bench" -n "$entries" -e "$entries" "$point" run -- find . -printf '%s\n' \
		>"$work/lines" 2>"$work/error"; then
		fail "$row" "$peer" "$(tail -n 3 "$work/error" | tr '\n' ' ')"
		record memory "$peer" failed
		unmount_all
		return 0
	fi
	full=$(resident_bytes "$pid")
	record memory "$peer" $(((full - empty) / entries))
	if is_root && wanted memory-after; then
		# The kernel lets go of parents after their children, and the daemon hears of it later still.
		for _ in 1 2 3 4 5; do
			echo 2 >/proc/sys/vm/drop_caches
			sleep 0.5
		done
		after=$(resident_bytes "$pid")
		record memory-after "$peer" $((after > empty ? (after - empty) / entries : 0))
	fi
	unmount_all
}

# ---- import ----------------------------------------------------------------------------------------------------------

prepare_import() { make_main; make_images; }

make_images() {
	if [ -z "$image" ]; then
		image=$(find "$top"/build*/quickstart -name 'rootfs-*.tar' -print -quit 2>/dev/null || true)
	fi
	if [ -z "$image" ]; then
		image=$data/tree.tar
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

# Something as large as the image must have come.
check_imported() {
	local bytes want
	bytes=$(du -s --block-size=1 --apparent-size "$work/import" | cut -f 1)
	want=$(($(stat -c %s "$work/image.tar") / 3))
	[ "$bytes" -gt "$want" ] || { echo "only $bytes bytes are there"; return 1; }
}
check_import() { check_imported; }
check_import_gzip() { check_imported; }
check_import_layout() { check_imported; }

group_import() {
	local -a podman=(podman --root "$work/import/podman" --runroot "$work/import/podman-run" --storage-driver overlay)
	local -a unpack=(umoci unpack) tar=(tar)
	out=()
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
