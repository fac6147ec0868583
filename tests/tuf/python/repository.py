"""A TUF repository in memory, made and signed by python-tuf, and served over HTTP.

Scenarios change what is to be signed, publish it, and look at what clients asked for. Nothing of the
client under test lives here.
"""

import threading
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    SuccinctRoles,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

NOW = datetime.now(timezone.utc).replace(microsecond=0)
LATER = NOW + timedelta(days=30)
EARLIER = NOW - timedelta(days=5)
TOP = ("root", "timestamp", "snapshot", "targets")

_rsa = []


def rsa_signer():
    """RSA keys take long to make: one for the whole run."""
    if not _rsa:
        _rsa.append(CryptoSigner.generate_rsa(size=2048))
    return CryptoSigner(_rsa[0]._private_key, deepcopy(_rsa[0].public_key))


def new_signer(kind="ed25519"):
    if kind == "rsa":
        return rsa_signer()
    return CryptoSigner.generate_ecdsa() if kind == "ecdsa" else CryptoSigner.generate_ed25519()


class Repository:
    """`md` is what will be signed next, by role; `files` is what is served, by (role, version)."""

    def __init__(self, kind="ed25519"):
        self.kind = kind
        self.md = {
            "targets": Metadata(Targets(expires=LATER)),
            "snapshot": Metadata(Snapshot(expires=LATER)),
            "timestamp": Metadata(Timestamp(expires=LATER)),
            "root": Metadata(Root(expires=LATER)),
        }
        self.signers = {role: [] for role in TOP}
        self.files = {}
        self.newest = {}
        self.artifacts = {}
        self.hashes = False
        self.asked = []
        self.asked_targets = []
        for role in TOP:
            self.add_key(role)
        for role in ("targets", "snapshot", "timestamp", "root"):
            self.publish(role, bump=False)

    def __getattr__(self, name):
        if name in TOP:
            return self.md[name].signed
        raise AttributeError(name)

    def add_key(self, role, kind=None):
        signer = new_signer(kind or self.kind)
        self.root.add_key(signer.public_key, role)
        self.signers[role].append(signer)
        return signer

    def rotate(self, role):
        """New keys in place of a role's old ones, in the root to come."""
        count = len(self.signers[role])
        self.root.roles[role].keyids.clear()
        self.signers[role] = []
        for _ in range(count):
            self.add_key(role)

    def set_signers(self, role, listed, signing, threshold):
        """Says in the root to come who may sign for a role, and who will."""
        self.root.roles[role].keyids.clear()
        self.root.roles[role].threshold = threshold
        for signer in listed:
            self.root.add_key(signer.public_key, role)
        self.signers[role] = list(signing)

    def publish(self, *roles, bump=True):
        """Signs and serves roles; those listed by another are listed there."""
        for role in roles:
            md = self.md[role]
            if bump:
                md.signed.version += 1
            md.signatures.clear()
            for signer in self.signers[role]:
                md.sign(signer, append=True)
            self.serve(role, md.signed.version, md.to_bytes(JSONSerializer()))
            listed = self.listed(role)
            if role == "snapshot":
                self.timestamp.snapshot_meta = listed
            elif role not in ("root", "timestamp"):
                self.snapshot.meta[f"{role}.json"] = listed

    def release(self):
        self.publish("snapshot", "timestamp")

    def serve(self, role, version, data):
        self.files[(role, version)] = data
        self.newest[role] = data

    def listed(self, role):
        version = self.md[role].signed.version
        if not self.hashes:
            return MetaFile(version)
        return MetaFile.from_data(version, self.newest[role], ["sha256"])

    def add_target(self, role, path, data, algorithms=("sha256",)):
        target = TargetFile.from_data(path, data, list(algorithms))
        self.md[role].signed.targets[path] = target
        self.artifacts[path] = (data, set(target.hashes.values()))
        return target

    def delegate(self, parent, name, paths=("*",), terminating=False, prefixes=None):
        signed = self.md[parent].signed
        if signed.delegations is None:
            signed.delegations = Delegations({}, {})
        role = DelegatedRole(
            name, [], 1, terminating, None if prefixes else list(paths), prefixes
        )
        signed.delegations.roles[name] = role
        signer = new_signer(self.kind)
        signed.add_key(signer.public_key, name)
        self.signers.setdefault(name, []).append(signer)
        self.md.setdefault(name, Metadata(Targets(expires=LATER)))
        return signer

    def delegate_succinct(self, parent, bits, prefix):
        signed = self.md[parent].signed
        succinct = SuccinctRoles([], 1, bits, prefix)
        signed.delegations = Delegations({}, None, succinct)
        signer = new_signer(self.kind)
        signed.add_key(signer.public_key)
        for name in succinct.get_roles():
            self.md[name] = Metadata(Targets(expires=LATER))
            self.signers[name] = [signer]
        return list(succinct.get_roles())

    def publish_targets(self):
        """All targets roles at their first or next version, and a release."""
        for role in self.md:
            if role not in ("root", "timestamp", "snapshot"):
                self.publish(role, bump=(role in self.newest))
        self.release()

    def metadata(self, name):
        """The answer for a name below `/metadata/`; none for 404."""
        if not name.endswith(".json"):
            return None
        stem = name[: -len(".json")]
        version, dot, role = stem.partition(".")
        if dot and version.isdigit():
            role, version = unquote(role), int(version)
            self.asked.append((role, version))
            return self.files.get((role, version))
        role = unquote(stem)
        self.asked.append((role, None))
        if self.root.consistent_snapshot and role != "timestamp":
            return None
        return self.newest.get(role)

    def target(self, path):
        """The answer for a path below `/targets/`; none for 404."""
        folder, slash, file = path.rpartition("/")
        digest = None
        if self.root.consistent_snapshot:
            digest, _, file = file.partition(".")
        path = f"{folder}{slash}{file}"
        self.asked_targets.append((path, digest))
        data, digests = self.artifacts.get(path, (None, ()))
        return None if digest and digest not in digests else data


class Server:
    """Serves one repository at a time on a port of its own."""

    def __init__(self):
        outer = self
        self.repository = None
        # Answers that are not the repository's: path -> (status, bytes).
        self.instead = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body leave in one piece, or each answer waits 40 ms for an acknowledgement.
            wbufsize = -1
            disable_nagle_algorithm = True

            def do_GET(self):
                status, data = outer.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """A client that hangs up in the middle of endless data does right."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, path):
        if path in self.instead:
            return self.instead[path]
        if path.startswith("/metadata/"):
            # Role names are quoted in the name itself, which is one segment of the path.
            data = self.repository.metadata(path[len("/metadata/") :])
        elif path.startswith("/targets/"):
            data = self.repository.target(unquote(path[len("/targets/") :]))
        else:
            data = None
        return (404, b"") if data is None else (200, data)
