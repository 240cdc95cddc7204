#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every form of whiteout and opaque mark, read from the first, a middle and the last layer, and at a layer's root.
# shellcheck disable=SC2011,SC2016,SC2034,SC2154
bats_require_minimum_version 1.5.0
load ../lib/common
load ../lib/fs

# One tree of four layers serves for all forms: each form has a folder for each layer that it stands in.
setup_file() {
	export LAYERS=$BATS_FILE_TMPDIR/layers LOWERS=''
	local i form layer
	for i in 4 3 2 1; do
		LOWERS=$LAYERS/$i${LOWERS:+:$LOWERS}
		for form in $(whiteout_forms); do
			for layer in 1 2 3 4; do
				make_dir "$LAYERS/$i/$form-$layer"
			done
		done
		for form in $(opaque_forms); do
			for layer in 1 2 3 4; do
				make_dir "$LAYERS/$i/opaque-$form-$layer"
			done
		done
	done
	for layer in 1 2 3 4; do
		for form in $(whiteout_forms); do
			whiteout "$form" "$LAYERS/$layer/$form-$layer" victim
			whiteout "$form" "$LAYERS/$layer/$form-$layer" dirvictim
			# A higher layer has these again.
			whiteout "$form" "$LAYERS/$layer/$form-$layer" again
			for ((i = 1; i < layer; i++)); do
				rm -r "$LAYERS/$i/$form-$layer"/*victim
			done
		done
		for form in $(opaque_forms); do
			opaque "$form" "$LAYERS/$layer/opaque-$form-$layer"
		done
	done
}
setup() { setup_store; }
teardown() { unmount_all; }

make_dir() {
	mkdir -p "$1/dirvictim/inner" "$1/again" "$1/sub"
	printf '%s' "$i" >"$1/shared"
	touch "$1/own$i" "$1/again/own$i" "$1/sub/own$i" "$1/victim" "$1/dirvictim/inner/f"
}

# whiteout FORM DIR NAME: in place of what is there.
whiteout() {
	rm -rf -- "${2:?}/$3"
	case $1 in
	device) mknod "$2/$3" c 0 0 ;;
	file) touch "$2/.wh.$3" ;;
	*)
		touch "$2/$3"
		setfattr -n "$1.overlay.whiteout" -v y "$2/$3"
		setfattr -n "$1.overlay.opaque" -v x "$2"
		;;
	esac
}

# opaque FORM DIR
opaque() {
	case $1 in
	file) touch "$2/.wh..wh..opq" ;;
	*) setfattr -n "$1" -v y "$2" ;;
	esac
}

whiteout_forms() {
	echo device file user
	! is_root || echo trusted
}
opaque_forms() {
	echo file user.overlay.opaque user.fuseoverlayfs.opaque
	! is_root || echo trusted.overlay.opaque
}

# The names own1 to ownN.
owns() {
	local i
	for ((i = 1; i <= $1; i++)); do
		printf 'own%s ' "$i"
	done
}

shown() { (cd "$1" && printf '%s ' own*); }

forms_are_read() {
	local form layer dir
	for layer in 1 2 3 4; do
		for form in $(whiteout_forms); do
			dir=$MNT/$form-$layer
			[ ! -e "$dir/victim" ] && [ ! -e "$dir/dirvictim" ] && [ ! -e "$dir/dirvictim/inner/f" ] ||
				fail "$form in layer $layer: what it hides is found by name"
			assert_equal "$(cat "$dir/shared")$(shown "$dir")" "1$(owns 4)"
			if [ "$layer" = 1 ]; then
				[ ! -e "$dir/again" ]
			else
				assert_equal "$(shown "$dir/again")" "$(owns $((layer - 1)))"
			fi
		done
		for form in $(opaque_forms); do
			dir=$MNT/opaque-$form-$layer
			assert_equal "$(shown "$dir")$(shown "$dir/sub")" "$(owns "$layer")$(owns "$layer")"
			[ "$layer" = 4 ] || [ ! -e "$dir/own4" ]
		done
	done
	assert_equal "$(find "$MNT" -name '*victim*' -not -path "$MNT/opaque-*" -o -name '.wh.*')" ""
}

@test "whiteouts and opaque marks of each form hide what is below them, in each layer" {
	mount_dirs_ro "$LOWERS"
	forms_are_read
}

@test "the same under an upper, and what is made in their places is new" {
	local form layer
	mount_dirs "$LOWERS"
	for form in $(whiteout_forms); do
		for layer in 1 2 3 4; do
			touch "$MNT/$form-$layer/new"
		done
	done
	forms_are_read
	for form in $(whiteout_forms); do
		for layer in 1 2 3 4; do
			mkdir "$MNT/$form-$layer/dirvictim"
			touch "$MNT/$form-$layer/victim"
		done
	done
	remount_dirs "$LOWERS"
	for form in $(whiteout_forms); do
		for layer in 1 2 3 4; do
			assert_equal "$(ls -A "$MNT/$form-$layer/dirvictim")" ""
			[ -f "$MNT/$form-$layer/victim" ]
		done
	done
}

@test "an upper with each form is read, and what it hides stays hidden when the upper changes" {
	local form
	cp -a "$LAYERS/1" "$UPPER"
	mount_dirs "$LAYERS/2:$LAYERS/3:$LAYERS/4"
	forms_are_read
	for form in $(whiteout_forms); do
		mkdir "$MNT/$form-1/dirvictim" "$MNT/$form-1/new"
		touch "$MNT/$form-1/victim"
		rm "$MNT/$form-1/own1" "$MNT/$form-1/own4"
		mv "$MNT/$form-1" "$MNT/moved-$form"
	done
	remount_dirs "$LAYERS/2:$LAYERS/3:$LAYERS/4"
	for form in $(whiteout_forms); do
		assert_equal "$(ls "$MNT/moved-$form" | xargs)" "dirvictim new own2 own3 shared sub victim"
		assert_equal "$(ls -A "$MNT/moved-$form/dirvictim")" ""
		[ ! -e "$MNT/$form-1" ]
	done
}

@test "an opaque mark of each form at the root of a layer, the upper's too" {
	local form layer dir=$BATS_TEST_TMPDIR/roots
	for form in $(opaque_forms); do
		for layer in 1 2; do
			rm -rf "$dir"
			mkdir -p "$dir/1/d" "$dir/2/d" "$dir/3/d"
			touch "$dir"/1/{own1,d/own1} "$dir"/2/{own2,d/own2} "$dir"/3/{own3,d/own3}
			opaque "$form" "$dir/$layer"
			if [ "$layer" = 1 ]; then
				mkdir "$dir/work"
				nacrefs -o "lowerdir=$dir/2:$dir/3,upperdir=$dir/1,workdir=$dir/work" "$MNT"
			else
				mount_dirs_ro "$dir/1:$dir/2:$dir/3"
			fi
			assert_equal "$(shown "$MNT")$(shown "$MNT/d")" "$(owns "$layer")$(owns "$layer")"
			[ ! -e "$MNT/own3" ] && [ ! -e "$MNT/d/own3" ]
			unmount
		done
	done
}

@test "marks with another value, or on what is no folder, are no marks" {
	local dir=$BATS_TEST_TMPDIR/odd
	mkdir -p "$dir"/{1,2}/{d,e}
	touch "$dir"/1/{own1,d/own1} "$dir"/2/{own2,d/own2,e/own2}
	printf content >"$dir/1/e/own1"
	setfattr -n user.overlay.opaque -v n "$dir/1/d"
	setfattr -n user.fuseoverlayfs.opaque -v yes "$dir/1/e"
	setfattr -n user.overlay.whiteout -v y "$dir/1/own1"
	setfattr -n user.overlay.opaque -v x "$dir/1/e"
	setfattr -n user.overlay.whiteout -v y "$dir/1/e/own1"
	mount_dirs "$dir/1:$dir/2"
	assert_equal "$(shown "$MNT")$(shown "$MNT/d")$(shown "$MNT/e")" "$(owns 2)$(owns 2)$(owns 2)"
	assert_equal "$(cat "$MNT/e/own1")" content
}

# containers/storage and fuse-overlayfs leave such files in folders that no lower has any more.
@test "a folder of the upper that holds but another driver's marks is empty" {
	mkdir -p "$BATS_TEST_TMPDIR/low/other" "$UPPER"/{gone,over,from}
	touch "$UPPER"/{gone,over}/.wh..wh..opq "$UPPER"/{gone,over}/.wh.name "$UPPER/from/file"
	mount_dirs "$BATS_TEST_TMPDIR/low"
	rmdir "$MNT/gone"
	in_python <<-'END'
		os.rename("from", "over")
		eq(names(), ["other", "over"])
		eq(names("over"), ["file"])
	END
	remount_dirs "$BATS_TEST_TMPDIR/low"
	assert_equal "$(cd "$MNT" && echo ./* ./*/*)" "./other ./over ./over/file"
	[ ! -e "$UPPER/gone" ]
}
