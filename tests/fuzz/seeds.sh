#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a libFuzzer target begins with: the inputs that are kept in corpus/ (each crash that was found is one), and small
# archives, which are made here.
#
# usage: seeds.sh TARGET DIR
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
target=$1 dir=$2

make_archive() { python3 "$here/../lib/make_archive.py" "$@"; }

mkdir -p "$dir"
[ ! -d "$here/corpus/$target" ] || cp "$here/corpus/$target"/* "$dir/"
case $target in
framing)
	# Raw bytes, and bytes of a file, of its middle, of none, of too many.
	printf '\001\010abcd' >"$dir/raw"
	printf '\001\010abcd\013\002\000\013\003\005' >"$dir/files"
	printf '\001\013\001\000' >"$dir/none"
	printf '\001\377\377\377\377\177\002\000' >"$dir/long"
	{ printf '\000' && printf '\001\010abcd' | zstd -q; } >"$dir/packed"
	;;
layer | rows)
	make_archive second "$dir/second.tar"
	make_archive odd "$dir/odd.tar"
	for kind in dotdot hardlink-later whiteout negative-size huge-size owner; do
		make_archive bad "$kind" "$dir/$kind.tar"
	done
	gzip -k "$dir/odd.tar"
	zstd -q "$dir/second.tar"
	xz -k "$dir/second.tar"
	bzip2 -k "$dir/second.tar"
	;;
esac
