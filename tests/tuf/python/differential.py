"""python-tuf's client over folders of metadata: `differential.py PATHS FOLDER...` prints, for each
folder, one JSON list with what it says of each of the paths (a JSON list): [length, sha256] of a
target, "not found", or "refused"."""

import json
import sys
import tempfile
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Folder(FetcherInterface):
    """`http://folder/NAME` is the file of that name."""

    def __init__(self, path):
        self.path = path

    def _fetch(self, url):
        file = self.path / "metadata" / url.rpartition("/")[2]
        if not file.exists():
            raise DownloadHTTPError("no such file", 404)
        return iter([file.read_bytes()])


def verdicts(folder, paths):
    with tempfile.TemporaryDirectory() as state:
        try:
            root = (folder / "root.json").read_bytes()
            updater = Updater(state, "http://folder/", fetcher=Folder(folder), bootstrap=root)
            updater.refresh()
        except Exception:
            return ["refused"] * len(paths)
        return [verdict(updater, path) for path in paths]


def verdict(updater, path):
    try:
        info = updater.get_targetinfo(path)
    except Exception:
        return "refused"
    return "not found" if info is None else [info.length, info.hashes.get("sha256", "")]


paths = json.loads(sys.argv[1])
for name in sys.argv[2:]:
    print(json.dumps(verdicts(Path(name), paths)))
