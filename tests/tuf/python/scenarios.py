"""What a client must do, scenario by scenario. Run as `scenarios.py GROUP PROGRAM...`: prints one JSON
object a line, {"name", "fault"}, where a null fault is a pass.

Every scenario of the TUF conformance suite has one here under its name; those that the suite does not
have are marked with the clause of the specification that they are about.
"""

import json
import sys
import tempfile
import time
import traceback
from datetime import timedelta

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Targets
from tuf.api.serialization.json import JSONSerializer

from client import Client
from reference import Reference
from repository import EARLIER, LATER, NOW, TOP, Repository, Server, new_signer, rsa_signer

SCENARIOS = []
FRESH = [("root", 2), ("timestamp", None), ("snapshot", 1), ("targets", 1)]


def scenario(group, *cases):
    """Registers a function once, or once for each of its cases (name, arguments)."""

    def register(function):
        name = function.__name__
        for case in cases or [None]:
            if case is None:
                SCENARIOS.append((group, name, function, ()))
            else:
                SCENARIOS.append((group, f"{name}[{case[0]}]", function, case[1:]))
        return function

    return register


def equal(got, expected, what):
    assert got == expected, f"{what}: expected {expected!r}, got {got!r}"


def ready(client, repo):
    """A client that has refreshed once."""
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "first refresh")
    repo.asked.clear()


# --- basic -------------------------------------------------------------------------------------


@scenario("basic")
def basic_init_and_refresh(client, repo):
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    equal(repo.asked, FRESH, "requests")
    equal(client.versions(), [1, 1, 1, 1], "versions")


@scenario("basic")
def no_change_takes_two_requests(client, repo):
    ready(client, repo)
    equal(client.refresh(), 0, "refresh")
    equal(repo.asked, [("root", 2), ("timestamp", None)], "requests")


@scenario("basic")
def implicit_refresh(client, repo):
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("nonexistent artifact"), 1, "download")
    equal(repo.asked, FRESH, "requests")
    equal(client.versions(), [1, 1, 1, 1], "versions")


def changed(data, change):
    file = json.loads(data)
    change(file)
    return json.dumps(file).encode()


@scenario("basic")
def invalid_initial_root(client, repo):
    client.init(changed(repo.files[("root", 1)], lambda file: file["signed"].pop("version")))
    equal(client.refresh(), 1, "refresh")
    equal(repo.asked, [], "requests")


@scenario("basic")
def unsigned_initial_root(client, repo):
    client.init(changed(repo.files[("root", 1)], lambda f: f["signatures"][0].update(sig="00" * 64)))
    equal(client.refresh(), 1, "refresh")
    equal(repo.asked, [], "requests")


@scenario("basic")
def timestamp_content_changes(client, repo):
    """5.4.3.1: an equal version is discarded, whatever it says."""
    ready(client, repo)
    before = (client.metadata / "timestamp.json").read_bytes()
    repo.timestamp.snapshot_meta.version = 100
    repo.publish("timestamp", bump=False)
    client.refresh()
    equal((client.metadata / "timestamp.json").read_bytes(), before, "timestamp.json")
    equal(client.versions(), [1, 1, 1, 1], "versions")


@scenario("basic")
def new_targets_hash_mismatch(client, repo):
    ready(client, repo)
    repo.hashes = True
    repo.publish("targets")
    repo.release()
    equal(client.refresh(), 0, "refresh")
    repo.publish("targets")
    right = repo.newest["targets"]
    repo.release()
    repo.serve("targets", 3, right + b" ")
    equal(client.refresh(), 1, "refresh with another file than listed")
    equal(client.version("targets"), 2, "targets")
    repo.serve("targets", 3, right)
    equal(client.refresh(), 0, "refresh with the listed file")
    equal(client.version("targets"), 3, "targets")


@scenario("basic")
def new_targets_version_mismatch(client, repo):
    ready(client, repo)
    repo.publish("targets")
    repo.snapshot.meta["targets.json"] = MetaFile(3)
    repo.release()
    repo.files[("targets", 3)] = repo.files[("targets", 2)]
    equal(client.refresh(), 1, "refresh")
    equal(client.version("targets"), 1, "targets")


@scenario("basic")
def custom_fields(client, repo):
    """4: what is not known is signed all the same."""
    ready(client, repo)
    repo.root.unrecognized_fields["custom"] = {"nested": [1, "é", None, True]}
    keyid = repo.root.roles["root"].keyids[0]
    repo.root.keys[keyid].unrecognized_fields["extra"] = {"a": 1}
    repo.root.roles["root"].unrecognized_fields["another"] = "value"
    repo.publish("root")
    for role in ("targets", "snapshot", "timestamp"):
        repo.md[role].signed.unrecognized_fields["custom"] = {"line\nbreak": "\"\\"}
    repo.md["snapshot"].signed.meta["targets.json"].unrecognized_fields["x"] = 1
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [2, 2, 2, 2], "versions")


@scenario("basic", *[(role, role) for role in TOP])
def unsigned_metadata(client, repo, role):
    ready(client, repo)
    signers, repo.signers[role] = repo.signers[role], []
    repo.publish(role)
    if role == "targets":
        repo.release()
    elif role == "snapshot":
        repo.publish("timestamp")
    before = client.trusted()
    equal(client.refresh(), 1, "refresh")
    equal(client.version(role), 1, role)
    assert before.keys() == client.trusted().keys()
    repo.signers[role] = signers


@scenario("basic", *[(role, role) for role in ("root", "snapshot", "targets")])
def url_and_metadata_version_mismatch(client, repo, role):
    ready(client, repo)
    repo.md[role].signed.version += 1
    repo.publish(role)
    repo.files[(role, 2)] = repo.files.pop((role, 3))
    if role == "targets":
        repo.snapshot.meta["targets.json"] = MetaFile(2)
        repo.release()
    elif role == "snapshot":
        repo.timestamp.snapshot_meta = MetaFile(2)
        repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.version(role), 1, role)


@scenario("basic", ("timestamp", "timestamp"), ("snapshot", "snapshot"), ("targets", "targets"))
def metadata_404(client, repo, role):
    ready(client, repo)
    repo.publish("targets", "snapshot", "timestamp")
    repo.files.pop((role, 2))
    repo.newest.pop(role)
    equal(client.refresh(), 1, "refresh")
    equal(client.version(role), 1, role)


@scenario("basic", *[(role, role) for role in TOP])
def incorrect_metadata_type(client, repo, role):
    """4.2: `_type` says which role it is; well signed is not enough."""
    ready(client, repo)
    right = repo.md[role]
    other = {"root": "targets", "timestamp": "snapshot", "snapshot": "targets", "targets": "snapshot"}
    signed = json.loads(repo.files[(role, 1)])["signed"]
    wrong = json.loads(repo.files[(other[role], 1)])["signed"]
    wrong["version"] = signed["version"] + 1
    md = Metadata.from_dict({"signed": wrong, "signatures": []})
    for signer in repo.signers[role]:
        md.sign(signer, append=True)
    right.signed.version += 1
    repo.serve(role, 2, md.to_bytes(JSONSerializer()))
    if role == "targets":
        repo.snapshot.meta["targets.json"] = MetaFile(2)
        repo.release()
    elif role == "snapshot":
        repo.timestamp.snapshot_meta = MetaFile(2)
        repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.version(role), 1, role)


@scenario("basic")
def metadata_bytes_match(client, repo):
    """What is stored is what came, byte for byte."""
    repo.delegate("targets", "role")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    client.download("nonexistent")
    for role in (*TOP, "role"):
        equal((client.metadata / f"{role}.json").read_bytes(), repo.newest[role], role)


@scenario("basic")
def trusted_folder_has_metadata_only(client, repo):
    ready(client, repo)
    equal(client.trusted(), {f"{role}.json": 1 for role in TOP}, "trusted files")


@scenario("basic")
def corrupt_stored_metadata_is_fetched_again(client, repo):
    """5.3 to 5.6 for files on the disk: those that do not verify are as good as none."""
    ready(client, repo)
    for role in ("timestamp", "snapshot", "targets"):
        (client.metadata / f"{role}.json").write_bytes(b"{}")
        equal(client.refresh(), 0, f"refresh with a broken {role}")
        equal(client.versions(), [1, 1, 1, 1], "versions")
    (client.metadata / "root.json").write_bytes(b"{}")
    equal(client.refresh(), 1, "refresh with a broken root")


@scenario("basic")
def without_consistent_snapshots(client, repo):
    """6.2, 5.5.1, 5.6.1: no versions in names."""
    repo.root.consistent_snapshot = False
    repo.publish("root")
    repo.delegate("targets", "role", ["a/*"])
    repo.add_target("role", "a/b", b"content")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("a/b"), 0, "download")
    expected = [("root", 2), ("root", 3), *[(r, None) for r in ("timestamp", "snapshot", "targets", "role")]]
    equal(repo.asked, expected, "requests")
    equal(repo.asked_targets, [("a/b", None)], "targets asked for")


@scenario("basic")
def turning_consistent_snapshots_on(client, repo):
    repo.root.consistent_snapshot = False
    repo.publish("root")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    repo.root.consistent_snapshot = True
    repo.publish("root", "targets", "snapshot", "timestamp")
    repo.asked.clear()
    equal(client.refresh(), 0, "refresh")
    equal(repo.asked, [("root", 3), ("root", 4), ("timestamp", None), ("snapshot", 2), ("targets", 2)], "requests")


@scenario("basic", *[(role, role) for role in TOP])
def endless_data(client, repo, role):
    """5.3.3, 5.4.1, 5.5.1, 5.6.1: no more is read than is allowed."""
    ready(client, repo)
    repo.publish("targets", "snapshot", "timestamp")
    repo.root.version += 1
    repo.serve(role, 2, b" " * 6_000_000 + repo.newest[role])
    equal(client.refresh(), 1, "refresh")
    equal(client.version(role), 1, role)


@scenario("basic", *[(f"{status}", status) for status in (301, 500, 503)])
def a_server_in_trouble_is_no_missing_root(client, repo, status):
    """5.3.3: only "no such file" says that there is no newer root."""
    ready(client, repo)
    client.server.instead["/metadata/2.root.json"] = (status, b"trouble")
    equal(client.refresh(), 1, "refresh")
    equal(repo.asked, [], "requests")


@scenario("basic", ("403", 403), ("404", 404))
def a_missing_root_is_no_trouble(client, repo, status):
    ready(client, repo)
    client.server.instead["/metadata/2.root.json"] = (status, b"no")
    equal(client.refresh(), 0, "refresh")


@scenario("basic")
def a_portal_in_place_of_a_root_is_refused(client, repo):
    ready(client, repo)
    client.server.instead["/metadata/2.root.json"] = (200, b"<html>please log in</html>")
    equal(client.refresh(), 1, "refresh")
    equal(client.version("root"), 1, "root")


@scenario("basic", ("one more", "1.1.0", 0), ("another patch", "1.0.99", 0), ("another major", "2.0.0", 1))
def spec_version_of_another_client(client, repo, version, expected):
    """4.3: the major version decides."""
    ready(client, repo)
    repo.timestamp.version += 1
    signed = {**repo.timestamp.to_dict(), "spec_version": version}
    data = signed_by(signed, repo.signers["timestamp"])
    repo.serve("timestamp", 2, data)
    equal(client.refresh(), expected, "refresh")


def signed_by(signed, signers):
    """A file around any JSON object."""
    from securesystemslib.formats import encode_canonical

    message = encode_canonical(signed).encode()
    signatures = [{"keyid": s.public_key.keyid, "sig": s.sign(message).signature} for s in signers]
    return json.dumps({"signatures": signatures, "signed": signed}).encode()


# --- expiration --------------------------------------------------------------------------------


@scenario("expiration")
def root_expired(client, repo):
    """5.3.10 comes after 5.3.8: the root is kept, and nothing else is accepted."""
    ready(client, repo)
    repo.publish("root")
    equal(client.refresh(), 0, "refresh")
    repo.root.expires = EARLIER
    repo.publish("root", "targets", "snapshot", "timestamp")
    repo.asked.clear()
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [3, 1, 1, 1], "versions")
    equal(repo.asked, [("root", 3), ("root", 4)], "requests")


@scenario("expiration")
def an_expired_root_in_the_middle_is_no_harm(client, repo):
    """5.3.6: the expiry of an intermediate root does not matter."""
    ready(client, repo)
    repo.root.expires = EARLIER
    repo.publish("root", "root")
    repo.root.expires = LATER
    repo.publish("root")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [4, 1, 1, 1], "versions")


@scenario("expiration")
def timestamp_expired(client, repo):
    ready(client, repo)
    repo.timestamp.expires = EARLIER
    repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 1, 1, 1], "versions")


@scenario("expiration")
def snapshot_expired(client, repo):
    ready(client, repo)
    repo.snapshot.expires = EARLIER
    repo.release()
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 2, 1, 1], "versions")


@scenario("expiration")
def targets_expired(client, repo):
    ready(client, repo)
    repo.targets.expires = EARLIER
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 2, 2, 1], "versions")


@scenario("expiration")
def delegated_role_expired(client, repo):
    """One delegatee that has expired stops its own targets only."""
    for name in ("good", "late"):
        repo.delegate("targets", name, paths=[f"{name}/*"])
        repo.add_target(name, f"{name}/x", name.encode())
    repo.md["late"].signed.expires = EARLIER
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("late/x"), 1, "download of the late one")
    equal(client.download("good/x"), 0, "download of the good one")
    equal(client.downloaded(), [b"good"], "downloads")


@scenario("expiration")
def expired_metadata(client, repo):
    """What is stored may have expired: it still guards, and is still what the new is held to."""
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    repo.timestamp.expires = NOW + timedelta(days=7)
    repo.publish("timestamp")
    equal(client.refresh(), 0, "refresh")
    repo.publish("targets", "snapshot")
    repo.timestamp.expires = NOW + timedelta(days=21)
    repo.publish("timestamp")
    equal(client.refresh(at=NOW + timedelta(days=18)), 0, "refresh after 18 days")
    equal(client.versions(), [1, 3, 2, 2], "versions")


@scenario("expiration", *[(role, role) for role in ("timestamp", "snapshot", "targets")])
def expired_local_metadata_is_not_used(client, repo, role):
    """5.4.4, 5.5.6, 5.6.5 for what is on the disk, with nothing newer to be had."""
    repo.md[role].signed.expires = NOW + timedelta(days=7)
    repo.add_target("targets", "x", b"x")
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    equal(client.refresh(at=NOW + timedelta(days=8)), 1, "refresh after a week")
    equal(client.refresh(), 0, "refresh with the clock set right again")


@scenario("expiration", *[(role, role) for role in ("snapshot", "targets")])
def rollback_is_seen_past_expired_local_metadata(client, repo, role):
    repo.md[role].signed.expires = NOW + timedelta(days=7)
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    repo.md[role].signed.expires = LATER
    repo.md[role].signed.version = 1
    repo.publish(role, bump=False)
    if role == "targets":
        repo.release()
    else:
        repo.publish("timestamp")
    equal(client.refresh(at=NOW + timedelta(days=8)), 1, "refresh")
    equal(client.version(role), 2, role)


@scenario("expiration")
def a_clock_that_was_in_2099_once_is_no_end(client, repo):
    ready(client, repo)
    equal(client.refresh(at=NOW + timedelta(days=26_000)), 1, "refresh in 2097")
    equal(client.refresh(), 0, "refresh today")


# --- targets -----------------------------------------------------------------------------------


@scenario("download", ("flat", "target_file.txt"), ("in folders", "path/to/a/target_file.txt"))
def client_downloads_expected_file(client, repo, path):
    repo.add_target("targets", path, b"content")
    repo.publish("targets", "snapshot", "timestamp")
    ready(client, repo)
    equal(client.downloaded(), [], "downloads after a refresh")
    equal(client.download(path), 0, "download")
    equal(client.downloaded(), [b"content"], "downloads")


UNUSUAL = ("a b", "a%20b", "?x#y", "é/ü", "a+b&c=d", "..", "../../etc/x", "a//b", "%2e%2e/x")


@scenario("download", *[(path, path) for path in UNUSUAL], ("a long one", "ñ" * 60))
def unusual_target_names(client, repo, path):
    repo.add_target("targets", path, path.encode())
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download(path), 0, "download")
    equal(client.downloaded(), [path.encode()], "downloads")


@scenario("download", ("sha256", ["sha256"]), ("sha512", ["sha512"]), ("both", ["sha256", "sha512"]))
def download_with_hash_algorithms(client, repo, algorithms):
    repo.add_target("targets", "x", b"content", algorithms)
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    equal(client.downloaded(), [b"content"], "downloads")
    data, digests = repo.artifacts["x"]
    repo.artifacts["x"] = (b"malware", digests)
    for path in client.downloads.iterdir():
        path.unlink()
    equal(client.download("x"), 1, "download of something else")
    equal(client.downloaded(), [], "downloads")


@scenario("download")
def one_of_two_hashes_does_not_match(client, repo):
    target = repo.add_target("targets", "x", b"content", ["sha256", "sha512"])
    target.hashes["sha512"] = "00" * 64
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 1, "download")
    equal(client.downloaded(), [], "downloads")


@scenario("download", ("shorter", -1), ("longer", 1))
def length_does_not_match(client, repo, difference):
    repo.add_target("targets", "x", b"content").length += difference
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 1, "download")
    equal(client.downloaded(), [], "downloads")


@scenario("download")
def repository_substitutes_target_file(client, repo):
    repo.add_target("targets", "one", b"first")
    repo.add_target("targets", "two", b"second")
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("one"), 0, "download")
    for path in ("one", "two"):
        repo.artifacts[path] = (b"malware", repo.artifacts[path][1])
    client.download("one")
    equal(client.downloaded(), [b"first"], "downloads")
    equal(client.download("two"), 1, "download")
    equal(client.downloaded(), [b"first"], "downloads")


@scenario("download")
def multiple_changes_to_target(client, repo):
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    for number in range(6):
        content = f"content {number}".encode()
        repo.add_target("targets", "x", content)
        repo.publish("targets", "snapshot", "timestamp")
        if number % 2 == 0:
            equal(client.download("x"), 0, "download")
            equal(client.downloaded(), [content], "downloads")
            repo.artifacts["x"] = (b"malware", repo.artifacts["x"][1])
            client.download("x")
            equal(client.downloaded(), [content], "downloads")


@scenario("download")
def artifact_cache(client, repo):
    repo.add_target("targets", "x", b"content")
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    equal(client.download("x"), 0, "download again")
    equal(len(repo.asked_targets), 1, "requests")
    next(client.downloads.iterdir()).write_bytes(b"changed")
    equal(client.download("x"), 0, "download after a change")
    equal(client.downloaded(), [b"content"], "downloads")


@scenario("download")
def several_targets_in_one_run(client, repo):
    for path in ("a", "b", "d"):
        repo.add_target("targets", path, path.encode())
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("a", "b"), 0, "download")
    equal(client.downloaded(), [b"a", b"b"], "downloads")
    equal(client.download("a", "c", "d"), 1, "download with one that is not there")
    equal(client.downloaded(), [b"a", b"b"], "downloads")
    equal(repo.asked.count(("timestamp", None)), 2, "refreshes")


@scenario("download", *[(name, name) for name in ("?", "#", "/delegatedrole", "../delegatedrole", "é %2F", "a b")])
def unusual_role_name(client, repo, name):
    repo.delegate("targets", name)
    repo.add_target(name, "x", b"content")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    equal(repo.asked[-1], (name, 1), "last request")
    equal(len(client.trusted()), 5, "trusted files")
    repo.asked.clear()
    equal(client.download("x"), 0, "download again")
    equal(repo.asked, [("root", 2), ("timestamp", None)], "requests")


# --- keys --------------------------------------------------------------------------------------


@scenario("keys", *[(kind, kind) for kind in ("ed25519", "ecdsa", "rsa")])
def keytype_and_scheme(client, repo, kind):
    for role in TOP:
        repo.set_signers(role, *[[new_signer(kind)]] * 2, 1)
    repo.publish("root")
    first = json.loads(repo.newest["root"])["signed"]
    first["version"] = 1
    repo.root.version = 1
    repo.publish("root", bump=False)
    repo.files.pop(("root", 2))
    repo.publish("targets", "snapshot", "timestamp")
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [1, 2, 2, 2], "versions")


@scenario("keys")
def ecdsa_under_its_old_keytype(client, repo):
    signer = new_signer("ecdsa")
    signer.public_key.keytype = "ecdsa-sha2-nistp256"
    ready(client, repo)
    repo.set_signers("timestamp", [signer], [signer], 1)
    repo.publish("root", "timestamp")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [2, 2, 1, 1], "versions")


@scenario("keys")
def keys_of_unknown_kinds_do_not_count(client, repo):
    ready(client, repo)
    signer = repo.signers["timestamp"][0]
    from securesystemslib.signer import SSlibKey

    strange = SSlibKey("strange", "ml-dsa", "ml-dsa-44", {"public": "00"})
    repo.root.add_key(strange, "timestamp")
    repo.root.add_key(SSlibKey("broken", "ed25519", "ed25519", {"public": "00"}), "timestamp")
    repo.publish("root", "timestamp")
    equal(client.refresh(), 0, "refresh with a threshold of one")
    repo.root.roles["timestamp"].threshold = 2
    repo.publish("root", "timestamp")
    equal(client.refresh(), 1, "refresh with a threshold of two")
    equal(client.versions(), [3, 2, 1, 1], "versions")
    assert signer


@scenario("keys")
def snapshot_threshold(client, repo):
    ready(client, repo)
    for _ in range(4):
        repo.add_key("snapshot")
    repo.root.roles["snapshot"].threshold = 6
    repo.publish("root", "snapshot", "timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.version("snapshot"), 1, "snapshot")
    repo.root.roles["snapshot"].threshold = 5
    repo.publish("root")
    equal(client.refresh(), 0, "refresh with the threshold met")
    equal(client.version("snapshot"), 2, "snapshot")


@scenario("keys")
def root_has_keys_but_not_snapshot(client, repo):
    """Keys that root lists and that did not sign do not count, nor do names without keys."""
    ready(client, repo)
    signing = list(repo.signers["snapshot"])
    for _ in range(2):
        repo.add_key("snapshot")
    repo.signers["snapshot"] = signing
    repo.root.roles["snapshot"].threshold = 2
    repo.publish("root", "snapshot", "timestamp")
    equal(client.refresh(), 1, "refresh")
    repo.root.roles["snapshot"].keyids.append("ab" * 32)
    repo.publish("root")
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [3, 2, 1, 1], "versions")


@scenario("keys")
def wrong_hashing_algorithm(client, repo):
    """`keyid_hash_algorithms` is not of the specification: nobody may care."""
    ready(client, repo)
    key = repo.root.keys[repo.root.roles["snapshot"].keyids[0]]
    key.unrecognized_fields["keyid_hash_algorithms"] = ["md5"]
    repo.publish("root", "snapshot", "timestamp")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [2, 2, 2, 1], "versions")


@scenario("keys")
def duplicate_keys_root(client, repo):
    """5.3.4: one key counts once, under however many names."""
    ready(client, repo)
    signer = repo.signers["snapshot"][0]
    twins = []
    for number in range(5):
        twin = CryptoSigner(signer._private_key, signer.public_key.from_dict(f"{number:064x}", signer.public_key.to_dict()))
        repo.root.add_key(twin.public_key, "snapshot")
        twins.append(twin)
    repo.signers["snapshot"] = [signer, *twins]
    repo.root.roles["snapshot"].threshold = 3
    repo.publish("root", "snapshot", "timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.version("snapshot"), 1, "snapshot")


@scenario("keys")
def a_key_of_another_role_does_not_count(client, repo):
    ready(client, repo)
    repo.signers["timestamp"] = repo.signers["snapshot"]
    repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 1, 1, 1], "versions")


@scenario("keys")
def a_key_id_is_only_a_name(client, repo):
    """4.2.2 wants the hash of the key; what counts is the key."""
    ready(client, repo)
    signer = new_signer()
    named = CryptoSigner(signer._private_key, signer.public_key.from_dict("any-name", signer.public_key.to_dict()))
    repo.set_signers("timestamp", [named], [named], 1)
    repo.publish("root", "timestamp")
    equal(client.refresh(), 0, "refresh")


# --- rollback ----------------------------------------------------------------------------------


@scenario("rollback")
def simple_snapshot_rollback(client, repo):
    repo.release()
    ready(client, repo)
    repo.newest["snapshot"] = repo.files[("snapshot", 1)]
    equal(client.refresh(), 0, "refresh")
    equal(client.version("snapshot"), 2, "snapshot")
    equal(repo.asked[-1], ("timestamp", None), "last request")


@scenario("rollback")
def new_timestamp_version_rollback(client, repo):
    repo.publish("timestamp")
    ready(client, repo)
    repo.newest["timestamp"] = repo.files[("timestamp", 1)]
    equal(client.refresh(), 1, "refresh")
    equal(client.version("timestamp"), 2, "timestamp")
    equal(repo.asked[-1], ("timestamp", None), "last request")


@scenario("rollback", ("basic", False), ("with hashes", True))
def snapshot_rollback(client, repo, hashes):
    repo.hashes = hashes
    repo.release()
    ready(client, repo)
    repo.snapshot.version = 1
    repo.publish("snapshot", bump=False)
    repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 2, 2, 1], "versions")
    equal(repo.asked[-1], ("timestamp", None), "last request")


@scenario("rollback", ("basic", False), ("with hashes", True))
def targets_rollback(client, repo, hashes):
    repo.hashes = hashes
    repo.publish("targets", "snapshot", "timestamp")
    ready(client, repo)
    repo.targets.version = 1
    repo.publish("targets", bump=False)
    repo.release()
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [1, 3, 2, 2], "versions")


@scenario("rollback")
def a_role_that_vanishes_from_the_snapshot(client, repo):
    """5.5.5: what a trusted snapshot lists, the next one lists."""
    repo.delegate("targets", "role")
    repo.publish_targets()
    ready(client, repo)
    repo.snapshot.meta.pop("role.json")
    repo.release()
    equal(client.refresh(), 1, "refresh")
    equal(client.version("snapshot"), 2, "snapshot")


@scenario("rollback")
def delegated_role_rollback(client, repo):
    """5.5.5 is about every role that the snapshot lists."""
    repo.delegate("targets", "role")
    repo.publish_targets()
    repo.publish("role", "snapshot", "timestamp")
    ready(client, repo)
    repo.md["role"].signed.version = 1
    repo.publish("role", bump=False)
    repo.release()
    equal(client.refresh(), 1, "refresh")
    equal(client.version("snapshot"), 3, "snapshot")


@scenario("rollback")
def root_rollback(client, repo):
    """5.3.5: root N+1 says that it is N+1."""
    repo.publish("root", "root")
    ready(client, repo)
    equal(client.version("root"), 3, "root")
    repo.files[("root", 4)] = repo.files[("root", 1)]
    equal(client.refresh(), 1, "refresh")
    equal(client.version("root"), 3, "root")


@scenario("rollback")
def new_snapshot_version_mismatch(client, repo):
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    repo.publish("snapshot")
    repo.timestamp.snapshot_meta = MetaFile(3)
    repo.publish("timestamp")
    repo.files[("snapshot", 3)] = repo.files[("snapshot", 2)]
    equal(client.refresh(), 1, "refresh")
    equal(client.trusted(), {"root.json": 1, "timestamp.json": 2}, "trusted files")


@scenario("rollback")
def new_timestamp_fast_forward_recovery(client, repo):
    """5.3.11, and 1.5.2 of what it is for."""
    for _ in range(99):
        repo.publish("timestamp")
    ready(client, repo)
    repo.rotate("timestamp")
    repo.publish("root")
    repo.timestamp.version = 1
    repo.publish("timestamp", bump=False)
    equal(client.refresh(), 0, "refresh")
    equal(client.version("timestamp"), 1, "timestamp")


@scenario("rollback")
def new_snapshot_fast_forward_recovery(client, repo):
    repo.snapshot.version = 99999
    repo.publish("snapshot", bump=False)
    repo.publish("timestamp")
    ready(client, repo)
    repo.rotate("snapshot")
    repo.rotate("timestamp")
    repo.publish("root")
    repo.snapshot.version = 1
    repo.publish("snapshot", bump=False)
    repo.publish("timestamp")
    equal(client.refresh(), 0, "refresh")
    equal(client.version("snapshot"), 1, "snapshot")


@scenario("rollback")
def new_targets_fast_forward_recovery(client, repo):
    repo.targets.version = 99999
    repo.publish("targets", bump=False)
    repo.release()
    ready(client, repo)
    repo.rotate("snapshot")
    repo.publish("root")
    repo.targets.version = 1
    repo.publish("targets", bump=False)
    repo.release()
    equal(client.refresh(), 0, "refresh")
    equal(client.version("targets"), 1, "targets")


@scenario("rollback")
def a_rotation_of_other_keys_recovers_nothing(client, repo):
    """Only the timestamp's and the snapshot's keys vouch for versions."""
    for _ in range(5):
        repo.publish("timestamp")
    ready(client, repo)
    repo.rotate("targets")
    repo.publish("root", "targets")
    repo.timestamp.version = 1
    repo.publish("timestamp", bump=False)
    equal(client.refresh(), 1, "refresh")
    equal(client.versions(), [2, 6, 1, 1], "versions")


@scenario("rollback")
def replay_past_an_old_rotation(client, repo):
    """A root of long ago that rotated keys excuses nothing that came after it."""
    ready(client, repo)
    repo.rotate("timestamp")
    repo.publish("root", "timestamp")
    equal(client.refresh(), 0, "refresh")
    old = repo.newest["timestamp"]
    for _ in range(4):
        repo.publish("timestamp")
    equal(client.refresh(), 0, "refresh")
    repo.newest["timestamp"] = old
    equal(client.refresh(), 1, "refresh with a replayed timestamp")
    equal(client.version("timestamp"), 6, "timestamp")


# --- key rotations -----------------------------------------------------------------------------
# A case is a chain of roots: (listed, signing, threshold, accepted), with keys by number.

FIVE = [0, 1, 2, 3, 4]
ROOTS = [
    ("1-of-1 key rotation", [([1], [1], 1, True), ([2], [1, 2], 1, True), ([2], [2], 1, True)]),
    ("1-of-1 key rotation, unused signatures", [([1], [3, 1, 4], 1, True), ([2], [3, 1, 2, 4], 1, True), ([2], [3, 2, 4], 1, True)]),
    ("1-of-1 key rotation fail: not signed with old key", [([1], [1], 1, True), ([2], [2, 3, 4], 1, False)]),
    ("1-of-1 key rotation fail: not signed with new key", [([1], [1], 1, True), ([2], [1, 3, 4], 1, False)]),
    ("3-of-5, sign with different keycombos", [(FIVE, [0, 2, 4], 3, True), (FIVE, [0, 4, 1], 3, True), (FIVE, [0, 1, 3], 3, True), (FIVE, [0, 1, 3], 3, True)]),
    ("3-of-5, one key rotated", [(FIVE, [0, 2, 4], 3, True), ([0, 1, 3, 4, 5], [0, 4, 1], 3, True)]),
    ("3-of-5, one key rotated fails: not signed with 3 new keys", [(FIVE, [0, 2, 4], 3, True), ([0, 1, 3, 4, 5], [0, 2, 4], 3, False)]),
    ("3-of-5, one key rotated fails: not signed with 3 old keys", [(FIVE, [0, 2, 4], 3, True), ([0, 1, 3, 4, 5], [0, 4, 5], 3, False)]),
    ("3-of-5, one key rotated, with intermediate step", [(FIVE, [0, 2, 4], 3, True), ([0, 1, 3, 4, 5], [0, 2, 4, 5], 3, True), ([0, 1, 3, 4, 5], [0, 4, 5], 3, True)]),
    ("3-of-5, all keys rotated, with intermediate step", [(FIVE, [0, 2, 4], 3, True), ([5, 6, 7, 8, 9], [0, 2, 4, 5, 6, 7], 3, True), ([5, 6, 7, 8, 9], [5, 6, 7], 3, True)]),
    ("1-of-3 threshold increase to 2-of-3", [([1, 2, 3], [1], 1, True), ([1, 2, 3], [1, 2], 2, True)]),
    ("1-of-3 threshold bump to 2-of-3 fails: new threshold not reached", [([1, 2, 3], [1], 1, True), ([1, 2, 3], [2], 2, False)]),
    ("2-of-3 threshold decrease to 1-of-3", [([1, 2, 3], [1, 2], 2, True), ([1, 2, 3], [1, 2], 1, True), ([1, 2, 3], [1], 1, True)]),
    ("2-of-3 threshold decr. to 1-of-3 fails: old threshold not reached", [([1, 2, 3], [1, 2], 2, True), ([1, 2, 3], [1], 1, False)]),
    ("1-of-2 threshold increase to 2-of-2", [([1], [1], 1, True), ([1, 2], [1, 2], 2, True)]),
    ("a key that signs twice", [([1, 2], [1, 2], 2, True), ([1, 2], [1, 1], 2, False)]),
    ("keys without a threshold of them", [([1], [1], 1, True), ([1, 2], [1], 3, False)]),
]


@scenario("rotations", *ROOTS)
def root_rotation(client, repo, chain):
    keys = [new_signer() for _ in range(10)]
    repo.root.version = 0
    repo.files = {key: data for key, data in repo.files.items() if key[0] != "root"}
    for listed, signing, threshold, _ in chain:
        repo.set_signers("root", [keys[k] for k in listed], [keys[k] for k in signing], threshold)
        repo.publish("root")
    good = [accepted for *_, accepted in chain]
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0 if all(good) else 1, "refresh")
    equal(client.version("root"), good.count(True), "root")
    if not all(good):
        equal(client.version("timestamp"), None, "timestamp")


OTHERS = [
    ("1-of-1 key rotation", [([1], [1], 1), ([2], [2], 1)], True),
    ("1-of-1 key rotation, unused signatures", [([1], [3, 1, 4], 1), ([2], [3, 2, 4], 1)], True),
    ("1-of-1 key rotation fail: signed by the old key", [([1], [1], 1), ([2], [1], 1)], False),
    ("3-of-5, one key signature wrong: not signed with 3 expected keys", [(FIVE, [0, 2, 4], 3), ([0, 1, 3, 4, 5], [0, 2, 4], 3)], False),
    ("2-of-5, one key signature mising: threshold not reached", [(FIVE, [0, 1], 2), (FIVE, [0], 2)], False),
    ("2-of-5, sign with other keys", [(FIVE, [0, 1], 2), (FIVE, [3, 4], 2)], True),
    ("3-of-5, all keys rotated", [(FIVE, [0, 2, 4], 3), ([5, 6, 7, 8, 9], [5, 7, 9], 3)], True),
]


@scenario("rotations", *[(f"{role}: {name}", role, chain, good) for role in ("timestamp", "snapshot", "targets") for name, chain, good in OTHERS])
def non_root_rotation(client, repo, role, chain, good):
    keys = [new_signer() for _ in range(10)]
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    for number, (listed, signing, threshold) in enumerate(chain):
        repo.set_signers(role, [keys[k] for k in listed], [keys[k] for k in signing], threshold)
        repo.publish("root", "targets", "snapshot", "timestamp")
        last = number == len(chain) - 1
        equal(client.refresh(), 0 if good or not last else 1, "refresh")
        equal(client.version("root"), number + 2, "root")
        equal(client.version(role), number + 2 if good or not last else number + 1 if role == "targets" or number else None, role) if good or role == "targets" else None


@scenario("rotations")
def a_stolen_key_that_was_rotated_out(client, repo):
    ready(client, repo)
    stolen = repo.signers["timestamp"]
    repo.rotate("timestamp")
    repo.publish("root", "timestamp")
    equal(client.refresh(), 0, "refresh")
    repo.signers["timestamp"] = stolen
    repo.publish("timestamp")
    equal(client.refresh(), 1, "refresh")
    equal(client.version("timestamp"), 2, "timestamp")


@scenario("rotations")
def delegated_keys_rotated(client, repo):
    """What is stored of a role is held to the keys that its delegator gives it today."""
    old = repo.delegate("targets", "role")
    repo.add_target("role", "x", b"content")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    repo.targets.revoke_key(old.public_key.keyid, "role")
    fresh = new_signer()
    repo.targets.add_key(fresh.public_key, "role")
    repo.publish("targets", "snapshot", "timestamp")
    for path in client.downloads.iterdir():
        path.unlink()
    equal(client.download("x"), 1, "download by the key that is out")
    equal(client.downloaded(), [], "downloads")
    repo.signers["role"] = [fresh]
    repo.publish("role", "snapshot", "timestamp")
    equal(client.download("x"), 0, "download by the new key")


@scenario("rotations")
def a_thousand_roots(client, repo):
    """5.3.9, and none is skipped; every hundredth rotates a key."""
    for number in range(2, 1001):
        old = list(repo.signers["root"])
        if number % 100 == 0:
            repo.rotate("root")
            repo.signers["root"] += old
        repo.publish("root")
        repo.signers["root"] = repo.signers["root"][:1]
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.refresh(), 0, "refresh")
    equal(client.versions(), [1000, 1, 1, 1], "versions")
    equal(len(repo.asked), 1003, "requests")
    repo.asked.clear()
    equal(client.refresh(), 0, "refresh again")
    equal(repo.asked[0], ("root", 1001), "first request")


# --- delegations -------------------------------------------------------------------------------
# A graph is a list of (parent, name, terminating, paths); the order is that of visits.

ALL = ["*"]
GRAPHS = [
    ("basic delegation", [("targets", "A", False, ALL)], ["A"]),
    ("single level delegations", [("targets", "A", False, ALL), ("targets", "B", False, ALL)], ["A", "B"]),
    ("two level delegations", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("B", "C", False, ALL)], ["A", "B", "C"]),
    ("two level test DFS order of traversal", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("A", "C", False, ALL), ("A", "D", False, ALL)], ["A", "C", "D", "B"]),
    ("three level delegation test DFS order of traversal", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("A", "C", False, ALL), ("C", "D", False, ALL)], ["A", "C", "D", "B"]),
    ("two level terminating ignores all but roles descendants", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("A", "C", True, ALL), ("A", "D", False, ALL)], ["A", "C"]),
    ("three level terminating ignores all but roles descendants", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("A", "C", True, ALL), ("C", "D", False, ALL)], ["A", "C", "D"]),
    ("two level ignores all branches not matching paths", [("targets", "A", False, ["*.py"]), ("targets", "B", False, ALL), ("A", "C", False, ALL)], ["B"]),
    ("three level ignores all branches not matching paths", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("A", "C", False, ["*.py"]), ("C", "D", False, ALL)], ["A", "B"]),
    ("cyclic graph", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("B", "C", False, ALL), ("C", "D", False, ALL), ("D", "B", False, ALL)], ["A", "B", "C", "D"]),
    ("two roles delegating to a third", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("B", "C", False, ALL), ("A", "C", False, ALL)], ["A", "C", "B"]),
    ("two roles delegating to a third, different paths", [("targets", "A", False, ALL), ("targets", "B", False, ALL), ("B", "C", False, ALL), ("A", "C", False, ["*.py"])], ["A", "B", "C"]),
    ("a role that delegates to itself", [("targets", "A", False, ALL), ("A", "A", False, ALL), ("targets", "B", False, ALL)], ["A", "B"]),
    ("a terminating role of another name's paths ends nothing", [("targets", "A", True, ["*.py"]), ("targets", "B", False, ALL)], ["B"]),
    ("a terminating role at the top", [("targets", "A", True, ALL), ("targets", "B", False, ALL)], ["A"]),
    ("a chain of twenty", [("targets" if n == 0 else f"r{n - 1}", f"r{n}", False, ALL) for n in range(20)], [f"r{n}" for n in range(20)]),
    ("no more than thirty two roles", [("targets", f"r{n}", False, ALL) for n in range(40)], [f"r{n}" for n in range(32)]),
]


def build(repo, graph):
    for parent, name, terminating, paths in graph:
        repo.delegate(parent, name, paths, terminating)


@scenario("delegations", *GRAPHS)
def graph_traversal(client, repo, graph, order):
    build(repo, graph)
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("missing"), 1, "download")
    equal([role for role, _ in repo.asked[4:]], order, "visits")
    repo.asked.clear()
    equal(client.download("missing"), 1, "download again")
    equal(repo.asked, [("root", 2), ("timestamp", None)], "requests where all is stored")


TREE = [
    ("targets", "A", False, ["*.doc", "*.md"]),
    ("targets", "B", False, ["releases/*/*"]),
    ("B", "C", False, ["releases/x/*"]),
    ("B", "D", False, ["releases/y/*.zip"]),
]


@scenario(
    "delegations",
    ("no delegations", "targetfile", True, []),
    ("matches wildcard", "README.md", True, ["A"]),
    ("with separators x", "releases/x/x_v1", True, ["B", "C"]),
    ("with separators y", "releases/y/y_v1.zip", True, ["B", "D"]),
    ("is not delegated by all roles in the chain", "releases/z/z_v1.zip", False, ["B"]),
    ("does not match wildcard", "sub/README.md", False, []),
    ("another case", "readme.MD", False, []),
    ("deeper than the pattern", "releases/x/y/z", False, []),
    ("with a dot first", ".md", True, ["A"]),
)
def targetfile_search(client, repo, path, found, order):
    build(repo, TREE)
    contents = {"targets": ["targetfile"], "A": ["README.md", "sub/README.md", "readme.MD", ".md"], "C": ["releases/x/x_v1", "releases/x/y/z"], "D": ["releases/y/y_v1.zip", "releases/z/z_v1.zip"]}
    for role, paths in contents.items():
        for each in paths:
            repo.add_target(role, each, each.encode())
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download(path), 0 if found else 1, "download")
    equal(client.downloaded(), [path.encode()] if found else [], "downloads")
    equal([role for role, _ in repo.asked[4:]], order, "visits")


@scenario("delegations")
def delegation_not_in_snapshot(client, repo):
    repo.delegate("targets", "role")
    repo.add_target("role", "x", b"content")
    repo.publish_targets()
    repo.snapshot.meta.pop("role.json")
    repo.release()
    repo.publish("root")
    client.init(repo.files[("root", 1)])
    equal(client.download("x"), 1, "download")
    equal(client.downloaded(), [], "downloads")
    assert ("role", 1) not in repo.asked, "a role was fetched that no snapshot lists"


@scenario("delegations")
def cached_role_is_verified_against_current_delegator(client, repo):
    """One role name, two delegators with two keys: what one vouches for, the other does not."""
    repo.delegate("targets", "A", ["a/*"])
    repo.delegate("targets", "B", ["b/*"])
    repo.delegate("A", "C", ["a/*"])
    good = list(repo.signers["C"])
    repo.delegate("B", "C", ["b/*"])
    repo.signers["C"] = good
    repo.add_target("C", "a/x", b"for a")
    repo.add_target("C", "b/x", b"for b")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("a/x"), 0, "download through A")
    equal(client.download("b/x"), 1, "download through B")
    equal(client.download("a/x", "b/x"), 1, "download of both in one run")
    equal(client.downloaded(), [b"for a"], "downloads")


@scenario("delegations", ("unsigned", "sign"), ("garbage", "garbage"), ("missing", "missing"), ("endless", "endless"))
def one_bad_delegatee_stops_its_own_targets_only(client, repo, how):
    for name in ("bad", "good"):
        repo.delegate("targets", name, paths=[f"{name}/*"])
        repo.add_target(name, f"{name}/x", name.encode())
    if how == "sign":
        repo.signers["bad"] = []
    repo.publish_targets()
    if how == "garbage":
        repo.files[("bad", 1)] = b"not json"
    if how == "missing":
        repo.files.pop(("bad", 1))
    if how == "endless":
        repo.files[("bad", 1)] = b" " * 6_000_000
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("bad/x"), 1, "download of the bad one")
    equal(client.download("good/x"), 0, "download of the good one")
    equal(client.downloaded(), [b"good"], "downloads")


@scenario("delegations")
def a_bad_role_on_the_way_is_not_passed_over(client, repo):
    """5.6.7: else a less trusted role could speak in its place."""
    build(repo, [("targets", "first", False, ALL), ("targets", "second", False, ALL)])
    repo.add_target("first", "x", b"right")
    repo.add_target("second", "x", b"wrong")
    repo.publish_targets()
    repo.files[("first", 1)] = b"not json"
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 1, "download")
    equal(client.downloaded(), [], "downloads")


@scenario("delegations")
def an_earlier_role_speaks_first(client, repo):
    build(repo, [("targets", "first", False, ALL), ("targets", "second", False, ALL)])
    repo.add_target("second", "x", b"wrong")
    repo.add_target("first", "x", b"right")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    equal(client.downloaded(), [b"right"], "downloads")


@scenario("delegations", *[(f"{bits} bits", bits) for bits in (1, 3, 4, 5, 8)])
def succinct_roles(client, repo, bits):
    """TAP 15."""
    names = repo.delegate_succinct("targets", bits, "bin")
    succinct = repo.targets.delegations.succinct_roles
    paths = [f"folder/file-{number}" for number in range(3)]
    for path in paths:
        repo.add_target(succinct.get_role_for_target(path), path, path.encode())
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download(*paths), 0, "download")
    equal(client.downloaded(), sorted(path.encode() for path in paths), "downloads")
    asked = {role for role, _ in repo.asked[4:]}
    equal(asked, {succinct.get_role_for_target(path) for path in paths}, "visits")
    assert asked <= set(names)


@scenario("delegations")
def a_target_in_the_wrong_bin_is_not_seen(client, repo):
    names = repo.delegate_succinct("targets", 4, "bin")
    right = repo.targets.delegations.succinct_roles.get_role_for_target("x")
    for name in names:
        if name != right:
            repo.add_target(name, "x", b"wrong")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 1, "download")
    equal([role for role, _ in repo.asked[4:]], [right], "visits")


@scenario("delegations")
def path_hash_prefixes(client, repo):
    """4.5: a role is trusted with what its prefixes say."""
    import hashlib

    digest = hashlib.sha256(b"x").hexdigest()
    other = format((int(digest[0], 16) + 1) % 16, "x")
    repo.delegate("targets", "other", prefixes=[other])
    repo.delegate("targets", "right", prefixes=[other, digest[:2]])
    repo.add_target("other", "x", b"wrong")
    repo.add_target("right", "x", b"right")
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")
    equal([role for role, _ in repo.asked[4:]], ["right"], "visits")
    equal(client.downloaded(), [b"right"], "downloads")


@scenario("delegations")
def unknown_fields_in_delegations_are_signed_too(client, repo):
    repo.delegate("targets", "role")
    repo.targets.delegations.unrecognized_fields["x"] = [1]
    repo.targets.delegations.roles["role"].unrecognized_fields["y"] = {"z": None}
    repo.add_target("role", "x", b"content").unrecognized_fields["custom"] = {"n": 1}
    repo.publish_targets()
    equal(client.init(repo.files[("root", 1)]), 0, "init")
    equal(client.download("x"), 0, "download")


def run(group, program):
    server = Server()
    for of, name, function, arguments in SCENARIOS:
        if group not in (of, name, "all"):
            continue
        began = time.monotonic()
        repo = Repository()
        server.repository, server.instead = repo, {}
        with tempfile.TemporaryDirectory() as folder:
            kind = Reference if program == ["python-tuf"] else Client
            client = kind(program, server, folder)
            try:
                function(client, repo, *arguments)
                fault = None
            except AssertionError as err:
                fault = f"{err}; the client said: {getattr(client, 'said', '')}"
            except Exception:
                fault = traceback.format_exc()
        seconds = round(time.monotonic() - began, 3)
        print(json.dumps({"name": name, "fault": fault, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
