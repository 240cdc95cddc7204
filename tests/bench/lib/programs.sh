# shellcheck shell=bash disable=SC2154,SC2034 # the variables of run.sh and podman.sh
# SPDX-License-Identifier: Apache-2.0
#
# The programs that are measured and that measure.

# check_optimised FOLDER: figures of a build for debugging, or of one with a sanitizer, say nothing.  Of copies of the
# programs alone that cannot be told.
check_optimised() {
	local options
	[ -d "$1/meson-info" ] || return 0
	options=$(meson introspect --buildoptions "$1" | python3 -c '
import json, sys
values = {option["name"]: option["value"] for option in json.load(sys.stdin)}
print(values["optimization"], values["b_sanitize"])') || die "meson does not say how $1 was built"
	[[ $options == [23s]" none" ]] ||
		die "the build in $1 (optimization ${options% *}, sanitizer ${options#* }) is not what is installed: -Dbuildtype=release"
}

# make_programs OPTION...: what setup.sh is to install besides; sets $bench, $nacre and $nacrefs
make_programs() {
	local log=$work/build.log name
	[ "${NACRE_SETUP:-1}" = 0 ] || "$top/tools/setup.sh" --build "$@" >&2
	[ -z "$build" ] || check_optimised "$build"
	if [ -z "$build" ]; then
		build=$top/build-bench
		if [ ! -e "$build/build.ninja" ]; then
			# Warnings are for those who change the code: this asks for the optimiser's own set of them.
			meson setup "$build" "$top" --buildtype=release >"$log" 2>&1 ||
				{ tail -n 30 "$log" >&2; die "meson setup failed"; }
		fi
		# What meson.build asks of a subproject counts only when the folder is made.
		meson configure "$build" -Dfuse3:enable-custom-io=true >"$log" 2>&1 || true
		ninja -C "$build" fs/nacrefs tools/nacre tests/bench/nacre-bench >"$log" 2>&1 ||
			{ tail -n 60 "$log" >&2; die "the build failed"; }
	fi
	# Copies, which the ordinary user can run wherever the build is.
	mkdir "$work/bin"
	for name in tests/bench/nacre-bench tools/nacre fs/nacrefs; do
		[ -x "$build/$name" ] || die "no program $build/$name"
		cp "$build/$name" "$work/bin/"
	done
	bench=$work/bin/nacre-bench
	nacre=$work/bin/nacre
	nacrefs=$work/bin/nacrefs
	export NACREFS=$nacrefs
}
