# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# reachable DIR: let others pass through the test's own folders to it.
reachable() {
	local dir=$1 end=${BATS_RUN_TMPDIR-}
	while [ "$dir" != / ] && [ -O "$dir" ]; do
		[ "$(stat -c %a "$dir")" != 1777 ] || break
		chmod a+x "$dir"
		dir=${dir%/*}
		dir=${dir:-/}
		[ "$dir" != "${end%/*}" ] || break
	done
}
