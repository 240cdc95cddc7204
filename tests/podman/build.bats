# SPDX-License-Identifier: Apache-2.0
# Images made by podman build and by buildah on nacrefs.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# build NAME [OPTION...]: the Containerfile on stdin, its context $BATS_TEST_TMPDIR/context.
build() {
	local name=$1
	shift
	mkdir -p "$BATS_TEST_TMPDIR/context"
	cat >"$BATS_TEST_TMPDIR/context/Containerfile"
	podman build -q --isolation chroot --network host "$@" -t "$name" "$BATS_TEST_TMPDIR/context" >/dev/null
}

@test "podman build: each kind of step, one layer a step, and the cache on the second run" {
	local -a step=(build built:1 --layers)
	mkdir -p "$BATS_TEST_TMPDIR/context/tree/sub"
	echo page >"$BATS_TEST_TMPDIR/context/tree/sub/page"
	tar -C "$BATS_TEST_TMPDIR/context/tree" -cf "$BATS_TEST_TMPDIR/context/added.tar" sub
	"${step[@]}" <<-'END'
		FROM base:1
		ENV WORD=hello
		WORKDIR /srv/app
		ADD added.tar /added
		COPY --chown=33:33 tree /copied
		RUN echo $WORD >word && rm -r /usr/share/data/deep && chmod 4755 /usr/share/data/1 && chown 33:33 /usr/share/data/2
		RUN mkdir /usr/share/data/deep && echo new >/usr/share/data/deep/new && rm /usr/share/data/3 && mkdir /usr/share/data/3
		RUN mv /usr/share/data/4 /usr/share/data/deep/4 && ln -s deep/4 /usr/share/data/4 && mkfifo pipe
		VOLUME /srv/volume
		EXPOSE 8080
		USER web
		CMD ["cat", "word"]
	END
	assert_equal "$(podman run --rm built:1)" hello
	assert_equal "$(podman run --rm built:1 sh -c 'pwd; id -u; cat /added/sub/page; stat -c "%u:%g" /copied /copied/sub/page /usr/share/data/2
		stat -c "%a %F" /usr/share/data/1 /usr/share/data/3; cat /usr/share/data/4; ls /usr/share/data/deep')" \
		$'/srv/app\n33\npage\n33:33\n33:33\n33:33\n4755 regular file\n755 directory\n4\n4\nnew'
	assert_no_marks built:1
	local before
	before=$(podman images -q built:1)
	cp "$BATS_TEST_TMPDIR/context/Containerfile" "$BATS_TEST_TMPDIR/again"
	"${step[@]}" <"$BATS_TEST_TMPDIR/again"
	assert_equal "$(podman images -q built:1)" "$before"
	podman rmi -f built:1
}

# shellcheck disable=SC2016
# The commands of the README's row for docker build, one a line.
readme_build() { sed -n 's/^| `docker build [^`]*` | //p' "$NACRE_TOP/README.md" | grep -o '`[^`]*`' | tr -d '`'; }

@test "the README's way from nacre's store into FROM, through podman build, and back into the store" {
	local command count=0
	local -x NACRE_STORE=$BATS_TEST_TMPDIR/store
	mkdir "$BATS_TEST_TMPDIR/context"
	cd "$BATS_TEST_TMPDIR/context"
	nacre import -q "$BATS_FILE_TMPDIR/base.tar" app:1
	nacre save -o app.tar app:1
	podman load -q -i app.tar
	printf 'FROM app:1\nRUN echo built >/built\nCMD ["cat", "/built"]\n' >Containerfile
	while IFS= read -r command <&9; do
		eval "$command" 9<&- || fail "the README's $command failed"
		count=$((count + 1))
	done 9< <(readme_build)
	assert_equal "$count" 4
	assert_equal "$(nacre cat app:2 /built)" built
	assert_equal "$(nacre inspect -f '{{json .Config.Cmd}}' app:2)" '["cat","/built"]'
	assert_equal "$(nacre inspect app:1 app:2 | jq -c '.[0].RootFS.Layers == .[1].RootFS.Layers[:1]')" true
	podman rmi -f app:2 app:1
}

@test "multi-stage builds and --squash-all" {
	build squashed:1 --squash-all <<-'END'
		FROM base:1 AS first
		RUN mkdir -p /out/dir && echo made >/out/dir/file && chmod 600 /out/dir/file
		FROM base:1
		COPY --from=first /out /in
		RUN rm -r /usr/share/data && echo more >>/in/dir/file
	END
	assert_equal "$(podman run --rm squashed:1 sh -c 'cat /in/dir/file; stat -c %a /in/dir/file; ls /usr/share')" \
		$'made\nmore\n600\nlink'
	assert_equal "$(podman inspect squashed:1 --format '{{len .RootFS.Layers}}')" 1
	podman rmi -f squashed:1
}

@test "buildah from, run, copy, mount, commit, commit --squash" {
	local c
	c=$(buildah from base:1)
	buildah run "$c" sh -c 'rm -r /usr/share/data/deep; mkdir /usr/share/data/deep; echo run >/usr/share/data/deep/run; chown 33:33 /usr/share/data/5
		touch -d "2020-02-02 02:02:02" /usr/share/data/deep/run'
	echo copied >"$BATS_TEST_TMPDIR/file"
	# buildah rounds times when it squashes.
	touch -d @0 "$BATS_TEST_TMPDIR/file"
	buildah copy -q "$c" "$BATS_TEST_TMPDIR/file" /copied >/dev/null
	# shellcheck disable=SC2016
	in_storage sh -c 'dir=$(buildah mount "$1") && echo mounted >"$dir/mounted" &&
		touch -d @0 "$dir/mounted" && rm "$dir/usr/share/data/6" &&
		buildah umount "$1" >/dev/null' sh "$c"
	buildah commit -q "$c" plain:1 >/dev/null
	buildah commit -q --squash "$c" flat:1 >/dev/null
	assert_no_marks plain:1
	image_listing plain:1 >"$BATS_TEST_TMPDIR/plain"
	image_listing flat:1 >"$BATS_TEST_TMPDIR/flat"
	diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/flat"
	assert_equal "$(podman run --rm flat:1 sh -c 'cat /copied /mounted; ls /usr/share/data/deep; stat -c %u /usr/share/data/5
		test -e /usr/share/data/6 || echo gone')" $'copied\nmounted\nrun\n33\ngone'
	podman rmi -f plain:1 flat:1
}

@test "buildah's :O volumes, with a colon in the folder's name" {
	local c dir="$BATS_TEST_TMPDIR/with:colon"
	mkdir "$dir"
	echo below >"$dir/file"
	c=$(buildah from base:1)
	run buildah run -v "${dir//:/\\:}:/mnt:O" "$c" sh -c 'cat /mnt/file; echo above >/mnt/file; cat /mnt/file; grep " /mnt " /proc/mounts'
	assert_status 0
	assert_output_has $'below\nabove'
	assert_output_has 'fuse.nacrefs'
	assert_equal "$(cat "$dir/file")" below
}

@test "an image of more than 127 layers is made, mounted, changed and committed" {
	local layers=125
	python3 "$NACRE_TOP/tests/lib/make_archive.py" many "$BATS_TEST_TMPDIR/many.tar" localhost/many:1 \
		"$BATS_FILE_TMPDIR/base.tar" "$layers"
	podman load -q -i "$BATS_TEST_TMPDIR/many.tar" >/dev/null
	rm "$BATS_TEST_TMPDIR/many.tar"
	run podman run --name ctr many:1 sh -c 'cat /many/count; ls /many | wc -l; ls /many/dir; echo more >>/many/1; rm /many/2'
	assert_equal "$output" "$layers"$'\n'"$((layers + 2))"$'\n'"file-$layers"
	podman diff ctr >"$BATS_TEST_TMPDIR/diff"
	assert_equal "$(grep many "$BATS_TEST_TMPDIR/diff" | sort)" $'C /many\nC /many/1\nD /many/2'
	podman commit -q ctr many:2 >/dev/null
	assert_equal "$(podman run --rm many:2 sh -c 'cat /many/1; ls /many | wc -l')" $'1\nmore\n'"$((layers + 1))"
	podman rmi -f many:2 many:1
}
