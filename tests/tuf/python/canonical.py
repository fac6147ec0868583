"""The canonical form (OLPC) of each JSON document on standard input, one a line, in hexadecimal."""

import json
import sys

from securesystemslib.formats import encode_canonical

for line in sys.stdin.buffer:
    print(encode_canonical(json.loads(line)).encode().hex())
