"""Drives the client under test: a program with the command line of the conformance suite."""

import json
import subprocess
from pathlib import Path

from tuf.api.metadata import Metadata


class Client:
    def __init__(self, program, server, folder):
        self.program = program
        self.server = server
        self.metadata = Path(folder) / "metadata"
        self.downloads = Path(folder) / "downloads"
        self.metadata.mkdir(parents=True)
        self.downloads.mkdir()

    def run(self, *arguments, at=None):
        """The exit code; `at` is the time that the client believes."""
        clock = ["faketime", at.strftime("%Y-%m-%d %H:%M:%S")] if at else []
        command = [*clock, *self.program, "--metadata-dir", str(self.metadata), *arguments]
        done = subprocess.run(command, capture_output=True, timeout=60, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"})
        self.said = done.stderr.decode(errors="replace")
        assert done.returncode in (0, 1), f"exit code {done.returncode}: {self.said}"
        return done.returncode

    def init(self, root):
        path = self.metadata.parent / "trusted-root"
        path.write_bytes(root)
        return self.run("init", str(path))

    def refresh(self, at=None):
        return self.run("--metadata-url", f"{self.server.base}/metadata/", "refresh", at=at)

    def download(self, *names):
        wanted = [word for name in names for word in ("--target-name", name)]
        return self.run(
            "--metadata-url", f"{self.server.base}/metadata/", *wanted,
            "--target-base-url", f"{self.server.base}/targets/",
            "--target-dir", str(self.downloads), "download",
        )

    def version(self, role):
        path = self.metadata / f"{role}.json"
        return json.loads(path.read_bytes())["signed"]["version"] if path.exists() else None

    def versions(self):
        return [self.version(role) for role in ("root", "timestamp", "snapshot", "targets")]

    def trusted(self):
        """Every file that is called as a role's, which must be metadata."""
        found = {}
        for path in sorted(self.metadata.glob("*.json")):
            found[path.name] = Metadata.from_bytes(path.read_bytes()).signed.version
        return found

    def downloaded(self):
        files = [path for path in self.downloads.rglob("*") if path.is_file()]
        return sorted(path.read_bytes() for path in files)
