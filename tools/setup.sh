#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Install what nacre needs on a Debian-like machine: packages by apt-get, libfuse where the system's is too old, and
# /dev/fuse for everybody.  When all is there it says so without touching the network, so that other scripts can
# call it each time.
set -euo pipefail

usage() {
	cat <<'EOF'
usage: tools/setup.sh [--build] [--tests] [--bench] [--chart] | --sources
  --build   what building and running nacre needs (the default)
  --tests   also what tests/run.sh needs
  --bench   also what tests/bench/run.sh compares with
  --chart   also what its chart is drawn with
  --sources only print, for mmdebstrap, where this machine takes its distribution from
EOF
}

top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
subprojects=$top/tools/subprojects
wrap=$subprojects/fuse3.wrap
fuse_minimum=3.17

# A word is a package; "a|b" is the first of them that the distribution has; a trailing "?" marks one to be done
# without where no name is known.
build_packages='gcc libc6-dev meson ninja-build pkgconf|pkg-config libsqlite3-dev libxxhash-dev libarchive-dev libssl-dev
	libzstd-dev zlib1g-dev libisal-dev? libjansson-dev libncurses-dev libcurl4-openssl-dev liburing-dev fuse3
	mmdebstrap attr ca-certificates tar gzip crun|runc uidmap'
# shellcheck disable=SC2034 # used by name, below
tests_packages='libcmocka-dev bats attr acl strace crun runc umoci skopeo docker-registry openssl python3 fakeroot
	libarchive-tools make gcc fio e2fsprogs squashfs-tools erofs-utils xfsprogs jq sqlite3 bzip2 xz-utils zstd uidmap git patch rsync
	python3-jsonschema zsh fish tmux procps libcap2-bin fuse-overlayfs mandoc|groff clang? podman buildah busybox-static
	libclang-rt-dev|libclang-rt-14-dev?'
# shellcheck disable=SC2034 # likewise
bench_packages='libcmocka-dev python3 make gcc e2fsprogs git fio jq sqlite3 procps fuse-overlayfs unionfs-fuse?
	mergerfs? umoci skopeo? podman? buildah? linux-perf|linux-tools-generic? libdevel-nytprof-perl'
# shellcheck disable=SC2034 # likewise
chart_packages='python3-matplotlib'

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: error: %s\n' "$*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "this needs root, and there is no sudo: run as root: $*"
	fi
}

temp=
cleanup() { [ -z "$temp" ] || rm -rf -- "$temp"; }
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- packages -------------------------------------------------------------------------------------------------------

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

is_available() {
	[ -n "$(apt-cache show --no-all-versions "$1" 2>/dev/null)" ]
}

candidate_version() {
	apt-cache policy "$1" | sed -n 's/^ *Candidate: //p' | sed 's/^(none)$//'
}

# Of the entries given, print those of which no name is installed.
missing_entries() {
	local entry name
	for entry in "$@"; do
		for name in $(tr '|?' '  ' <<<"$entry"); do
			is_installed "$name" && continue 2
		done
		printf '%s\n' "$entry"
	done
}

install_packages() {
	local label=$1 entry name found log
	shift
	local -a missing names=()
	mapfile -t missing < <(missing_entries "$@")

	# An optional package that no list knows must not cause an update each time: ask the lists as they are first.
	local only_optional=yes
	for entry in "${missing[@]}"; do
		[[ $entry == *'?' ]] || only_optional=no
	done
	if [ ${#missing[@]} = 0 ]; then
		say "$label packages: all there"
		return
	fi

	temp=${temp:-$(mktemp -d)}
	log=$temp/apt.log
	if [ "$only_optional" = no ]; then
		say "$label packages: updating the package lists"
		as_root apt-get -q -o DPkg::Lock::Timeout=300 update >"$log" 2>&1 ||
			{ cat "$log" >&2; die "apt-get update failed; is the package mirror reachable?"; }
	fi
	for entry in "${missing[@]}"; do
		found=
		for name in $(tr '|?' '  ' <<<"$entry"); do
			if is_available "$name"; then
				found=$name
				break
			fi
		done
		if [ -n "$found" ]; then
			names+=("$found")
		elif [[ $entry != *'?' ]]; then
			die "no package called ${entry//|/ or } is known to apt on this machine"
		fi
	done
	if [ ${#names[@]} = 0 ]; then
		say "$label packages: all there that this distribution has"
		return
	fi
	say "$label packages: installing ${names[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends "${names[@]}" >"$log" 2>&1 ||
		{ tail -n 30 "$log" >&2; die "apt-get install failed for: ${names[*]}"; }
}

# ---- libfuse --------------------------------------------------------------------------------------------------------

wrap_value() { sed -n "s/^$1 *= *//p" "$wrap"; }

# Write one deb822 stanza without its Suites line, into $1/NUMBER, for each place from which this machine takes the
# distribution itself.  The suite's name tells those from third-party archives, the key comes along as it was named.
list_mirrors() {
	local dir=$1 codename
	# shellcheck disable=SC1091
	codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	local -a sources=()
	local file
	for file in /etc/apt/sources.list.d/*.sources; do
		[ -r "$file" ] && sources+=("$file")
	done
	{
		for file in "${sources[@]}"; do
			# A comment may stand inside a stanza, where it separates nothing.
			grep -v '^#' "$file" || true
			printf '\n'
		done
	} | awk -v RS= -v dir="$dir" -v codename="$codename" '
		function has(list, word) { return index(" " list " ", " " word " ") > 0 }
		{
			split("", field); key = ""
			n = split($0, lines, "\n")
			for (i = 1; i <= n; i++) {
				if (lines[i] ~ /^[ \t]/) {
					field[key] = field[key] "\n" lines[i]
				} else {
					key = tolower(substr(lines[i], 1, index(lines[i], ":") - 1))
					value = substr(lines[i], index(lines[i], ":") + 1)
					sub(/^[ \t]+/, "", value)
					field[key] = value
				}
			}
			gsub(/[\t\n]/, " ", field["types"]); gsub(/[\t\n]/, " ", field["suites"])
			gsub(/[\t\n]/, " ", field["components"]); gsub(/[\t\n]/, " ", field["uris"])
			if (tolower(field["enabled"]) == "no" || !has(field["types"], "deb") ||
			    !has(field["components"], "main"))
				next
			if (!has(field["suites"], codename) && field["suites"] !~ /stable|testing|sid/)
				next
			if (field["suites"] ~ /-security/ && !has(field["suites"], codename))
				next
			m = split(field["uris"], uri, " ")
			for (j = 1; j <= m; j++) {
				out = dir "/" ++count
				printf "Types: deb-src\nComponents: main\nURIs: %s\n", uri[j] >out
				if (field["signed-by"] != "")
					printf "Signed-By: %s\n", field["signed-by"] >out
				close(out)
			}
		}'
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
		awk -v dir="$dir" -v codename="$codename" '
		$1 == "deb" {
			line = $0; options = ""
			if (match(line, /\[[^]]*\]/)) {
				options = substr(line, RSTART + 1, RLENGTH - 2)
				line = substr(line, 1, RSTART - 1) " " substr(line, RSTART + RLENGTH)
			}
			sub(/#.*/, "", line)
			n = split(line, word, " ")
			is_main = 0
			for (i = 4; i <= n; i++)
				if (word[i] == "main")
					is_main = 1
			if (!is_main || word[2] ~ /^cdrom:/ || word[3] ~ /-security|-updates|\/updates/)
				next
			if (word[3] != codename && word[3] !~ /stable|testing|sid/)
				next
			out = dir "/list" ++count
			printf "Types: deb-src\nComponents: main\nURIs: %s\n", word[2] >out
			m = split(options, option, " ")
			for (i = 1; i <= m; i++)
				if (tolower(option[i]) ~ /^signed-by=/) {
					gsub(/,/, " ", option[i])
					printf "Signed-By: %s\n", substr(option[i], 11) >out
				}
			close(out)
		}' || true
}

# apt-get with a state of its own: the system's lists, cache and sources stay as they are.  Signatures are checked as
# for any other source; a failed download is an error rather than a warning.
private_apt() {
	local tool=$1 dir=$2
	shift 2
	"$tool" -q \
		-o Dir::State="$dir/state" \
		-o Dir::Cache="$dir/cache" \
		-o Dir::Etc::sourcelist="$dir/fuse3.sources" \
		-o Dir::Etc::sourceparts=/dev/null \
		-o APT::Update::Error-Mode=any \
		-o Acquire::Retries=2 \
		"$@"
}

# Download the newest fuse3 that suite $3 of the mirror in stanza file $2 has into $1; fails if that is too old.
download_fuse() {
	local dir=$1 stanza=$2 suite=$3 version
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/download"
	{ cat "$stanza"; printf 'Suites: %s\n' "$suite"; } >"$dir/fuse3.sources"
	# apt downloads as a user of its own when it is started by root.
	if [ "$(id -u)" = 0 ] && id _apt >/dev/null 2>&1; then
		chown -R _apt "$dir/state" "$dir/cache" "$dir/download"
	fi
	private_apt apt-get "$dir" update || return
	version=$(private_apt apt-cache "$dir" showsrc fuse3 | sed -n 's/^Version: //p' | sort -V | tail -n 1)
	[ -n "$version" ] || return
	dpkg --compare-versions "$version" ge "$fuse_minimum" || return
	(cd "$dir/download" && private_apt apt-get "$dir" source --download-only "fuse3=$version")
}

fetch_fuse() {
	local target=$subprojects/$1 suite stanza dir tarball='' version unpacked hash
	temp=${temp:-$(mktemp -d)}
	chmod 755 "$temp"
	mkdir -p "$temp/mirrors"
	list_mirrors "$temp/mirrors"
	[ -n "$(ls -A "$temp/mirrors")" ] ||
		die "found no source of the distribution's own packages under /etc/apt to take libfuse $fuse_minimum from"

	# From the newest suite down.  An older machine's keyring may not know the newest suite's key, and then apt refuses
	# it and the next one is tried.
	for suite in sid testing forky trixie; do
		for stanza in "$temp"/mirrors/*; do
			dir=$temp/$suite-${stanza##*/}
			mkdir -p "$dir"
			if download_fuse "$dir" "$stanza" "$suite" >"$dir/log" 2>&1; then
				tarball=$(find "$dir/download" -name 'fuse3_*.orig.tar.*' ! -name '*.asc')
				[ -z "$tarball" ] || break 2
			fi
		done
	done
	if [ -z "$tarball" ]; then
		grep -h '^E:' "$temp"/*/log | sort -u >&2 || true
		say "libfuse: warning: no suite on this machine's mirror gave $fuse_minimum or newer; meson will try upstream's"
		return
	fi

	version=${tarball##*/fuse3_}
	version=${version%%.orig.tar.*}
	hash=$(sha256sum "$tarball" | cut -d ' ' -f 1)
	if [ "$(wrap_value source_filename)" = "fuse-$version.tar.gz" ] && [ "$hash" != "$(wrap_value source_hash)" ]; then
		die "the mirror's libfuse $version is not the release that $wrap names: its SHA-256 is $hash"
	fi
	# The folder's name is the wrap's whatever the version is: it is where meson looks.
	unpacked=$(mktemp -d "$subprojects/.fuse3.XXXXXX")
	if ! tar -x --no-same-owner -f "$tarball" -C "$unpacked" --strip-components=1; then
		rm -rf -- "$unpacked"
		die "cannot unpack $tarball into $unpacked"
	fi
	chmod 755 "$unpacked"
	rm -rf -- "$target"
	mv -- "$unpacked" "$target"
	say "libfuse: $version from suite $suite, signed, SHA-256 ${hash:0:16}..."
}

install_fuse() {
	local directory
	if pkg-config --atleast-version="$fuse_minimum" fuse3 2>/dev/null; then
		say "libfuse: the system's $(pkg-config --modversion fuse3)"
		return
	fi
	directory=$(wrap_value directory)
	[ -n "$directory" ] || die "$wrap names no directory"
	if [ -e "$subprojects/$directory/meson.build" ]; then
		say "libfuse: its source is in tools/subprojects/$directory"
		return
	fi
	if dpkg --compare-versions "$(candidate_version libfuse3-dev)" ge "$fuse_minimum"; then
		install_packages libfuse libfuse3-dev
		return
	fi
	fetch_fuse "$directory"
}

# ---- /dev/fuse ------------------------------------------------------------------------------------------------------

open_device() {
	if [ ! -e /dev/fuse ]; then
		grep -qw fuse /proc/filesystems || as_root modprobe fuse 2>/dev/null ||
			die "the kernel has no FUSE: load or build its fuse module"
		[ -e /dev/fuse ] || as_root mknod -m 666 /dev/fuse c 10 229 || die "cannot make /dev/fuse"
	fi
	# udev gives everybody access; a machine without udev leaves it to root.
	if [ "$(stat -c %a /dev/fuse)" != 666 ]; then
		as_root chmod 666 /dev/fuse || die "cannot give everybody access to /dev/fuse"
	fi
	# fusermount3 refuses without it; a small root file system that was never booted may lack it.
	if [ ! -e /etc/mtab ]; then
		as_root ln -s ../proc/self/mounts /etc/mtab || die "cannot make /etc/mtab, which fusermount3 needs"
	fi
	say "/dev/fuse: open to everybody"
}

# ---------------------------------------------------------------------------------------------------------------------

print_sources() {
	local stanza
	temp=$(mktemp -d)
	list_mirrors "$temp"
	for stanza in "$temp"/*; do
		[ -e "$stanza" ] || die "found no source of the distribution's own packages under /etc/apt"
		sed 's/^Types:.*/Types: deb/' "$stanza"
		# shellcheck disable=SC1091
		printf 'Suites: %s\n\n' "$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
	done
}

want=build
for argument in "$@"; do
	case $argument in
	--build) ;;
	--tests) want+=' tests' ;;
	--bench) want+=' bench' ;;
	--chart) want+=' chart' ;;
	--sources) print_sources; exit 0 ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done

if ! command -v apt-get >/dev/null; then
	die "only machines with apt-get are known here; install these by hand (Debian's names): $build_packages"
fi

# Two runs at once would install twice and unpack into the same place.
exec 9<"$top/tools"
flock 9

for label in $want; do
	packages=${label}_packages
	# shellcheck disable=SC2086
	install_packages "$label" ${!packages}
done
install_fuse
open_device
