# securesystemslib, the reference of DSSE's authors, on the manifest of a bundle.
import json, sys
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

manifest, public = sys.argv[1:]
raw = json.load(open(manifest))
keyid = raw["signatures"][0]["keyid"]
key = SSlibKey.from_crypto(load_pem_public_key(open(public, "rb").read()), keyid)
envelope = Envelope.from_dict(raw)
envelope.verify([key], 1)
statement = json.loads(envelope.payload)
assert statement["_type"] == "https://in-toto.io/Statement/v1"
print(len(statement["subject"]))
