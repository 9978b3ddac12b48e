"""CBOR (RFC 8949) in core deterministic encoding (section 4.2.1), as docs/PROTOCOL.md narrows it; nothing else decodes."""

MAX_DEPTH = 4
MAX_INT = 2**53 - 1
UNBOUNDED = 1 << 62


class Malformed(ValueError):
    pass


def check(condition):
    if not condition:
        raise Malformed("not deterministic CBOR")


def sequence(data):
    """All items of a CBOR sequence."""
    values, at = [], 0
    while at < len(data):
        item, at = decode(data, at)
        values.append(item)
    return values


def one(data):
    """The one item of the data."""
    item, at = decode(data, 0)
    check(at == len(data))
    return item


def items(value):
    """How many items a value is, itself and the keys of maps included."""
    if type(value) is list:
        return 1 + sum(map(items, value))
    if type(value) is dict:
        return 1 + len(value) + sum(map(items, value.values()))
    return 1


class Budget:
    """Items that may still be read."""

    def __init__(self, left=UNBOUNDED):
        self.left = left


def decode(data, at, depth=1, budget=None):
    """The item at an offset, and the offset after it. A budget is lowered by each item, and refused beyond."""
    budget = budget or Budget()
    budget.left -= 1
    check(depth <= MAX_DEPTH and budget.left >= 0)
    major, n, at = _head(data, at)
    if major <= 1:
        value = n if major == 0 else -1 - n
        check(abs(value) <= MAX_INT)
        return value, at
    if major <= 3:
        check(n <= len(data) - at)
        text = bytes(data[at : at + n])
        try:
            return (text if major == 2 else text.decode("utf-8")), at + n
        except UnicodeDecodeError:
            raise Malformed("not UTF-8") from None
    if major <= 5:
        check(n <= len(data) - at and n <= budget.left)  # an item has at least one byte
        return (_array if major == 4 else _map)(data, at, n, depth + 1, budget)
    check(major == 7 and n in (20, 21))
    return n == 21, at


def _head(data, at):
    check(at < len(data))
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        return major, info, at
    check(info <= 27 and major < 6)  # no indefinite lengths, tags, floats
    size = 1 << (info - 24)
    check(size <= len(data) - at)
    n = int.from_bytes(data[at : at + size], "big")
    check(n >= (24 if size == 1 else 1 << (size * 4)))  # in its shortest form
    return major, n, at + size


def _array(data, at, n, depth, budget):
    values = []
    for _ in range(n):
        item, at = decode(data, at, depth, budget)
        values.append(item)
    return values, at


def _map(data, at, n, depth, budget):
    pairs, last = {}, b""
    for _ in range(n):
        key, end = decode(data, at, depth, budget)
        check(type(key) in (int, str) and bytes(data[at:end]) > last)
        last = bytes(data[at:end])
        pairs[key], at = decode(data, end, depth, budget)
    return pairs, at


def encode(value):
    if value is False or value is True:
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        check(abs(value) <= MAX_INT)
        return _prefix(0, value) if value >= 0 else _prefix(1, -1 - value)
    if isinstance(value, bytes):
        return _prefix(2, len(value)) + value
    if isinstance(value, str):
        return _prefix(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _prefix(4, len(value)) + b"".join(map(encode, value))
    pairs = sorted((encode(key), encode(item)) for key, item in value.items())
    return _prefix(5, len(pairs)) + b"".join(key + item for key, item in pairs)


def _prefix(major, n):
    if n < 24:
        return bytes([major << 5 | n])
    info = 0 if n < 1 << 8 else 1 if n < 1 << 16 else 2 if n < 1 << 32 else 3
    return bytes([major << 5 | 24 + info]) + n.to_bytes(1 << info, "big")
