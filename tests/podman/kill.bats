# SPDX-License-Identifier: Apache-2.0
# Containers and drivers that are killed: podman can clean up, and the storage is sound.

load ../lib/common
load ../lib/podman

setup_file() { setup_podman; }
teardown() { remove_containers; }
teardown_file() { remove_podman; }

@test "podman kill: what the container wrote is there, and its driver gone" {
	podman run -d --name ctr base:1 sh -c 'echo before >/root/f; touch /root/ready; sleep 1000'
	until podman exec ctr test -e /root/ready; do sleep 0.1; done
	podman kill ctr
	podman wait ctr
	wait_gone "$(storage_drivers)"
	podman cp ctr:/root/f - | tar -xO | grep -qx before
}

# The mount is dead then, and everything in it answers ENOTCONN.
@test "a driver is killed: podman stops the container, starts it again and removes it" {
	local drivers
	podman run -d --name ctr base:1 sh -c 'echo line >>/root/f; touch /root/ready; sleep 1000'
	until podman exec ctr test -e /root/ready; do sleep 0.1; done
	drivers=$(storage_drivers)
	[ -n "$drivers" ]
	# shellcheck disable=SC2086
	kill -KILL $drivers
	wait_gone "$drivers"
	podman stop -t 0 ctr || true
	podman start ctr
	podman exec ctr cat /root/f | grep -qx line
	podman rm -f -t 0 ctr
	in_base true
	wait_gone "$(storage_drivers)"
}

@test "all is killed at once: podman removes what is left" {
	local drivers
	podman run -d --name ctr base:1 sh -c 'touch /root/ready; sleep 1000'
	until podman exec ctr test -e /root/ready; do sleep 0.1; done
	drivers=$(storage_drivers)
	# shellcheck disable=SC2046
	kill -KILL $drivers $(podman inspect --format '{{.State.Pid}} {{.State.ConmonPid}}' ctr)
	wait_gone "$drivers"
	# The first may find that nobody has told it of the container's end yet.
	podman rm -f -t 0 ctr || podman rm -f -t 0 ctr
	in_base cat /etc/private
}

@test "podman system reset removes the storage, with a container running in it" {
	podman run -d --stop-signal KILL --name ctr base:1 sleep 1000
	podman system reset -f
	wait_gone "$(storage_drivers)"
	[ -z "$(podman images -q)" ]
	# For the tests that come after this one, in whatever order.
	podman import -q "$BATS_FILE_TMPDIR/base.tar" base:1 >/dev/null
	in_base true
}
