# Reads one ring of a device's log with nothing but the standard library: the entries of
# c2sp.org/tlog-tiles, the tree of RFC 6962, and the size and root of its checkpoint.
import base64, hashlib, pathlib, sys

ring = pathlib.Path(sys.argv[1])
lines = (ring / "checkpoint").read_text().split("\n")
size, root = int(lines[1]), base64.b64decode(lines[2])


def bundle(index):
    name = ring / "tile" / "entries" / f"{index:03}"
    partial = ring / "tile" / "entries" / f"{index:03}.p" / str(size % 256)
    return (name if name.is_file() else partial).read_bytes()


leaves = []
while len(leaves) < size:
    rest = bundle(len(leaves) // 256)
    while rest:
        length = int.from_bytes(rest[:2], "big")
        leaves.append(hashlib.sha256(b"\0" + rest[2 : 2 + length]).digest())
        rest = rest[2 + length :]


def tree(hashes):
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + tree(hashes[:split]) + tree(hashes[split:])).digest()


assert len(leaves) == size, (len(leaves), size)
assert tree(leaves) == root, "the entries are not those that were sealed"
print(size)
