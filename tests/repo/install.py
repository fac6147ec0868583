"""Installs one target with python-tuf's ngclient over mutual TLS, beginning from a given root.

Prints one JSON object: the version of every top-level role, and the target's custom fields.
"""

import json
import ssl
import sys

import urllib3
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface


class MutualTls(FetcherInterface):
    """What a foreign reader needs of us: our CA, and a certificate of its own."""

    def __init__(self, ca, certificate, key):
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # The server's CA is an issuing one, and is trusted as it stands.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_cert_chain(certificate, key)
        self.pool = urllib3.PoolManager(ssl_context=context, retries=False)

    def _fetch(self, url):
        reply = self.pool.request("GET", url, headers={"accept-encoding": "gzip"})
        if reply.status != 200:
            raise DownloadHTTPError(f"{url} gave {reply.status}", reply.status)
        yield reply.data


def main(base, root, state, ca, certificate, key, target, out):
    with open(root, "rb") as file:
        bootstrap = file.read()
    updater = Updater(
        metadata_dir=state,
        metadata_base_url=f"{base}/v1/repo/metadata/",
        target_dir=state,
        target_base_url=f"{base}/v1/repo/targets/",
        fetcher=MutualTls(ca, certificate, key),
        bootstrap=bootstrap,
    )
    updater.refresh()
    info = updater.get_targetinfo(target)
    if info is None:
        sys.exit(f"no target {target}")
    if info.length > 0:
        updater.download_target(info, filepath=out)
    trusted = updater._trusted_set
    print(json.dumps({
        "root": trusted.root.version,
        "timestamp": trusted.timestamp.version,
        "custom": info.custom,
    }))


main(*sys.argv[1:])
