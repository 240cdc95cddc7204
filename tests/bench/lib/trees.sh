# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# What is measured on: trees of real files and of made ones, each also as an image of the store.  They lie in $data;
# one that is there in the wanted size is used again.

# lowers_of SET: its lower directories below $data, the topmost first
lowers_of() {
	local i
	case $1 in
	layers-* | million | million-part)
		for ((i = $(layers_in "$1") - 1; i >= 0; i--)); do
			printf '%s ' "${1%-part}/$i"
		done
		;;
	child) echo diff/top diff/base ;;
	parent) echo diff/empty diff/base ;;
	*) echo "$1" ;;
	esac
}

layers_in() {
	case $1 in
	million) echo 500 ;;
	million-part) echo 20 ;;
	*) echo "${1#layers-}" ;;
	esac
}

# fresh NAME KEY: return 1 where NAME is there as KEY says; else what is there goes, and made must say so afterwards
fresh() {
	[ "$(cat "$data/$1.made" 2>/dev/null)" != "$2" ] || return 1
	rm -rf -- "${data:?}/$1" "$data/$1.made"
	say "bench: making $1"
}

made() { printf '%s\n' "$2" >"$data/$1.made"; }

# The first $1 entries of what most machines have, without what an ordinary user cannot read.
real_files() {
	(cd / && find usr/include usr/share usr/lib -xdev \
		! -type l \( ! -readable -o -type d ! -executable \) -prune -o \
		\( -type d -o -type l -o -type f -size -128k \) -print) | sort | sed -n "1,$1p"
}

# Lower files are the plain user's, so that he may change and remove them too.
give_away() {
	! is_root || chown -R -h "$bench_user:" "$@"
}

# store_set SET STORE: as an image of a store, made by who owns the store
store_set() {
	local set=$1 peer=$2 layout=$data/layout-$1
	local -a dirs
	read -ra dirs <<<"$(lowers_of "$set")"
	if [ ${#dirs[@]} = 1 ]; then
		tar -C "$data/${dirs[0]}" --numeric-owner -c . | as_peer "$peer" "$nacre" import -q - "bench-$set:1" >/dev/null
	else
		if [ ! -e "$layout/index.json" ]; then
			(cd "$data" && python3 "$here/layers.py" "$layout" "bench-$set:1" "${dirs[@]}")
		fi
		as_peer "$peer" "$nacre" load -q "$layout" >/dev/null
	fi
}

# A kept store may be of an older nacre, of whose form a mount, which only reads, takes none: what writes brings it up to date.
renew_stores() {
	local peer store
	for peer in "${peers[@]}"; do
		store=$(store_of "$peer")
		if [ "${lower[$peer]}" = store ] && [ -e "$store" ]; then
			as_peer "$peer" "$nacre" gc >/dev/null || die "the store $store cannot be used again: remove $data"
		fi
	done
}

# store_sets SET...: in the stores of the peers that want them; those of which the image cannot be made are left out
store_sets() {
	local set peer store
	for set in "$@"; do
		for peer in "${peers[@]}"; do
			[ "${lower[$peer]}" = store ] || continue
			store=$(store_of "$peer")
			make_folders "$peer" "$store"
			[ "$(cat "$data/${store##*/}-$set.made" 2>/dev/null)" != "$(cat "$data/${set_tree[$set]:-$set}.made")" ] ||
				continue
			say "bench: importing $set into ${store##*/}"
			if store_set "$set" "$peer"; then
				cp "$data/${set_tree[$set]:-$set}.made" "$data/${store##*/}-$set.made"
			else
				fail "import of $set" "$peer" "no image"
			fi
		done
		rm -rf -- "$data/layout-$set"
	done
}

# The tree that a set is part of, where it is not called the same.
declare -A set_tree=([child]=diff [parent]=diff)

# small, wide, tree, project and the file big: what most rows are about
make_main() {
	local key="$wide_entries $tree_entries $small_files $small_bytes $big_bytes" dir=$data/main copy
	if fresh main "$key"; then
		mkdir -p "$dir/small" "$dir/wide" "$dir/tree" "$dir/project"
		real_files "$wide_entries" >"$data/wide.list"
		real_files "$tree_entries" >"$data/tree.list"
		# The machine may have fewer than are asked for: then they are there several times.
		for copy in 1 2 3 4 5 6 7 8 9; do
			mkdir "$dir/wide/$copy"
			tar -C / --no-recursion -c -T "$data/wide.list" | tar -C "$dir/wide/$copy" -x
			[ "$(find "$dir/wide" | wc -l)" -lt "$wide_entries" ] || break
		done
		echo 'nacre bench: the needle' >"$dir/wide/1/needle"
		find "$dir/wide" | wc -l >"$data/wide.count"
		tar -C / --no-recursion -c -f "$data/tree.tar" -T "$data/tree.list"
		tar -C "$dir/tree" -xf "$data/tree.tar"
		find "$dir/tree/usr" | wc -l >"$data/tree.count"
		"$bench" -n "$small_files" -s "$small_bytes" "$dir/small" make >/dev/null
		"$bench" -s "$big_bytes" "$dir" makebig >/dev/null
		make_project "$dir/project"
		give_away "$dir"
		made main "$key"
	fi
	wide_found=$(<"$data/wide.count")
	tree_found=$(<"$data/tree.count")
	store_sets main
}

# warm_main PART...: of that tree, and the stores
warm_main() {
	warm "${@/#/$data/main/}"
	warm_stores
}

# nacre's own sources, without what needs libfuse, and a Makefile for them.
make_project() {
	# shellcheck disable=SC2086
	(cd "$top" && find $project_folders fs -maxdepth 2 ! -path '*/subprojects/*' \( -name '*.h' -o -name '*.c' ! -path 'fs/*' \) \
		-print0 | tar -c --null -T -) | tar -C "$1" -x
	cat >"$1/Makefile" <<END
sources := \$(wildcard store/*.c store/*/*.c tools/*.c)
all: nacre.a
nacre.a: \$(sources:.c=.o)
	ar qc \$@ \$^
%.o: %.c
	$(command -v cc) -std=gnu17 -O0 -g -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DNACRE_VERSION='"0"' \\
		$(pkg-config --cflags sqlite3 libarchive libcrypto libzstd zlib jansson libxxhash libcurl) -MMD -c -o \$@ \$<
END
}

make_git() {
	local key=$tree_entries dir=$data/git part
	export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=$data/gitconfig
	printf '[user]\nname = bench\nemail = bench@localhost\n[safe]\ndirectory = *\n[init]\ndefaultBranch = main\n' \
		>"$data/gitconfig"
	fresh git "$key" || return 0
	mkdir -p "$dir/tree"
	tar -C "$dir/tree" -xf "$data/tree.tar"
	git -C "$dir/tree" init -q
	for part in '[a-f]*' '[g-l]*' '*'; do
		find "$dir/tree/usr" ! -type d -name "$part" -printf 'usr/%P\0' |
			git -C "$dir/tree" add -f --pathspec-from-file=- --pathspec-file-nul
		git -C "$dir/tree" commit -q --allow-empty -m "Names like $part"
	done
	git clone -q --bare "$dir/tree" "$dir/repo.git"
	rm -rf "$dir/tree"
	made git "$key"
}

# One archive of many small files, as pip gets it.
make_install() {
	local key=$install_files
	fresh install "$key" || return 0
	mkdir -p "$data/install"
	python3 - "$data/main/wide/1" "$data/install/package.zip" "$install_files" <<'END'
import os
import sys
import zipfile

source, out, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(source) for name in names)
files = [path for path in files if not os.path.islink(path) and os.path.getsize(path) < 16384]
with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
    for i in range(count):
        # The same file may come again, under another folder.
        turn, path = divmod(i, len(files))
        archive.write(files[path], os.path.join(f"package{turn}", os.path.relpath(files[path], source)))
END
	made install "$key"
}

# A tree of large files, and one large file.
make_huge() {
	local key="$huge_bytes" dir=$data/huge i
	if fresh huge "$key"; then
		mkdir -p "$dir/files"
		"$bench" -s "$((huge_bytes / huge_files))" "$dir/files" makebig >/dev/null
		for ((i = 1; i < huge_files; i++)); do
			cp --reflink=never "$dir/files/big" "$dir/files/f$i"
		done
		# No two alike: a store would keep them once.
		for i in "$dir"/files/*; do
			echo "$i" | dd of="$i" conv=notrunc status=none
		done
		cat "$dir"/files/* >"$dir/one"
		mkdir "$dir/small"
		"$bench" -n "$small_files" -s "$small_bytes" "$dir/small" make >/dev/null
		give_away "$dir"
		made huge "$key"
	fi
	store_sets huge
}

# make_layers SET FILES BYTES
make_layers() {
	local set=$1 key="$2 $3"
	if fresh "$set" "$key"; then
		mkdir -p "$data/$set"
		"$bench" -n "$2" -s "$3" -t "$(layers_in "$set")" "$data/$set" makelayers >/dev/null
		give_away "$data/$set"
		made "$set" "$key"
	fi
	store_sets "$set"
}

# layered_entries SET FILES: what a walk of such a set sees: the files, the directories of two levels, and the root.  The
# set of a part has the first of FILES, of which eight are in a directory before the next is begun.
layered_entries() {
	local files=$2 directories=$((($2 + 99) / 100))
	if [ "$1" = million-part ]; then
		files=$(($2 * $(layers_in "$1") / $(layers_in million)))
		directories=$(((files + 7) / 8 < directories ? (files + 7) / 8 : directories))
	fi
	echo $((files + directories + (directories + 99) / 100 + 1))
}

# Many files; above them nothing (parent), or some that changed and some new ones (child).
make_diff() {
	local key=$diff_files dir=$data/diff
	if fresh diff "$key"; then
		mkdir -p "$dir/base" "$dir/top/d000" "$dir/top/d007" "$dir/empty"
		"$bench" -n "$diff_files" -s 100 "$dir/base" make >/dev/null
		seq 1 "$diff_changes" | while read -r i; do
			echo "$i" >"$dir/top/d000/f$(printf %02d "$i")"
			echo "$i" >"$dir/top/d007/new$i"
		done
		give_away "$dir"
		made diff "$key"
	fi
	store_sets child parent
}
