# SPDX-License-Identifier: Apache-2.0
# Web servers of Debian in an imported root file system of Debian: built, run, and asked for a page.

load ../lib/common
load ../lib/debian
load ../lib/podman

setup_file() {
	setup_podman
	debian_cached "$BATS_FILE_TMPDIR/debian.tar"
	podman import -q "$BATS_FILE_TMPDIR/debian.tar" debian:1 >/dev/null
	debian_debs
	mkdir -p "$BATS_FILE_TMPDIR/context/site/css"
	cd "$BATS_FILE_TMPDIR/context" || return
	echo '<h1>An added page</h1>' >page.html
	echo 'h1 { color: green }' >site/css/style.css
	tar --owner=0 --group=0 -cf site.tar site
}
teardown() { remove_containers; }
teardown_file() { remove_podman; }

# build NAME OPTION: the Containerfile on stdin, after the steps that all have.
build() {
	{
		printf '%s\n' 'FROM debian:1' 'ENV DEBIAN_FRONTEND=noninteractive' \
			'RUN printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d'
		cat
	} >"$BATS_TEST_TMPDIR/Containerfile"
	podman build "$2" --isolation chroot --network host -v "$DEBS:/debs:ro" -t "$1" -f "$BATS_TEST_TMPDIR/Containerfile" \
		"$BATS_FILE_TMPDIR/context" >"$BATS_TEST_TMPDIR/log" 2>&1 || fail "$(tail -n 30 "$BATS_TEST_TMPDIR/log")"
}

# answer PATH: what the server in container ctr says, once it has come up.
answer() {
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		# shellcheck disable=SC2016
		if podman exec ctr bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080 && printf "GET %s HTTP/1.0\r\n\r\n" "$1" >&3 && cat <&3' \
			bash "$1" 2>/dev/null; then
			return
		fi
		sleep 0.2
	done
	fail "the server does not answer" "$(podman logs ctr)"
}

# Both have the page and the tree, and what dpkg installed is as it was packed.
serves() {
	podman run -d --name ctr "$1" >/dev/null
	run answer /page.html
	assert_status 0
	assert_output_has ' 200 OK'
	assert_output_has '<h1>An added page</h1>'
	run answer /site/css/style.css
	assert_output_has 'h1 { color: green }'
	run answer /missing
	assert_output_has ' 404 Not Found'
	# shellcheck disable=SC2016
	assert_equal "$(podman exec ctr sh -c 'pwd; echo $GREETING')" $'/var/www/html\nhello'
	assert_equal "$(podman inspect "$1" --format '{{range $port, $_ := .Config.ExposedPorts}}{{$port}}{{end}}')" 8080/tcp
	run podman exec ctr dpkg -V
	assert_status 0
	assert_equal "$output" "$2"
	podman rm -f -t 0 ctr >/dev/null
}

# bats test_tags=slow
@test "apache2: RUN, ADD, ENV, EXPOSE, WORKDIR and CMD of a Containerfile, a layer for each" {
	build apache:1 --layers=true <<-'END'
		RUN apt-get -q -y --no-install-recommends install /debs/apache2/*.deb
		ENV GREETING=hello
		WORKDIR /var/www/html
		ADD page.html .
		ADD site.tar .
		RUN echo "Listen 8080" >/etc/apache2/ports.conf && sed -i 's/:80>/:8080>/' /etc/apache2/sites-available/000-default.conf
		EXPOSE 8080
		CMD ["apache2ctl", "-D", "FOREGROUND"]
	END
	serves apache:1 $'??5?????? c /etc/apache2/ports.conf\n??5?????? c /etc/apache2/sites-available/000-default.conf'
	podman rmi -f apache:1 >/dev/null
}

# bats test_tags=slow
@test "nginx: the same in one layer, and a user that the package has made" {
	build nginx:1 --layers=false <<-'END'
		RUN apt-get -q -y --no-install-recommends install /debs/nginx-light/*.deb
		ENV GREETING=hello
		WORKDIR /var/www/html
		ADD --chown=www-data:www-data page.html .
		ADD site.tar .
		RUN sed -i 's/listen \(.*\)80 default/listen \18080 default/' /etc/nginx/sites-available/default
		EXPOSE 8080
		CMD ["nginx", "-g", "daemon off;"]
	END
	serves nginx:1 '??5?????? c /etc/nginx/sites-available/default'
	assert_equal "$(podman run --rm nginx:1 stat -c '%U:%G' page.html site)" $'www-data:www-data\nroot:root'
	podman rmi -f nginx:1 >/dev/null
}
