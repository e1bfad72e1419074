"""Passwords as /etc/shadow keeps them: SHA-512 crypt (``$6$``), which guests check and nobody can read."""

import hashlib

_SIGNS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROUNDS = 5000
_ORDER = (
    (0, 21, 42), (22, 43, 1), (44, 2, 23), (3, 24, 45), (25, 46, 4), (47, 5, 26), (6, 27, 48), (28, 49, 7),
    (50, 8, 29), (9, 30, 51), (31, 52, 10), (53, 11, 32), (12, 33, 54), (34, 55, 13), (56, 14, 35), (15, 36, 57),
    (37, 58, 16), (59, 17, 38), (18, 39, 60), (40, 61, 19), (62, 20, 41),
)  # fmt: skip


def sha512_crypt(password: str, salt: str) -> str:
    """The line for ``password``; ``salt`` has up to 16 of the signs ./0-9A-Za-z."""
    key, seasoning = password.encode(), salt.encode()
    digest = _sha(_first(key, seasoning))
    p = _stretched(_sha(key * len(key)), len(key))
    s = _stretched(_sha(seasoning * (16 + digest[0])), len(seasoning))
    for number in range(_ROUNDS):
        odd = number % 2
        mixed = p if odd else digest
        mixed += s if number % 3 else b""
        mixed += p if number % 7 else b""
        digest = _sha(mixed + (digest if odd else p))
    text = "".join(_encoded(digest[a], digest[b], digest[c], 4) for a, b, c in _ORDER)
    return f"$6${salt}${text}{_encoded(0, 0, digest[63], 2)}"


def _first(key: bytes, salt: bytes) -> bytes:
    alternate = _sha(key + salt + key)
    mixed = key + salt + _stretched(alternate, len(key))
    length = len(key)
    while length:
        mixed += alternate if length & 1 else key
        length >>= 1
    return mixed


def _sha(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _stretched(digest: bytes, length: int) -> bytes:
    return (digest * (length // len(digest) + 1))[:length]


def _encoded(high: int, middle: int, low: int, count: int) -> str:
    value = high << 16 | middle << 8 | low
    return "".join(_SIGNS[value >> 6 * place & 63] for place in range(count))
