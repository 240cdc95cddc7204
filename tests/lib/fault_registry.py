#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that misbehaves as it is told, for the tests of pull, push and search.

usage: fault_registry.py CONTROL

Begins anew with each SIGHUP, since a process for each of many tests would take longer than most of them: the first line
of the file CONTROL is DIR then, each other one a FAULT; without a DIR nothing listens.  CONTROL is removed when that is done.

Serves the blobs of the OCI layouts DIR/NAME as repository NAME, with the tags of their index.json, on a port of
127.0.0.1 that it writes to DIR/port, always the same one; "another host" is a second port, in DIR/other-port.  Each request
becomes a line of DIR/log: PORT METHOD PATH RANGE AUTHORIZATION ("-" for none).  Uploads are kept in memory.

FAULT is NAME[:ARGUMENT...]; those that count end after that many times.
  status:KIND:CODE:TIMES[:RETRY-AFTER]  KIND is manifests, blobs, uploads, token: answer with this status
  drop:BYTES:TIMES      blobs: close the connection after so many bytes
  drop-upload:TIMES     uploads: close the connection in the middle of the body
  keep-upload           uploads: what came before that is kept, and GET tells how much
  nochunks              uploads: PATCH is refused
  min-chunk:BYTES       uploads: OCI-Chunk-Min-Length, and a smaller chunk before the last one is refused
  max-body:BYTES        uploads: a larger body is refused with 413
  norange               blobs: answer Range with all of it
  badrange              blobs: answer Range from a byte further on
  flip                  blobs: one bit is another
  short, long           blobs: fewer, more bytes than announced by the manifest
  endless-manifest, endless-blob, endless-token
  digest                manifests: Docker-Content-Digest is another's
  text                  manifests: something that is no JSON
  redirect              blobs: are on the other host
  loop                  blobs: redirected to themselves
  downgrade:URL         blobs: redirected there
  basic:USER:PASSWORD   wants these
  token:USES[:SECONDS]  wants a bearer token, good for so many requests; USER:PASSWORD of basic, if given
  pages:N               the catalogue comes N names at a time
  nomount               mounting blobs from other repositories is refused
"""

import base64
import hashlib
import http.server
import json
import pathlib
import signal
import sys
import threading
import urllib.parse

lock = threading.Lock()


class Registry:
    def __init__(self, root, faults):
        self.root = pathlib.Path(root)
        self.faults = {}
        self.statuses = []
        for fault in faults:
            name, *arguments = fault.split(":", 1)
            arguments = arguments[0].split(":") if arguments else []
            if name == "downgrade":
                arguments = [":".join(arguments)]
            if name == "status":
                self.statuses.append([arguments[0], int(arguments[1]), int(arguments[2]), *arguments[3:]])
            else:
                self.faults[name] = arguments
        self.drops = int(self.faults.get("drop", [0, 0])[1])
        self.upload_drops = int(self.faults.get("drop-upload", [0])[0])
        self.blobs, self.manifests, self.repositories = {}, {}, {}
        self.uploads, self.tokens, self.count = {}, {}, 0
        for layout in sorted(self.root.iterdir()):
            if (layout / "index.json").exists():
                self.add_layout(layout)

    def add_layout(self, layout):
        have = self.repositories.setdefault(layout.name, set())
        for path in (layout / "blobs/sha256").iterdir():
            self.blobs["sha256:" + path.name] = path.read_bytes()
            have.add("sha256:" + path.name)
        for descriptor in json.loads((layout / "index.json").read_text())["manifests"]:
            tag = descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name", "latest").split(":")[-1]
            self.manifests[layout.name, tag] = descriptor["digest"]

    def status_for(self, kind):
        for entry in self.statuses:
            if entry[0] == kind and entry[2] > 0:
                entry[2] -= 1
                return entry
        return None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry = None

    def log_message(self, *_):
        pass

    def note(self):
        line = " ".join([str(self.server.server_port), self.command, self.path, self.headers.get("Range", "-"),
                         self.headers.get("Authorization", "-").replace(" ", "_")])
        with lock, open(self.registry.root / "log", "a", encoding="utf-8") as log:
            log.write(line + "\n")

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, message, **headers):
        self.reply(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(),
                   Content_Type="application/json", **headers)

    def endless(self, status=200):
        self.send_response(status)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"[" * 65536)
        except OSError:
            pass

    def read_body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    # ---- who asks

    def basic_is_right(self):
        user, password = self.registry.faults["basic"][:2]
        want = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.headers.get("Authorization") == want

    def is_let_in(self):
        r = self.registry
        if "token" in r.faults:
            with lock:
                token = self.headers.get("Authorization", "")[len("Bearer "):]
                if r.tokens.get(token, 0) > 0:
                    r.tokens[token] -= 1
                    return True
            port = self.server.server_port
            self.read_body()
            self.error(401, "UNAUTHORIZED", "a token is wanted",
                       WWW_Authenticate=f'Bearer realm="http://127.0.0.1:{port}/token",service="test, \\"quoted\\"",'
                                        f'scope="repository:{self.path.split("/")[2]}:pull"')
            return False
        if "basic" in r.faults and not self.basic_is_right():
            self.read_body()
            self.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate='Basic realm="test"')
            return False
        return True

    def give_token(self):
        r = self.registry
        if "endless-token" in r.faults:
            return self.endless()
        if "basic" in r.faults and not self.basic_is_right():
            return self.error(401, "UNAUTHORIZED", "wrong password")
        with lock:
            r.count += 1
            token = f"token-{r.count}"
            uses, seconds = (r.faults["token"] + ["300"])[:2]
            r.tokens[token] = int(uses)
        return self.reply(200, json.dumps({"access_token": token, "expires_in": int(seconds)}).encode())

    # ---- requests

    def handle_any(self):
        r = self.registry
        self.note()
        path = urllib.parse.urlsplit(self.path).path
        kind = "token" if path == "/token" else next(
            (k for k in ("uploads", "manifests", "blobs") if f"/{k}/" in path + "/"), "other")
        with lock:
            status = r.status_for(kind)
        if status:
            self.read_body()
            headers = {"Retry_After": status[3]} if len(status) > 3 else {}
            return self.error(status[1], "SICK", "told to fail", **headers)
        if path == "/token":
            return self.give_token()
        if self.server.server_port != r.port:
            return self.send_blob(path.rsplit("/", 1)[1])
        if not self.is_let_in():
            return None
        parts = path.strip("/").split("/")
        if path == "/v2/":
            return self.reply(200)
        if path == "/v2/_catalog":
            return self.send_catalog()
        if path.endswith("/tags/list"):
            name = "/".join(parts[1:-2])
            tags = sorted(t for n, t in r.manifests if n == name and not t.startswith("sha256:"))
            if not tags:
                return self.error(404, "NAME_UNKNOWN", "repository name not known to registry")
            return self.reply(200, json.dumps({"name": name, "tags": tags}).encode())
        if kind == "uploads":
            return self.upload(path[len("/v2/"):path.index("/blobs/uploads")])
        if kind == "manifests":
            return self.manifest("/".join(parts[1:-2]), parts[-1])
        if kind == "blobs":
            return self.blob("/".join(parts[1:-2]), parts[-1])
        return self.error(404, "NOT_FOUND", "no such thing")

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = handle_any

    def send_catalog(self):
        r = self.registry
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        size = int(r.faults.get("pages", ["1000"])[0])
        names = [n for n in sorted(r.repositories) if n > query.get("last", [""])[0]]
        headers = {}
        if len(names) > size:
            headers["Link"] = f'</v2/_catalog?last={names[size - 1]}&n={size}>; rel="next"'
        return self.reply(200, json.dumps({"repositories": names[:size]}).encode(), **headers)

    def manifest(self, name, reference):
        r = self.registry
        if self.command == "PUT":
            body = self.read_body()
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
            with lock:
                r.blobs[digest] = body
                r.repositories.setdefault(name, set()).add(digest)
                r.manifests[name, reference] = digest
            return self.reply(201, Docker_Content_Digest=digest)
        digest = reference if reference.startswith("sha256:") else r.manifests.get((name, reference))
        if digest not in r.repositories.get(name, ()):
            return self.error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if "endless-manifest" in r.faults:
            return self.endless()
        body = r.blobs[digest]
        if "text" in r.faults:
            body = b"<html>Welcome to the hotel's network</html>"
            digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if "digest" in r.faults:
            digest = "sha256:" + "0" * 64
        parsed = json.loads(r.blobs.get(digest, b"{}"))
        kind = parsed.get("mediaType") or ("application/vnd.oci.image.index.v1+json" if "manifests" in parsed
                                           else "application/vnd.oci.image.manifest.v1+json")
        return self.reply(200, body, Content_Type=kind, Docker_Content_Digest=digest)

    def blob(self, name, digest):
        r = self.registry
        if digest not in r.repositories.get(name, ()):
            return self.error(404, "BLOB_UNKNOWN", "blob unknown to registry")
        if self.command == "GET" and "redirect" in r.faults:
            return self.reply(307, Location=f"http://localhost:{r.other_port}/data/{digest}")
        if self.command == "GET" and "loop" in r.faults:
            return self.reply(302, Location=self.path)
        if self.command == "GET" and "downgrade" in r.faults:
            return self.reply(302, Location=r.faults["downgrade"][0])
        return self.send_blob(digest)

    def send_blob(self, digest):
        r = self.registry
        body = r.blobs[digest]
        if "endless-blob" in r.faults and body[:1] != b"{":
            return self.endless()
        if body[:1] != b"{":  # layers only, not configs
            if "flip" in r.faults:
                body = body[:-3] + bytes([body[-3] ^ 1]) + body[-2:]
            if "short" in r.faults:
                body = body[:-10]
            if "long" in r.faults:
                body += b"x" * 10
        is_json = body[:1] == b"{"  # of the whole, or random bytes would sometimes be
        status, headers, start = 200, {}, 0
        if "Range" in self.headers and "norange" not in r.faults:
            start = int(self.headers["Range"][len("bytes="):].split("-")[0])
            if start >= len(body):
                return self.reply(416)
            start += 1 if "badrange" in r.faults else 0
            status = 206
            headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
            body = body[start:]
        with lock:
            drop = r.drops > 0 and self.command == "GET" and not is_json
            r.drops -= drop
        if not drop:
            return self.reply(status, body, **headers)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:int(r.faults["drop"][0])])
        self.wfile.flush()
        self.close_connection = True
        return None

    def upload(self, name):
        r = self.registry
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if self.command == "POST":
            self.read_body()
            mount, source = query.get("mount", [""])[0], query.get("from", [""])[0]
            if mount and mount in r.repositories.get(source, ()) and "nomount" not in r.faults:
                r.repositories.setdefault(name, set()).add(mount)
                return self.reply(201, Location=f"/v2/{name}/blobs/{mount}", Docker_Content_Digest=mount)
            with lock:
                r.count += 1
                r.uploads[str(r.count)] = b""
            least = {"OCI_Chunk_Min_Length": r.faults["min-chunk"][0]} if "min-chunk" in r.faults else {}
            return self.reply(202, Location=f"/v2/{name}/blobs/uploads/{r.count}?state=of-it", Range="0-0", **least)
        number = urllib.parse.urlsplit(self.path).path.rsplit("/", 1)[1]
        if self.command == "GET":
            if "keep-upload" not in r.faults or number not in r.uploads:
                return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
            return self.reply(204, Location=self.path, Range=f"0-{max(len(r.uploads[number]) - 1, 0)}")
        length = int(self.headers.get("Content-Length", 0))
        sent = self.headers.get("Content-Range")
        begin = len(r.uploads.get(number, b""))
        follows = sent == f"{begin}-{begin + length - 1}" if sent or begin else True
        with lock:
            drop = r.upload_drops > 0 and length > 1000
            r.upload_drops -= drop
        if drop:
            half = self.rfile.read(length // 2)
            if "keep-upload" in r.faults and follows:
                r.uploads[number] += half
            self.close_connection = True
            return None
        body = self.read_body()
        if length > int(r.faults.get("max-body", [1 << 40])[0]):
            return self.error(413, "TOO_LARGE", "a proxy takes no more")
        if self.command == "PATCH" and "nochunks" in r.faults:
            return self.error(405, "UNSUPPORTED", "no chunks here")
        if self.command == "PATCH" and length < int(r.faults.get("min-chunk", [0])[0]):
            return self.error(416, "SIZE_INVALID", "the chunk is too small")
        if not follows:
            return self.error(416, "RANGE_INVALID", f"{sent} does not follow {begin}")
        if query.get("state") != ["of-it"] or number not in r.uploads:
            return self.error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        r.uploads[number] += body
        if self.command == "PATCH":
            return self.reply(202, Location=self.path, Range=f"0-{len(r.uploads[number]) - 1}")
        whole = r.uploads.pop(number)
        digest = "sha256:" + hashlib.sha256(whole).hexdigest()
        if query.get("digest") != [digest]:
            return self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with lock:
            r.blobs[digest] = whole
            r.repositories.setdefault(name, set()).add(digest)
        return self.reply(201, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=digest)


def serve(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


def main():
    control = pathlib.Path(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    servers, ports = [], [0, 0]
    while True:
        root, *faults = control.read_text().splitlines() or [""]
        for server in servers:
            server.shutdown()
            server.server_close()
        servers = []
        if root:
            registry = Registry(root, faults)
            servers = [serve(port) for port in ports]
            ports = registry.port, registry.other_port = [server.server_port for server in servers]
            Handler.registry = registry
            (registry.root / "port").write_text(str(registry.port))
            (registry.root / "other-port").write_text(str(registry.other_port))
        control.unlink()
        signal.sigwait({signal.SIGHUP})


main()
