# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# The rows about the store beside other tools for images: all read the same image, of three layers of the packages that
# this machine has installed.

prepare_load() {
	if wanted load load-cpu load-memory commit-10 commit-10-fuse; then
		make_packages
	fi
	if wanted index-bytes; then
		make_index_tar
	fi
}

# package_layer NAME FOLDER...: of what is there in the order of names, until it is enough
package_layer() {
	local name=$1 dir=$data/packages
	shift
	(cd / && find "$@" -xdev ! -type l \( ! -readable -o -type d ! -executable \) -prune -o \
		\( -type d -o -type l -o -type f -size -$((layer_bytes / 14))c \) -printf '%p\t%s\n') | sort |
		awk -F '\t' -v bytes="$layer_bytes" -v entries="$layer_entries" \
			'sum < bytes || NR <= entries { print $1; sum += $2 }' >"$dir/list"
	tar -C / --no-recursion --numeric-owner -c -f "$dir/$name.tar" -T "$dir/list"
	wc -l <"$dir/list" >>"$dir/entries"
	stat -c %s "$dir/$name.tar" >>"$dir/bytes"
	umoci raw add-layer --image "$dir/layout:1" "$dir/$name.tar"
	rm "$dir/$name.tar"
}

make_packages() {
	local key="$layer_bytes $layer_entries" dir=$data/packages
	if ! command -v umoci >/dev/null || ! command -v jq >/dev/null; then
		say "bench: without umoci and jq the image of packages cannot be made: left out"
		return 0
	fi
	if fresh packages "$key"; then
		mkdir -p "$dir"
		{
			umoci init --layout "$dir/layout" && umoci new --image "$dir/layout:1" &&
				package_layer programs usr/bin usr/sbin usr/libexec &&
				package_layer libraries usr/lib && package_layer shared usr/share usr/include &&
				umoci gc --layout "$dir/layout"
		} >"$work/umoci.log" 2>&1 || die "the image of packages cannot be made: $(tail -n 2 "$work/umoci.log")"
		tar -C "$dir/layout" -c -f "$dir/layout.tar" .
		made packages "$key"
	fi
	packages_layout=$dir/layout
	mapfile -t packages_layers < <(cd "$dir/layout/blobs/sha256" &&
		find . -type f -size -64k -exec jq -r '.layers[]?.digest' {} + | sed "s,^sha256:,$PWD/,")
	packages_bytes=$(awk '{ sum += $1 } END { print sum }' "$dir/bytes")
	packages_text="three layers of installed packages, $(awk '{ sum += $1 } END { print sum }' "$dir/entries") entries,"
	packages_text+=" $((packages_bytes / 1000000)) MB, as tar.gz $(du -c -b "${packages_layers[@]}" |
		awk 'END { printf "%.0f", $1 / 1e6 }') MB"
}

# load_sample COLUMN COMMAND...: into $work/load/COLUMN, which stays
load_sample() {
	local column=$1
	shift
	HOME=$work/load sample load,load-cpu,load-memory "$column" "$work/load/$column" -n 1 run -- "$@"
}

check_load() {
	local bytes
	bytes=$(du -s --block-size=1 --apparent-size "$work/load/$1" | cut -f 1)
	[ "$bytes" -gt $((packages_bytes * 3 / 4)) ] || { echo "only $bytes bytes are there"; return 1; }
}

# Everything that changes is there before, so that a commit has to look for it.
change_files() {
	local file
	find "$1/usr" -type f -size -64k | sort | sed -n 1,10p | while read -r file; do
		echo changed >>"$file"
	done
}

# Both tools hand the container's folder out when it is mounted; none of them runs anything.
commit_samples() {
	make_folders nacre "$work/load/mnt"
	"$nacre" mount --rw "$packages_name" "$work/load/mnt" >/dev/null
	load_commit commit-10 nacre "$work/load/mnt" "$nacre" commit "$work/load/mnt" changed:1
	"$nacre" umount "$work/load/mnt" >/dev/null
	sed -n 's/^commit-10\(\tnacre\t\)/commit-10-fuse\1/p' "$work/samples" | tail -n "$repeats" >"$work/lines"
	cat "$work/lines" >>"$work/samples"
	if is_root && [ -n "$loaded" ]; then
		commit_by_others commit-10
		if [ -n "${program[fuse-overlayfs]:-}" ]; then
			storage+=(--storage-opt "overlay.mount_program=${program[fuse-overlayfs]}")
			commit_by_others commit-10-fuse
		fi
	fi
}

# commit_by_others ROW: from what podman has loaded
commit_by_others() {
	local row=$1 container
	container=$(podman "${storage[@]}" create "$loaded" /bin/true)
	load_commit "$row" podman "$(podman "${storage[@]}" mount "$container")" \
		podman "${storage[@]}" commit -q "$container" "$row-podman"
	podman "${storage[@]}" umount "$container" >/dev/null
	podman "${storage[@]}" rm "$container" >/dev/null
	if command -v buildah >/dev/null; then
		container=$(buildah "${storage[@]}" from --pull-never "$loaded")
		load_commit "$row" buildah "$(buildah "${storage[@]}" mount "$container")" \
			buildah "${storage[@]}" commit -q "$container" "$row-buildah"
		buildah "${storage[@]}" umount "$container" >/dev/null
		buildah "${storage[@]}" rm "$container" >/dev/null
	fi
}

# load_commit ROW COLUMN DIR COMMAND...: what is mounted on DIR, of which ten files are others than in the commit before
load_commit() {
	local row=$1 column=$2 dir=$3 try
	shift 3
	for ((try = 0; try < repeats; try++)); do
		change_files "$dir"
		HOME=$work/load sample "$row" "$column" "$work/load" -n 1 run -- "$@"
	done
}

# A layer more than before, with the ten in it.
check_committed() {
	local row=$1 column=$2 layers
	case $column in
	nacre) layers=$("$nacre" layers --json changed:1 | jq length) ;;
	*) layers=$(podman "${storage[@]}" image inspect -f '{{len .RootFS.Layers}}' "$row-$column") ;;
	esac
	[ "$layers" = 4 ] || { echo "there is no image of four layers"; return 1; }
}
check_commit_10() { check_committed commit-10 "$1"; }
check_commit_10_fuse() { check_committed commit-10-fuse "$1"; }

load_and_commit() {
	local -a storage=(--root "$work/load/podman" --runroot "$work/load/run" --storage-driver overlay) unpack=(umoci unpack)
	local packages_name point loaded=
	export NACRE_STORE=$work/load/nacre
	mkdir -p "$work/load"/{nacre,tar,'tar, sync',umoci,skopeo,podman}
	is_root || unpack+=(--rootless)
	load_sample nacre "$nacre" load -q "$data/packages/layout.tar"
	packages_name=$("$nacre" images -q | head -n 1)
	# shellcheck disable=SC2016
	local extract='for layer; do tar -xzf "$layer" || exit; done'
	load_sample tar sh -c "$extract" sh "${packages_layers[@]}"
	load_sample 'tar, sync' sh -c "$extract; sync -f ." sh "${packages_layers[@]}"
	load_sample umoci "${unpack[@]}" --image "$packages_layout:1" bundle
	remove "$work/load"/{tar,'tar, sync',umoci}
	if command -v skopeo >/dev/null; then
		load_sample skopeo skopeo --insecure-policy copy -q "oci:$packages_layout:1" \
			"containers-storage:[overlay@$work/load/skopeo+$work/load/run-skopeo]localhost/packages:1"
	fi
	if command -v podman >/dev/null; then
		load_sample podman podman "${storage[@]}" load -q -i "$data/packages/layout.tar"
		loaded=$(podman "${storage[@]}" images -q | head -n 1)
	fi
	if wanted commit-10 commit-10-fuse; then
		commit_samples
	fi
	# Their storage may be mounted on itself.
	for point in $(mounts_below "$work/load"); do
		unmount "$point"
	done
	remove "$work/load"
	export NACRE_STORE=$data/store
}

# ---- the index -------------------------------------------------------------------------------------------------------

make_index_tar() {
	fresh index.tar "$index_entries" || return 0
	python3 "$here/many.py" "$data/index.tar" "$index_entries"
	made index.tar "$index_entries"
}

index_bytes() {
	local bytes
	mkdir -p "$work/load"
	if NACRE_STORE=$work/load/index "$nacre" import -q "$data/index.tar" many:1 >"$work/lines" 2>"$work/error"; then
		bytes=$(du -c -b "$work/load/index"/index.db* | awk 'END { print $1 }')
		record index-bytes nacre $((bytes / index_entries))
	else
		fail index-bytes nacre "$(tail -n 3 "$work/error" | tr '\n' ' ')"
		record index-bytes nacre failed
	fi
	remove "$work/load"
}

group_load() {
	if wanted load load-cpu load-memory commit-10 commit-10-fuse && [ -n "${packages_layout:-}" ]; then
		load_and_commit
	fi
	if wanted index-bytes; then
		index_bytes
	fi
}
