# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the suites on real mounts share, on top of common.bash.
#
#	load ../lib/common
#	load ../lib/fs
#	setup_file() { make_lowers base_tree; }
#	setup() { setup_store; }
#	teardown() { unmount_all; }
#
#	@test "what must hold" {
#		while fresh_mount; do
#			...				# bash, with the tree at $MNT
#			in_python <<-'END'
#				...			# python, in $MNT, with all of tests/lib/fstest.py
#			END
#			remount
#		done
#	}
#
# The body runs once for each way to mount the same tree (kinds), each time with a new upper.  The lowers are made once
# for each file and are never written: lowers_unchanged in teardown_file says so.

# kinds: how a tree is mounted.  dirs: directory lowers.  store: an image of the store.  fakeroot: directory lowers, the
# plain user is root in it.  fakestore: the same with an image of root's files, as `nacre mount` does it.
mount_kinds() {
	if [ -n "${NACRE_KINDS:-}" ]; then
		echo "$NACRE_KINDS"
	elif is_root; then
		echo dirs store
	else
		echo dirs store fakeroot fakestore
	fi
}

# For what takes long and does not depend on the kind.
one_kind() {
	if is_root; then
		echo dirs
	else
		echo fakestore
	fi
}

# make_lowers FUNCTION...: each makes one layer in the folder that it is given, the lowest first.  They become directory
# lowers ($LOWERS, topmost first) and an image (lowers:1 in $LOWERS_STORE); for the plain user also one in which all is
# root's, as in the images that people have (rooted:1).
make_lowers() {
	local make dir n=0
	local -a tars=() rooted=()
	export LOWERS_DIR=$BATS_FILE_TMPDIR/lowers LOWERS_STORE=$BATS_FILE_TMPDIR/store LOWERS=''
	mkdir -p "$LOWERS_DIR"
	for make in "$@"; do
		n=$((n + 1))
		dir=$LOWERS_DIR/$n
		mkdir "$dir"
		(umask 022 && cd "$dir" && "$make" "$dir")
		LOWERS=$dir${LOWERS:+:$LOWERS}
		tar_layer "$dir" "$BATS_FILE_TMPDIR/$n.tar"
		tars+=("$BATS_FILE_TMPDIR/$n.tar")
		is_root && continue
		tar_layer "$dir" "$BATS_FILE_TMPDIR/$n.rooted.tar" --owner=0 --group=0
		rooted+=("$BATS_FILE_TMPDIR/$n.rooted.tar")
	done
	list_tree "$LOWERS_DIR" >"$BATS_FILE_TMPDIR/lowers.before"
	import_layers "$LOWERS_STORE" lowers:1 "${tars[@]}"
	is_root || import_layers "$LOWERS_STORE" rooted:1 "${rooted[@]}"
	rm -f "${tars[@]}" "${rooted[@]}"
}

lowers_unchanged() {
	[ ! -e "$BATS_FILE_TMPDIR/lowers.before" ] ||
		diff "$BATS_FILE_TMPDIR/lowers.before" <(list_tree "$LOWERS_DIR") || fail "a lower was changed"
}

# tar_layer DIR TAR [MORE...]: a layer's archive, with all that a tar can say of it.
tar_layer() {
	tar -C "$1" "${@:3}" --format=pax --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include='*' --numeric-owner \
		--sort=name -cf "$2" . 2>/dev/null
}

# import_layers STORE REF TAR...: the lowest first.
import_layers() {
	local store=$1 ref=$2
	shift 2
	if [ $# = 1 ]; then
		NACRE_STORE=$store nacre import "$1" "$ref" >/dev/null
	else
		python3 "$NACRE_TOP/tests/lib/make_archive.py" docker "$BATS_FILE_TMPDIR/image.tar" "$ref" "$@"
		NACRE_STORE=$store nacre load -q "$BATS_FILE_TMPDIR/image.tar" >/dev/null
		rm -f "$BATS_FILE_TMPDIR/image.tar"
	fi
}

# mount_kind KIND [OPTIONS]: the file's lowers at $MNT with $UPPER and $WORK; read-only where UPPER is "".
mount_kind() {
	local kind=$1 options=${2:-}
	case $kind in
	store) options+=",store=$LOWERS_STORE,image=lowers:1" ;;
	fakestore) options+=",store=$LOWERS_STORE,image=rooted:1" ;;
	*) options+=",lowerdir=$LOWERS" ;;
	esac
	case $kind in
	fake*) options+=,fakeroot ;;
	esac
	if [ -n "$UPPER" ]; then
		mkdir -p "$UPPER" "$WORK"
		options+=",upperdir=$UPPER,workdir=$WORK"
	fi
	mkdir -p "$MNT"
	nacrefs -o "$options" "$MNT"
}

# fresh_mount [OPTIONS]: the next kind, with a new upper; 1 when there are no more.  A test with kinds of its own sets
# KINDS before, one without an upper sets UPPER to "".
fresh_mount() {
	local -a kinds
	read -ra kinds <<<"${KINDS:-$(mount_kinds)}"
	: "${KINDS_DONE:=0}"
	if [ -n "${KIND:-}" ] && mountpoint -q "$MNT"; then
		unmount "$MNT" || exit 1
	fi
	[ "$KINDS_DONE" -lt "${#kinds[@]}" ] || return 1
	KIND=${kinds[KINDS_DONE]}
	KINDS_DONE=$((KINDS_DONE + 1))
	KIND_OPTIONS=${1:-}
	if [ -n "$UPPER" ]; then
		clear_upper
	fi
	echo "# mounted as: $KIND"
	mount_kind "$KIND" "$KIND_OPTIONS" || exit 1
}

clear_upper() {
	[ ! -e "$UPPER" ] || chmod -R u+rwX "$UPPER" "$WORK" 2>/dev/null || true
	rm -rf -- "$UPPER" "$WORK" || exit 1
}

is_fake() { [[ $KIND == fake* ]]; }

# The same again: what was written must be there.
remount() {
	unmount "$MNT"
	mount_kind "$KIND" "${1:-$KIND_OPTIONS}"
}

# Run the python program on stdin in a folder, $MNT unless told, with what tests/lib/fstest.py offers.  Arguments after
# it are its sys.argv[1:].
in_python() {
	local dir=${1:-$MNT} program
	[ $# = 0 ] || shift
	program=$(cat)
	(
		cd "$dir" || exit
		export KIND PYTHONPATH=$NACRE_TOP/tests/lib PYTHONDONTWRITEBYTECODE=1
		exec python3 -c "from fstest import *
$program" "$@" 3>&- 4>&-
	)
}

# Make the kernel forget what it can of names and inodes; root only.
drop_caches() {
	echo "${1:-2}" >/proc/sys/vm/drop_caches
}

# One of everything, small.
base_tree() {
	mkdir -p d/sub/deep empty tree/x/y replaced
	printf 'hello\n' >file
	printf 'run\n' >./exec
	chmod 755 exec
	printf 'mine\n' >secret
	chmod 600 secret
	: >empty-file
	printf a >d/a
	printf b >d/b
	printf deep >d/sub/deep/f
	printf 1 >tree/1
	printf 2 >tree/x/2
	printf 3 >tree/x/y/3
	printf old >replaced/old
	printf linked >hl1
	ln hl1 hl2
	ln hl1 d/hl3
	ln -s file link
	ln -s nowhere dangling
	ln -s d dirlink
	mkfifo fifo
	head -c 300000 /dev/zero | tr '\0' x >big
	truncate -s 1M sparse
	printf data | dd of=sparse bs=1 seek=524288 conv=notrunc status=none
	setfattr -n user.one -v 1 file
	setfattr -n user.dir -v yes d
	if is_root; then
		mknod cdev c 1 3
		mknod bdev b 7 99
		printf 'suid\n' >suid
		chown 1234:5678 suid
		chmod 6755 suid
	else
		printf 'suid\n' >suid
		chmod 6755 suid
	fi
	chmod 2775 d/sub
	find . -exec touch -h -d '2001-02-03 04:05:06.123456789' {} +
}
