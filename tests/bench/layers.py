#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make an OCI image layout of directories: a plain tar layer of each.

usage: layers.py LAYOUT NAME DIRECTORY...    the topmost directory first, as in lowerdir=
"""
import hashlib
import json
import os
import subprocess
import sys


def put_blob(layout, path, media_type):
    """Move the file @path to where its digest says. Return: its descriptor."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    size = os.path.getsize(path)
    os.replace(path, os.path.join(layout, "blobs", "sha256", digest.hexdigest()))
    return {"mediaType": media_type, "digest": "sha256:" + digest.hexdigest(), "size": size}


def put_json(layout, value, media_type):
    path = os.path.join(layout, "new")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)
    return put_blob(layout, path, media_type)


def put_layer(layout, directory):
    path = os.path.join(layout, "new")
    subprocess.run(["tar", "-C", directory, "--numeric-owner", "-cf", path, "."], check=True)
    return put_blob(layout, path, "application/vnd.oci.image.layer.v1.tar")


def main(layout, name, *directories):
    os.makedirs(os.path.join(layout, "blobs", "sha256"))
    layers = [put_layer(layout, directory) for directory in reversed(directories)]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put_json(layout, config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    }
    entry = put_json(layout, manifest, manifest["mediaType"])
    entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    with open(os.path.join(layout, "oci-layout"), "w", encoding="utf-8") as file:
        json.dump({"imageLayoutVersion": "1.0.0"}, file)
    with open(os.path.join(layout, "index.json"), "w", encoding="utf-8") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)


main(*sys.argv[1:])
