#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A folder as `docker save` filled its archive with before docker 1.10: ID/json, ID/layer.tar, repositories.

usage: old_archive.py KIND DIR BASE.tar SECOND.tar

KIND "good": base and second above it, tagged shop:1, and a third above them without a tag; for each of the two images
DIR.ID has the image ID that docker gives it, which is the digest of the config that it makes of this.  Other kinds have
one thing each that is wrong, or odd.
"""
import hashlib
import json
import os
import shutil
import sys

BASE, SECOND, THIRD = "b" * 64, "5" * 64, "7" * 64
EMPTY = bytes(1024)


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def go_json(value):
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, "\\u%04x" % ord(c))
    return text.replace("\\b", "\\u0008")


def layer_json(number, layer, parent, cmd, **more):
    result = {"id": layer}
    if parent:
        result["parent"] = parent
    result.update({
        "created": "2015-10-31T22:22:5%d.69085195Z" % number,
        "container": "c" * 64,
        "container_config": {"Hostname": "c" * 12, "Env": None, "Cmd": cmd, "Labels": {}},
        "docker_version": "1.9.1",
        "config": {"Hostname": "", "Cmd": ["/bin/sh"], "Env": ["Z=1", "A=<&>"], "Memory": 0, "Labels": {"z": "1", "a": "2"}},
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "Size": 4711,
        "throwaway": True,
    })
    result.update(more)
    return result


def image_id(chain):
    config = {key: value for key, value in chain[-1][0].items() if key not in ("id", "parent", "Size", "throwaway")}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(data) for _, data in chain]}
    config["history"] = []
    for layer, _ in chain:
        line = {"created": layer["created"], "created_by": " ".join(layer["container_config"]["Cmd"])}
        line.update({key: layer[key] for key in ("author", "comment") if key in layer})
        config["history"].append(line)
    return digest_of(go_json(dict(sorted(config.items()))).encode())


class Archive:
    def __init__(self, folder, base, second):
        self.folder = folder
        with open(base, "rb") as f:
            base = f.read()
        with open(second, "rb") as f:
            second = f.read()
        self.layers = [
            (layer_json(1, BASE, None, ["/bin/sh", "-c", "#(nop) ADD file:1 in /"]), base),
            (layer_json(2, SECOND, BASE, ["/bin/sh", "-c", "a && b <c \x1b[1m\b\u2028"], author="Ann <ann@example.org>"), second),
            (layer_json(3, THIRD, SECOND, ["/bin/sh", "-c", "#(nop) CMD"], comment="\"last\""), EMPTY),
        ]
        for layer, data in self.layers:
            self.write(layer["id"] + "/VERSION", b"1.0")
            self.write(layer["id"] + "/json", go_json(layer).encode())
            self.write(layer["id"] + "/layer.tar", data)
        self.repositories({"shop": {"1": SECOND}})

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    def repositories(self, value):
        self.write("repositories", json.dumps(value).encode())

    def change(self, number, **more):
        layer = self.layers[number][0]
        layer.update(more)
        self.write(layer["id"] + "/json", go_json(layer).encode())

    def remove(self, name):
        path = os.path.join(self.folder, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)

    def link(self, number, target):
        path = os.path.join(self.folder, self.layers[number][0]["id"], "layer.tar")
        os.remove(path)
        os.symlink(target, path)

    def chain(self, count, top):
        """@count layers, all with the same empty tar, over none."""
        for n in range(count):
            layer = "%064x" % n
            self.write(layer + "/json", go_json(layer_json(1, layer, "%064x" % (n - 1) if n else None, ["x"])).encode())
            os.symlink("../" + THIRD + "/layer.tar", os.path.join(self.folder, layer, "layer.tar"))
        self.repositories({"chain": {top: "%064x" % (count - 1)}})


def main(kind, folder, base, second):
    a = Archive(folder, base, second)
    if kind == "good":
        for count in (2, 3):
            with open("%s.%d" % (folder, count), "w", encoding="utf-8") as f:
                f.write(image_id(a.layers[:count]))
    elif kind == "by-id":
        a.remove("repositories")
    elif kind == "links":
        a.link(0, "../%s/layer.tar" % SECOND)
        a.link(2, "../%s/layer.tar" % BASE)
    elif kind == "blanks":
        a.change(0, parent="", author=None, container_config=None, config=None)
    elif kind == "one-word":
        a.change(0, container_config={"Cmd": "all of it"})
    elif kind == "tags":
        a.repositories({"shop": {"1": SECOND, "2": SECOND, "Not/a tag": SECOND, "5000/x": SECOND}, "x": {}, "SHOP": {"1": BASE}})
    elif kind.startswith("chain-"):
        a.chain(int(kind[6:]), "1")
    elif kind == "loop":
        a.change(0, parent=SECOND)
    elif kind == "own-parent":
        a.change(1, parent=SECOND)
    elif kind == "no-parent":
        a.remove(BASE)
    elif kind == "no-image":
        a.remove(SECOND)
    elif kind == "no-json":
        a.remove(THIRD + "/json")
    elif kind == "no-layer":
        a.remove(BASE + "/layer.tar")
    elif kind == "layer-folder":
        a.remove(BASE + "/layer.tar")
        os.mkdir(os.path.join(folder, BASE, "layer.tar"))
    elif kind == "link-nowhere":
        a.link(1, "../%064d/layer.tar" % 0)
    elif kind == "link-loop":
        a.link(1, "layer.tar")
    elif kind == "link-out":
        a.link(1, "../../../../../../../../../../../../../../etc/passwd")
    elif kind == "no-tar":
        a.write(BASE + "/layer.tar", b"x" * 5000)
    elif kind == "cut-layer":
        a.write(SECOND + "/layer.tar", a.layers[1][1][:700])
    elif kind == "cut-gzip":
        a.write(SECOND + "/layer.tar", b"\x1f\x8b\x08\0\0\0\0\0\0\0abc")
    elif kind == "nothing":
        shutil.rmtree(folder)
        a.repositories({})
    elif kind == "only-repository":
        shutil.rmtree(folder)
        a.repositories({"shop": {}})
    elif kind.startswith("id-"):
        a.repositories({"shop": {"1": {"slash": "../" + SECOND, "short": SECOND[1:], "upper": "B" * 64, "empty": "",
                                       "number": 5, "long": "b" * 100000}[kind[3:]]}})
    elif kind.startswith("repositories-"):
        a.write("repositories", {"list": b"[]", "text": b'"shop"', "cut": b'{"shop": {', "tags": b'{"shop": ["1"]}',
                                 "null": b'{"shop": null}'}[kind[13:]])
    elif kind.startswith("parent-"):
        a.change(1, parent={"slash": BASE[:-3] + "/..", "number": 5, "long": "b" * 100000}[kind[7:]])
    elif kind.startswith("wrong-"):
        key, value = kind[6:].rsplit("-", 1)
        a.change(1, **{key: {"list": [], "number": 5, "text": "text"}[value]})
    elif kind == "wrong_cmd":
        a.change(1, container_config={"Cmd": ["a", 5]})
    elif kind == "json-list":
        a.write(BASE + "/json", b"[]")
    elif kind == "json-deep":
        a.write(BASE + "/json", b'{"config":' + b"[" * 100000 + b"]" * 100000 + b"}")
    elif kind == "json-large":
        a.write(BASE + "/json", b"{" + b" " * (5 << 20) + b"}")
    elif kind == "all-layers":
        a.chain(5000, "1")
        a.repositories({"chain": {"%d" % n: "%064x" % (5000 - n) for n in range(1, 30)}})
    else:
        sys.exit("old_archive.py: no kind is called " + kind)


main(*sys.argv[1:])
