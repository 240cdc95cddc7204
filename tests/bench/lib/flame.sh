# shellcheck shell=bash disable=SC2154 # the variables of run.sh and of its other parts
# SPDX-License-Identifier: Apache-2.0
#
# A flame graph of the rows that are measured: where the processor time of client and driver goes, in the kernel and in
# their programs.  perf records, the flamegraph.pl that Devel::NYTProf brings along draws.

flame_program=/usr/share/perl5/Devel/NYTProf/flamegraph.pl
flame_recorded=0

# Before anything is measured.
check_flame() {
	[ ${#peers[@]} = 1 ] || die "--flame is for one column, not ${#peers[@]}: say which with --peers NAME"
	command -v perf >/dev/null || die "--flame needs perf, of the package linux-perf"
	[ -r "$flame_program" ] || die "--flame needs $flame_program, of the package libdevel-nytprof-perl"
	is_root || die "--flame needs root, for the kernel's share"
}

# flame_begin PEER: record what this shell starts from now on, and the driver where the peer has one
flame_begin() {
	local drivers
	drivers=$(pgrep -d , -f -- " $work/mnt/$1(\.parent)?\$" || true)
	rm -f "$work/flame.do" "$work/flame.done"
	mkfifo "$work/flame.do" "$work/flame.done"
	# Stacks by what the compiler says of them: programs and libraries keep no frame pointers.
	perf record -q -e cpu-clock -F 1999 --call-graph dwarf,8192 -p "$$${drivers:+,$drivers}" -D -1 \
		--control "fifo:$work/flame.do,$work/flame.done" -o "$work/flame.$flame_recorded" >"$work/flame.log" 2>&1 &
	flame_recorder=$!
	exec {flame_do}>"$work/flame.do" {flame_done}<"$work/flame.done"
	printf 'enable\n' >&"$flame_do"
	read -r -t 20 -u "$flame_done" || die "perf does not record: $(tail -n 2 "$work/flame.log")"
}

flame_end() {
	printf 'stop\n' >&"$flame_do"
	wait "$flame_recorder" || die "perf recorded nothing: $(tail -n 2 "$work/flame.log")"
	exec {flame_do}>&- {flame_done}<&-
	flame_recorded=$((flame_recorded + 1))
}

# A line for each stack that was seen: the program, its functions from the outermost to the innermost, how often.
flame_stacks() {
	local i
	for ((i = 0; i < flame_recorded; i++)); do
		perf script --no-inline -F comm,ip,sym -i "$work/flame.$i" 2>"$work/flame.log"
	done | awk '
		function note() {
			# What calls main() has no name.
			sub(/^(;\[unknown\])+/, "", stack)
			if (program != "" && stack != "")
				seen[program stack]++
			program = stack = ""
		}
		/^$/ { note(); next }
		program == "" { program = $1; next }
		{ sub(/^[ \t]*[0-9a-f]+ /, ""); gsub(/[ ;]/, "_"); stack = ";" $0 stack }
		END { note(); for (line in seen) print line, seen[line] }' | sort
}

# Without what this shell does between its commands.  A picture without a program in it: a file of that kind is shown by
# what shows no scripts, and each part tells its name and share as its title anyway.
flame_draw() {
	flame_stacks | grep -v '^bash;' >"$work/flame.stacks" || die "--flame: nothing was recorded"
	perl "$flame_program" --title "$(cut -f 1 "$work/samples" | sort -u | paste -s -d ' ') on ${peers[0]}" \
		--width 1200 --minwidth 4 --countname samples "$work/flame.stacks" |
		sed -E '/<script/,/<\/script>/d; / id="(unzoom|search)"/d; s/ on(load|mouseover|mouseout|click)="[^"]*"//g' >"$flame"
	say "bench: $(awk '{ all += $NF } END { print all }' "$work/flame.stacks") samples are in $flame"
}
