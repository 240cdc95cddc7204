# SPDX-License-Identifier: Apache-2.0
"""Programs that work side by side in a mount while something is done to it."""

import sys
import threading

stop = threading.Event()  # all are to end
failures = []


def program(fn):
    """What run_beside() is to run: what it raises is a failure, and ends the others too."""

    def run():
        try:
            fn()
        except BaseException as e:
            failures.append("%s: %r" % (fn.__name__, e))
            stop.set()

    return run


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def run_beside(programs, fn, out=sys.stderr):
    """Call @fn while @programs run; failures are told to @out."""
    threads = [threading.Thread(target=p) for p in programs]
    for t in threads:
        t.start()
    try:
        fn()
    except BaseException as e:
        failures.append(repr(e))
    stop.set()
    for t in threads:
        t.join()
    for f in failures:
        print(f, file=out)
