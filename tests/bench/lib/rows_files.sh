# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# The rows about many files: those that are there, names that come and go, trees, walks.

prepare_small() { make_main; }
prepare_names() { make_main; }
prepare_walk() { make_main; }
prepare_threads() { make_main; }

prepare_tree() {
	make_main
	! wanted git-clone git-status || make_git
	! wanted install || make_install
}

prepare_layers() {
	local n
	for n in 2 20 100 500; do
		make_layers "layers-$n" "$layer_files" 100
	done
}

prepare_diff() { make_diff; }

group_small() {
	current_set=main
	warm_main small
	mount_all main
	in_turn round-trip small_dir -n "$small_files" -p "$passes" ask
	in_turn stat small_dir -n "$small_files" -s "$small_bytes" -p "$passes" stat
	in_turn open small_dir -n "$small_files" -s "$small_bytes" -p "$passes" open
	in_turn read small_dir -n "$small_files" -s "$small_bytes" -p "$passes" read
	in_turn mmap small_dir -n "$small_files" -s "$small_bytes" -p "$passes" mmap
	unmount_all
}

time_mount() {
	local row=$1 peer=$2
	make_folders "$peer" "$work/mnt/$peer" "$up/$peer" "$up/$peer/upper" "$up/$peer/work"
	mount_command "$peer" main "$work/mnt/$peer" "$up/$peer"
	rehearse_mount "$peer" "$work/mnt/$peer" "${command[@]}"
	sample "$row" "$peer" "$data" -n 1 run -- "${command[@]}"
}

# rehearse_mount PEER POINT COMMAND...: once untimed, so that the program and what it reads are in the page cache
rehearse_mount() {
	local peer=$1 point=$2
	shift 2
	(cd "$data" && as_peer "$peer" timeout 100 "$@" >"$work/mount.log" 2>&1) || return 0
	! is_mounted "$point" || unmount "$point"
	await_idle
}

check_mount() { is_mounted "$work/mnt/$1" && as_peer "$1" test -d "$work/mnt/$1/small"; }

group_names() {
	current_set=main
	if wanted mount; then
		out=()
		each_peer mount time_mount
		unmount_all
	fi
	wanted create mkdir symlink rename unlink rmdir || return 0
	warm_main small
	mount_all main
	in_turn create,rename,unlink new_dir -n "$small_files" files
	in_turn mkdir,rmdir new_dir -n "$small_files" dirs
	in_turn symlink new_dir -n "$small_files" symlinks
	unmount_all
}

# Who walks owns what he walks, as root does in a container: for others the kernel may ask for each file's ACL.
walks_as_owner() { ! is_root || echo yes; }

group_walk() {
	local -a find=(find . -printf '%p %s %T@ %m\n') grep=(grep -rF 'nacre bench: the needle' .)
	local -a list=(-n "$wide_found" -e "$wide_found" run -- "${find[@]}")
	local -a search=(-n "$wide_found" -e 1 run -- "${grep[@]}")
	local by_owner keep_warm=yes
	by_owner=$(walks_as_owner)
	current_set=main
	warm_main wide
	if wanted find-fresh find-warm find-cold; then
		mount_all main
		in_turn find-fresh wide_dir "${list[@]}"
		in_turn find-warm wide_dir "${list[@]}"
		in_turn find-cold wide_dir "${list[@]}"
		unmount_all
	fi
	if wanted grep-fresh grep-warm grep-other grep-cold; then
		mount_all main
		in_turn grep-fresh wide_dir "${search[@]}"
		in_turn grep-warm wide_dir "${search[@]}"
		by_owner='' in_turn grep-other wide_dir "${search[@]}"
		in_turn grep-cold wide_dir "${search[@]}"
		unmount_all
	fi
}

walk_layers() {
	local row=$1 peer=$2 entries
	entries=$(layered_entries "$row" "$layer_files")
	mount_one "$peer" "$row" ro || { record "$row" "$peer" failed; return 0; }
	sample "$row" "$peer" "$work/mnt/$peer" -n "$entries" -e "$entries" run -- find . -printf '%p %s %T@ %m\n'
	unmount "$work/mnt/$peer"
}

group_layers() {
	local n by_owner keep_warm=yes
	by_owner=$(walks_as_owner)
	for n in 2 20 100 500; do
		out=() kept_warm=()
		wanted "layers-$n" || continue
		warm_stores
		warm "$data/layers-$n"
		each_peer "layers-$n" walk_layers
	done
}

group_tree() {
	local peer try
	current_set=main
	warm_main tree project
	warm "$data/tree.tar" "$data/git" "$data/install"
	mount_all main
	for peer in "${peers[@]}"; do
		[ "${kind[$peer]}" != native ] || tar -C "$data/main" -c tree project | tar -C "$(write_dir "$peer")" -x
	done
	rehearse_programs
	in_turn untar new_dir -n "$tree_found" run -- tar -xf "$data/tree.tar"
	in_turn rm new_dir -n "$tree_found" run -- rm -rf usr
	in_turn cp-a write_dir -n "$tree_found" run -- cp -a tree/usr new/copy
	in_turn rm-lower write_dir -n "$tree_found" run -- rm -rf tree
	in_turn git-clone new_dir -n 1 run -- git clone -q --no-hardlinks "$data/git/repo.git" clone
	for ((try = 0; try < repeats; try++)); do
		in_turn git-status clone_dir -n 1 -e 0 run -- git status --porcelain --untracked-files=all
	done
	for ((try = 0; try < repeats; try++)); do
		each_peer make clean_project
		in_turn make project_dir -n 1 run -- make -s -j2
	done
	in_turn install new_dir -n "$install_files" run -- python3 -m zipfile -e "$data/install/package.zip" packages
	unmount_all
}

# What is measured there is a program's work, not how it is read from the disk.
rehearse_programs() {
	local dir=$work/rehearsal
	mkdir "$dir"
	tar -tf "$data/tree.tar" >/dev/null
	cp -a "$data/main/project" "$dir/project"
	if wanted make; then
		make -s -C "$dir/project" store/base/io.o
		ar qc "$dir/project/nacre.a" "$dir/project/store/base/io.o"
	fi
	if wanted git-clone git-status; then
		git clone -q --no-checkout "$data/git/repo.git" "$dir/clone"
		git -C "$dir/clone" ls-tree -r HEAD >/dev/null
	fi
	! wanted install || python3 -m zipfile -l "$data/install/package.zip" >/dev/null
	remove "$dir"
}

clone_dir() { echo "$(new_dir "$1")/clone"; }
clean_project() { as_peer "$2" find "$(project_dir "$2")" '(' -name '*.[od]' -o -name nacre.a ')' -delete; }
project_dir() { echo "$(write_dir "$1")/project"; }

# expect_entries PEER PATH COUNT
expect_entries() {
	local found
	found=$(as_peer "$1" find "$2" | wc -l)
	[ "$found" = "$3" ] || { echo "$found entries rather than $3"; return 1; }
}

# expect_gone PEER FOLDER NAME
expect_gone() {
	! as_peer "$1" find "$2" -maxdepth 1 | grep -Fqx "$2/$3" || { echo "$3 is still there"; return 1; }
}

check_untar() { expect_entries "$1" "$(new_dir "$1")/usr" "$tree_found"; }
check_rm() { expect_gone "$1" "$(new_dir "$1")" usr; }
check_rm_lower() { expect_gone "$1" "$(write_dir "$1")" tree; }
check_cp_a() { expect_entries "$1" "$(new_dir "$1")/copy" "$tree_found"; }
check_git_clone() {
	[ "$(as_peer "$1" git -C "$(clone_dir "$1")" rev-parse HEAD)" = "$(git -C "$data/git/repo.git" rev-parse HEAD)" ] ||
		{ echo "another commit is checked out"; return 1; }
}
check_make() {
	[ "$(as_peer "$1" ar t "$(project_dir "$1")/nacre.a" | wc -l)" = "$(find "$data/main/project" -name '*.c' | wc -l)" ] ||
		{ echo "nacre.a lacks something"; return 1; }
}
check_install() {
	local found
	found=$(as_peer "$1" find "$(new_dir "$1")/packages" -type f | wc -l)
	[ "$found" = "$install_files" ] || { echo "$found files rather than $install_files"; return 1; }
}

diff_mounts() {
	local row=$1 peer=$2 child=$work/mnt/$2 parent
	parent=$work/mnt/$peer.parent
	make_folders "$peer" "$child" "$parent"
	mount_one "$peer" child ro || { record "$row" "$peer" failed; return 0; }
	mount_command "$peer" parent "$parent"
	if (cd "$data" && as_peer "$peer" "${command[@]}" >"$work/mount.log" 2>&1); then
		sample "$row" "$peer" "$child" -n "$diff_files" -e $((2 * diff_changes)) -o "$parent" naivediff
		unmount "$parent"
	else
		fail "$row" "$peer" "$(tail -n 2 "$work/mount.log" | tr '\n' ' ')"
		record "$row" "$peer" failed
	fi
	unmount "$child"
}

group_diff() {
	local keep_warm=yes
	out=()
	warm "$data/diff"
	warm_stores
	each_peer naivediff diff_mounts
}

group_threads() {
	local n try
	current_set=main
	warm_main small
	mount_all main
	for ((try = 0; try < repeats; try++)); do
		for n in 1 2 8; do
			in_turn "threads-$n" new_dir -n "$small_files" -p "$turns" -t "$n" threads
		done
	done
	unmount_all
}
