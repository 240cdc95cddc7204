#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A proxy before a registry that cuts connections in the middle of what a client sends.

usage: cutting_proxy.py PORT-FILE LOG REGISTRY-PORT CUT-BYTES TIMES

The first TIMES connections over which CUT-BYTES have been sent are closed at that byte. Each connection leaves a line in
LOG: how much was sent over it. The registry is told nothing of the proxy: its answers name the host that it was asked by.
"""
import os
import socket
import sys
import threading

port_file, log, registry, cut, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
lock = threading.Lock()


def may_cut():
    global times
    with lock:
        times -= 1
        return times >= 0


def pump(source, to):
    try:
        while data := source.recv(65536):
            to.sendall(data)
    except OSError:
        pass
    finally:
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(client):
    server = socket.create_connection(("127.0.0.1", registry))
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    sent = 0
    try:
        while data := client.recv(min(65536, cut - sent) if sent < cut else 65536):
            server.sendall(data)
            sent += len(data)
            if sent == cut and may_cut():
                break
    except OSError:
        pass
    with lock, open(log, "a", encoding="ascii") as file:
        print(sent, file=file)
    for s in (client, server):
        s.close()


listener = socket.create_server(("127.0.0.1", 0))
with open(port_file + ".new", "w", encoding="ascii") as out:
    print(listener.getsockname()[1], file=out)
os.rename(port_file + ".new", port_file)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
