"""The same as `lazaret-bench-tuf-ours` with python-tuf's client."""

import json
import sys
import time
from pathlib import Path

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater


class Counting(FetcherInterface):
    def __init__(self, path):
        self.path = path
        self.requests = 0
        self.bytes = 0
        self.elsewhere = 0.0

    def _fetch(self, url):
        began = time.perf_counter()
        self.requests += 1
        file = self.path / url.rpartition("/")[2]
        if not file.exists():
            raise DownloadHTTPError("no such file", 404)
        data = file.read_bytes()
        self.bytes += len(data)
        self.elsewhere += time.perf_counter() - began
        return iter([data])


repository, state, asked, *targets = sys.argv[1:]
fetcher = Counting(Path(repository) / "metadata")
root = (Path(repository) / "root.json").read_bytes()
began = time.perf_counter()
updater = Updater(state, "http://folder/", fetcher=fetcher, bootstrap=root)
updater.refresh()
for name in targets:
    assert updater.get_targetinfo(name) is not None, name
took = (time.perf_counter() - began - fetcher.elsewhere) * 1000
Path(asked).write_text(
    json.dumps({"requests": fetcher.requests, "bytes": fetcher.bytes, "milliseconds": took})
)
