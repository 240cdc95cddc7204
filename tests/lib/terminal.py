#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run a program on a terminal of its own, and type what is given at each "ready> " that it shows.

usage: terminal.py STEPS PROGRAM [ARG...]

Steps are lines to type; INTERRUPT is Ctrl-C, typed when "busy" is shown; RESIZE changes the terminal's size from 30 x 100
to 22 x 77 and types an empty line.  All that was shown is printed, and whether the terminal's settings are at the end as
they were; the exit status is the program's.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

LIMIT_S = 60
PROMPT = b"ready> "


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class Session:
    def __init__(self, program):
        self.master, slave = pty.openpty()
        set_size(self.master, 30, 100)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.shown = b""
        self.seen = 0
        self.end = time.monotonic() + LIMIT_S
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(slave, fd)
            os.closerange(3, 100)
            os.execv(program[0], program)

    def read(self, wait_s):
        if not select.select([self.master], [], [], wait_s)[0]:
            return False
        self.shown += os.read(self.master, 65536)
        return True

    def wait_for(self, text):
        while text not in self.shown[self.seen :]:
            if time.monotonic() > self.end:
                self.fail("there was no " + repr(text))
            self.read(0.5)
        self.seen = self.shown.index(text, self.seen) + len(text)

    def fail(self, why):
        os.kill(self.pid, signal.SIGKILL)
        sys.stdout.write(self.shown.decode(errors="replace"))
        sys.exit("terminal.py: " + why)

    def step(self, step):
        if step == "INTERRUPT":
            self.wait_for(b"busy")
            os.write(self.master, b"\x03")
            return
        self.wait_for(PROMPT)
        if step == "RESIZE":
            set_size(self.master, 22, 77)
            step = ""
        os.write(self.master, step.encode() + b"\r")

    def finish(self):
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > self.end:
                self.fail("it has not ended")
            self.read(0.05)
        while self.read(0):
            pass
        return os.waitstatus_to_exitcode(status)


def main():
    session = Session(sys.argv[2:])
    for step in sys.argv[1].split("\n"):
        session.step(step.strip())
    status = session.finish()
    sys.stdout.write(session.shown.decode(errors="replace"))
    same = termios.tcgetattr(session.slave) == session.before
    print("[terminal as before]" if same else "[terminal changed]")
    return status


sys.exit(main())
