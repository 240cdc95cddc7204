#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Image layouts as a stranger may make them: all digests fit, so that what is wrong is read.

usage: hostile_image.py KIND DIR LAYER.tar
"""
import hashlib
import json
import os
import sys

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
# Values that no key of a config is meant to have.
WRONG = [5, -1, 1e300, True, None, "text", "", [], [[[]]], {}, {"a": {"b": []}}, ["x", 5], [None], {"": ""}]


class Layout:
    def __init__(self, folder, layer):
        self.folder = folder
        os.makedirs(os.path.join(folder, "blobs", "sha256"))
        with open(layer, "rb") as file:
            data = file.read()
        self.layer = self.put(data, LAYER)
        self.config = {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [self.layer["digest"]]}, "history": [{"created_by": "step"}],
        }

    def put(self, data, media_type):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.folder, "blobs", "sha256", digest), "wb") as file:
            file.write(data)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(data)}

    def manifest(self, **more):
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.put(self.config, CONFIG),
                    "layers": [self.layer]}
        manifest.update(more)
        return self.put(manifest, MANIFEST)

    def finish(self, manifests, tag="hostile:1"):
        if isinstance(manifests, dict):
            manifests = [dict(manifests, annotations={"org.opencontainers.image.ref.name": tag})]
        with open(os.path.join(self.folder, "oci-layout"), "w", encoding="utf-8") as file:
            file.write('{"imageLayoutVersion": "1.0.0"}')
        with open(os.path.join(self.folder, "index.json"), "w", encoding="utf-8") as file:
            file.write(manifests if isinstance(manifests, str) else
                       json.dumps({"schemaVersion": 2, "manifests": manifests}))


def main(kind, folder, layer):
    image = Layout(folder, layer)
    if kind == "deep-index":
        image.finish('{"schemaVersion": 2, "manifests": ' + "[" * 100000 + "]" * 100000 + "}")
    elif kind == "deep-config":
        text = json.dumps(image.config)[:-1] + ', "deep": ' + '{"a":' * 100000 + "1" + "}" * 100000 + "}"
        image.finish(image.manifest(config=image.put(text.encode(), CONFIG)))
    elif kind == "loop":
        # An index that holds itself would need a digest that fits: this one only says so.
        entry = {"mediaType": INDEX, "digest": "sha256:" + "0" * 64, "size": 100}
        entry["size"] = len(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        put = image.put({"schemaVersion": 2, "manifests": [entry]}, INDEX)
        blobs = os.path.join(folder, "blobs", "sha256")
        os.rename(os.path.join(blobs, put["digest"][7:]), os.path.join(blobs, "0" * 64))
        image.finish([entry])
    elif kind == "chain":
        entry = image.manifest()
        for _ in range(10):
            entry = image.put({"schemaVersion": 2, "manifests": [entry]}, INDEX)
        image.finish(entry)
    elif kind == "sha512":
        image.finish(image.manifest(layers=[dict(image.layer, digest="sha512:" + "0" * 128)]))
    elif kind == "no-algorithm":
        image.finish(image.manifest(layers=[dict(image.layer, digest="0" * 64)]))
    elif kind == "negative-size":
        image.finish(image.manifest(layers=[dict(image.layer, size=-1)]))
    elif kind == "huge-size":
        image.finish(image.manifest(layers=[dict(image.layer, size=2**63 - 1)]))
    elif kind == "larger-size":
        image.finish(image.manifest(layers=[dict(image.layer, size=2**64)]))
    elif kind == "many-layers":
        image.finish(image.manifest(layers=[image.layer] * 10000))
    elif kind == "layers-object":
        image.finish(image.manifest(layers={"0": image.layer}))
    elif kind == "diff-ids":
        image.config["rootfs"]["diff_ids"] = [5]
        image.finish(image.manifest())
    elif kind == "outside":
        image.finish(image.manifest(layers=[dict(image.layer, digest="sha256:../../../../../../../etc/passwd")]))
    elif kind == "platforms":
        image.finish([dict(image.manifest(), platform=wrong) for wrong in WRONG])
    elif kind.startswith("config-"):
        key, wrong = kind.split("-")[1], WRONG[int(kind.split("-")[2])]
        if key in ("history", "created", "author", "architecture", "os", "config"):
            image.config[key] = wrong
        else:
            image.config["config"][key] = wrong
        image.finish(image.manifest())
    else:
        sys.exit("hostile_image.py: no kind is called " + kind)


main(*sys.argv[1:])
