"""Computes the vectors of tests/vectors.rs, from docs/file-format.md and without any code of this crate.

Needs the `cryptography` package, version 44 or later, for AES-256-GCM and Argon2id; HKDF is written out below.
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def expand(prk, info):
    return mac(prk, info + b"\x01")


def seal(key, associated_data, payload):
    return AESGCM(key).encrypt(bytes(12), payload, associated_data)


def count(start, length):
    return bytes(range(start, start + length))


def slot(kind, cost, argon2_salt, secret):
    random = count(0xA0, 32)
    prk = mac(random, secret)
    start = struct.pack("<B3xIII", kind, *cost) + argon2_salt + random
    commitment = expand(prk, b"codexdb/1 slot commitment" + DATABASE_ID)
    wrapped = seal(expand(prk, b"codexdb/1 slot wrap" + DATABASE_ID), start, ROOT_KEY)
    return (start + commitment + wrapped).ljust(256, b"\x00")


def retired(key, until):
    start = struct.pack("<Q", until) + count(0xA0, 32)
    prk = mac(count(0xA0, 32), ROOT_KEY)
    return start + seal(expand(prk, b"codexdb/1 retired key" + DATABASE_ID), start, key)


ROOT_KEY = count(0x00, 32)
DATABASE_ID = count(0x20, 16)
SALT = count(0x30, 32)
RANDOM = count(0x50, 32)
ENCRYPTION_KEY = count(0x70, 32)
PASSPHRASE = b"correct horse"
RETIRED_KEY = count(0xC0, 32)
HEADER = b"the frame's header"
PAYLOAD = b"the frame's payload"

prk = mac(DATABASE_ID, ROOT_KEY)
argon2_salt = count(0x90, 16)
argon2id = Argon2id(salt=argon2_salt, length=32, iterations=1, lanes=1, memory_cost=8192)

vectors = {
    "log_frame": seal(expand(prk, b"codexdb/1 log frame" + SALT), HEADER, PAYLOAD),
    "checkpoint_frame": seal(expand(prk, b"codexdb/1 checkpoint frame" + SALT), HEADER, PAYLOAD),
    "salt": mac(expand(prk, b"codexdb/1 frame salt"), RANDOM + HEADER),
    "header_code": mac(expand(prk, b"codexdb/1 header"), HEADER),
    "plaintext_log_tag": hashlib.sha256(b"codexdb/1 log frame" + DATABASE_ID + HEADER + PAYLOAD).digest(),
    "plaintext_checkpoint_tag": hashlib.sha256(
        b"codexdb/1 checkpoint frame" + DATABASE_ID + HEADER + PAYLOAD
    ).digest(),
    "plaintext_header_code": hashlib.sha256(b"codexdb/1 header" + DATABASE_ID + HEADER).digest(),
    "key_slot": slot(1, (0, 0, 0), bytes(16), ENCRYPTION_KEY),
    "passphrase_slot": slot(2, (8192, 1, 1), argon2_salt, argon2id.derive(PASSPHRASE)),
    "retired_key": retired(RETIRED_KEY, 9000),
    "retired_header_code": mac(expand(mac(DATABASE_ID, RETIRED_KEY), b"codexdb/1 header"), HEADER),
    "origin_leaf": hashlib.sha256(b"\x02" + DATABASE_ID + bytes(32)).digest(),
}
for name, value in vectors.items():
    print(name, value.rstrip(b"\x00").hex() if name.endswith("slot") else value.hex())
