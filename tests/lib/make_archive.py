#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the archives that the tests of the command line read.

usage: make_archive.py base OUT.tar              a small root file system, with one of everything
       make_archive.py second OUT.tar            a layer over it: whiteouts, an opaque directory, changes
       make_archive.py bad KIND OUT.tar          what an import must refuse
       make_archive.py odd OUT.tar               strange, but nothing that would be refused
       make_archive.py slashes OUT.tar           the root directory as "/", a hard link with its target from there
       make_archive.py layout DIR NAME LAYER...  an OCI image layout of these layer archives (gzip)
       make_archive.py docker OUT.tar NAME LAYER...  what `docker save` writes
       make_archive.py many OUT.tar NAME BASE COUNT  the same with COUNT layers over BASE that each add to, change and
                                                     remove something

Nothing here needs a privilege: owners and device numbers are only numbers in the archive.
"""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile

MTIME = 1600000000


class Writer:
    def __init__(self, out):
        self.tar = tarfile.open(out, "w", format=tarfile.PAX_FORMAT)

    def add(self, name, kind=tarfile.REGTYPE, data=b"", mode=None, xattrs=None, mtime=None, **fields):
        info = tarfile.TarInfo(name)
        info.type = kind
        info.mode = mode if mode is not None else (0o755 if kind == tarfile.DIRTYPE else 0o644)
        info.mtime = MTIME
        info.size = len(data)
        for key, value in fields.items():
            setattr(info, key, value)
        if mtime:
            info.pax_headers["mtime"] = mtime
        for key, value in (xattrs or {}).items():
            info.pax_headers["SCHILY.xattr." + key] = value
        self.tar.addfile(info, io.BytesIO(data))

    def dir(self, name, **fields):
        self.add(name, tarfile.DIRTYPE, **fields)


def base(out):
    w = Writer(out)
    for name in ("bin", "etc", "etc/conf.d", "tmp", "usr", "usr/bin", "usr/share", "usr/share/doc", "usr/share/doc/x"):
        if name == "bin":
            w.add("bin", tarfile.SYMTYPE, linkname="usr/bin", mode=0o777)
        else:
            w.dir(name, mode=0o1777 if name == "tmp" else 0o755)
    w.add("etc/motd", data=b"welcome\n", mtime="1600000000.123456789")
    w.add("etc/passwd", data=b"root:x:0:0::/:/bin/sh\n")
    w.add("etc/shadow", data=b"root:*:\n", mode=0o640, gid=42)
    w.add("etc/note", data=b"noted\n", xattrs={"user.note": "by hand"})
    w.add("etc/empty")
    for name in "abc":
        w.add("etc/conf.d/" + name, data=name.encode() + b"=1\n")
    w.add("usr/bin/tool", data=b"#!/bin/sh\necho tool\n", mode=0o755)
    w.add("usr/bin/again", tarfile.LNKTYPE, linkname="usr/bin/tool", mode=0o755)
    w.add("usr/bin/absolute", tarfile.SYMTYPE, linkname="/usr/bin/tool", mode=0o777)
    w.add("usr/bin/loop", tarfile.SYMTYPE, linkname="loop", mode=0o777)
    w.add("usr/share/big", data=bytes(range(256)) * 4096, uid=1000, gid=1000)
    w.add("usr/share/doc/x/copyright", data=b"free\n")
    w.add("usr/share/doc/x/line\nbreak", data=b"odd\n")
    w.tar.close()


def second(out):
    w = Writer(out)
    w.dir("etc")
    w.add("etc/motd", data=b"second\n")
    w.add("etc/.wh.passwd")
    w.dir("etc/conf.d")
    w.add("etc/conf.d/.wh..wh..opq")
    w.add("etc/conf.d/d", data=b"d=2\n")
    w.dir("opt")
    w.add("opt/new", data=b"new\n")
    w.tar.close()


def bad(kind, out):
    w = Writer(out)
    w.add("before", data=b"fine\n")
    if kind == "dotdot":
        w.add("a/../../escaped", data=b"x")
    elif kind == "absolute":
        w.add("/etc/escaped", data=b"x")
    elif kind == "hardlink":
        w.add("link", tarfile.LNKTYPE, linkname="../../etc/passwd")
    elif kind == "hardlink-absolute":
        w.add("link", tarfile.LNKTYPE, linkname="/etc/passwd")
    elif kind == "hardlink-missing":
        w.add("link", tarfile.LNKTYPE, linkname="not/there")
    elif kind == "long-name":
        w.add("d/" + "n" * 256, data=b"x")
    elif kind == "file-as-folder":
        w.add("before/below", data=b"x")
    elif kind == "symlink-as-folder":
        w.add("away", tarfile.SYMTYPE, linkname="/tmp")
        w.add("away/escaped", data=b"x")
    elif kind == "hardlink-later":
        w.add("link", tarfile.LNKTYPE, linkname="later")
        w.add("later", data=b"x")
    elif kind == "hardlink-folder":
        w.dir("d")
        w.add("link", tarfile.LNKTYPE, linkname="d")
    elif kind == "hardlink-through-symlink":
        w.add("away", tarfile.SYMTYPE, linkname="/etc")
        w.add("link", tarfile.LNKTYPE, linkname="away/passwd")
    elif kind == "root-as-file":
        w.add(".", data=b"x")
    elif kind == "nameless":
        w.add("", data=b"x")
    elif kind == "long-path":
        w.add("/".join(["n" * 200] * 21), data=b"x")
    elif kind == "long-comment":
        w.add("comment", pax_headers={"comment": "c" * 2**21})
    elif kind == "owner":
        w.add("owner", data=b"x", uid=2**32 - 1)
    elif kind == "whiteout":
        w.add("d/.wh.", data=b"")
    elif kind == "whiteout-of-parent":
        w.add("d/.wh...", data=b"")
    elif kind in ("mtime-word", "mtime-rest", "mtime-sign", "mtime-fraction"):
        w.add("dated", data=b"x", mtime={"mtime-word": "yesterday", "mtime-rest": "1600000000s", "mtime-sign": "-",
                                         "mtime-fraction": ".5"}[kind])
    elif kind == "xattr-value":
        w.add("marked", data=b"x", xattrs={"user.most": "m" * 65536})
        w.add("overfull", data=b"x", xattrs={"user.large": "l" * 65537})
    elif kind == "xattr-name":
        w.add("marked", data=b"x", xattrs={"user." + "m" * 250: "1"})
        w.add("overlong", data=b"x", xattrs={"user." + "l" * 251: "1"})
    elif kind in ("negative-size", "huge-size"):
        size = -512 if kind == "negative-size" else 2**62
        header = bytearray(tarfile.TarInfo("size").tobuf(tarfile.GNU_FORMAT))
        header[124:136] = (size % 2**96 | (0 if size < 0 else 1 << 95)).to_bytes(12, "big")
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        w.tar.fileobj.write(header)
    else:
        sys.exit("make_archive.py: no bad kind is called " + kind)
    w.tar.close()


def odd(out):
    w = Writer(out)
    w.add("new\nline", data=b"1\n")
    w.add("esc\x1b[31m", data=b"2\n")
    w.add(b"latin\xe9".decode("utf-8", "surrogateescape"), data=b"3\n")
    w.add("twice", data=b"first\n")
    w.add("twice", data=b"second\n", mode=0o600)
    w.add("su", data=b"#!/bin/sh\n", mode=0o6755)
    w.add("null", tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    w.add("disk", tarfile.BLKTYPE, devmajor=8, devminor=0, mode=0o660)
    w.add("pipe", tarfile.FIFOTYPE)
    w.add("before-1970", data=b"", mtime="-1.5")
    w.add("never", data=b"", mtime="99999999999999999")
    w.add("owner", data=b"", uid=2**32 - 2, gid=2**32 - 2)
    w.dir("opaque", xattrs={"trusted.overlay.opaque": "y", "user.overlay.opaque": "y", "user.kept": "yes"})
    w.add("moved", data=b"", xattrs={"user.overlay.redirect": "/etc", "user.fuseoverlayfs.opaque": "y",
                                     "user.containers.override_stat": "0:0:4755"})
    w.add("./a/.//b/./c", data=b"deep\n")
    w.tar.close()


def slashes(out):
    w = Writer(out)
    w.dir("/", mode=0o711)
    w.add("usr/bin/perl", data=b"perl\n", mode=0o755)
    w.add("usr/bin/perl5", tarfile.LNKTYPE, linkname="/usr/bin/perl", mode=0o755)
    w.tar.close()


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read_layers(paths):
    layers = []
    for path in paths:
        with open(path, "rb") as f:
            layers.append(f.read())
    return layers


def config_of(layers):
    machine = os.uname().machine
    return json.dumps({
        "created": "2020-09-13T12:26:40Z",
        "author": "Ann <ann@example.org>",
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["A=1"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]},
        "history": [{"created": "2020-09-13T12:26:40Z", "created_by": "step %d" % n} for n in range(len(layers))]
        + [{"created": "2020-09-13T12:26:40Z", "created_by": "CMD [\"/bin/sh\"]", "empty_layer": True}],
    }).encode()


def layout(out, name, paths):
    blobs = os.path.join(out, "blobs", "sha256")
    os.makedirs(blobs)

    def blob(data, media_type, **more):
        digest = digest_of(data)
        with open(os.path.join(blobs, digest.split(":")[1]), "wb") as f:
            f.write(data)
        return dict(mediaType=media_type, digest=digest, size=len(data), **more)

    layers = read_layers(paths)
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(config_of(layers), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(gzip.compress(layer, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")
                   for layer in layers],
    }).encode()
    index = {"schemaVersion": 2, "manifests": [
        blob(manifest, "application/vnd.oci.image.manifest.v1+json",
             annotations={"org.opencontainers.image.ref.name": name})]}
    with open(os.path.join(out, "index.json"), "w") as f:
        json.dump(index, f)
    with open(os.path.join(out, "oci-layout"), "w") as f:
        json.dump({"imageLayoutVersion": "1.0.0"}, f)


def docker(out, name, paths):
    layers = read_layers(paths)
    config = config_of(layers)
    config_name = digest_of(config).split(":")[1] + ".json"
    layer_names = [digest_of(layer).split(":")[1] + "/layer.tar" for layer in layers]
    w = Writer(out)
    for layer_name, layer in zip(layer_names, layers):
        w.add(layer_name, data=layer)
    w.add(config_name, data=config)
    w.add("manifest.json", data=json.dumps(
        [{"Config": config_name, "RepoTags": [name], "Layers": layer_names}]).encode())
    w.tar.close()


def many(out, name, base_path, count):
    with tempfile.TemporaryDirectory() as folder:
        paths = [base_path]
        for number in range(1, count + 1):
            paths.append(os.path.join(folder, str(number)))
            w = Writer(paths[-1])
            w.dir("many")
            w.add("many/count", data=b"%d\n" % number)
            w.add("many/%d" % number, data=b"%d\n" % number)
            w.dir("many/dir")
            w.add("many/dir/file-%d" % number)
            if number > 1:
                w.add("many/dir/.wh.file-%d" % (number - 1))
            w.tar.close()
        docker(out, name, paths)


def main(args):
    if len(args) == 2 and args[0] in ("base", "second", "odd", "slashes"):
        {"base": base, "second": second, "odd": odd, "slashes": slashes}[args[0]](args[1])
    elif len(args) == 3 and args[0] == "bad":
        bad(args[1], args[2])
    elif len(args) > 3 and args[0] == "layout":
        layout(args[1], args[2], args[3:])
    elif len(args) > 3 and args[0] == "docker":
        docker(args[1], args[2], args[3:])
    elif len(args) == 5 and args[0] == "many":
        many(args[1], args[2], args[3], int(args[4]))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
