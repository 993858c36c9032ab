#!/usr/bin/env python3
"""Checks heads and proofs of a CodexDB database with nothing of CodexDB's: a second opinion for an auditor.

    check.py proof PROOF [--head FILE] [--public-key FILE]   as `codex check-proof`
    check.py log APP.DB HEAD [PROOF...]                      the whole log, without its key

A proof is checked as RFC 9162 says, sections 2.1.3.2 and 2.1.4.2; signatures by the package `cryptography`. The log is
read as docs/file-format.md says, and its tree is built by the package `pymerkle`. Exits with 0 if all of it holds.
"""

import argparse
import base64
import hashlib
import sys


class Refused(Exception):
    """Why something does not hold."""


def demand(holds, why):
    if not holds:
        raise Refused(why)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def node(left, right):
    return sha256(b"\1", left, right)


def decode(text):
    return base64.b64decode(text, validate=True)


# Heads: c2sp.org/tlog-checkpoint, c2sp.org/signed-note.


class Head:
    def __init__(self, text):
        body, _, signatures = text.rpartition("\n\n") if "\n\n" in text else (text.rstrip("\n"), "", "")
        self.text = body + "\n"
        self.signatures = signatures.splitlines()
        self.origin, size, root = body.split("\n")[:3]
        self.size, self.root = int(size), decode(root)

    def demand_signature(self, public_key):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        name, _, encoded = public_key.strip().split("+", 2)
        key = decode(encoded)
        demand(key[0] == 1, "the public key is not one of Ed25519")
        key_id = sha256(name.encode(), b"\n", key)[:4]
        for line in self.signatures:
            dash, signer, signature = line.split(" ")
            signature = decode(signature)
            if (dash, signer, signature[:4]) == ("\u2014", name, key_id):
                try:
                    Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature[4:], self.text.encode())
                    return
                except InvalidSignature:
                    raise Refused("the signature is not of this head") from None
        raise Refused(f"{name} has not signed the head")


# Proofs: RFC 9162.


def inclusion_root(index, size, leaf, hashes):
    demand(0 <= index < size, "there is no such frame")
    f, s, reached = index, size - 1, leaf
    for sibling in hashes:
        demand(s != 0, "too many hashes")
        if f & 1 or f == s:
            reached = node(sibling, reached)
            while not f & 1 and f:
                f, s = f >> 1, s >> 1
        else:
            reached = node(reached, sibling)
        f, s = f >> 1, s >> 1
    demand(s == 0, "too few hashes")
    return reached


def demand_consistency(older, newer, hashes):
    demand(0 < older.size <= newer.size, "the sizes are in no order")
    if older.size == newer.size:
        demand(not hashes and older.root == newer.root, "the heads differ")
        return
    if older.size & (older.size - 1) == 0:
        hashes = [older.root, *hashes]
    demand(hashes, "too few hashes")
    f, s = older.size - 1, newer.size - 1
    while f & 1:
        f, s = f >> 1, s >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        demand(s != 0, "too many hashes")
        if f & 1 or f == s:
            old, new = node(sibling, old), node(sibling, new)
            while not f & 1 and f:
                f, s = f >> 1, s >> 1
        else:
            new = node(new, sibling)
        f, s = f >> 1, s >> 1
    demand(s == 0, "too few hashes")
    demand(old == older.root, "the proof does not agree with the older head")
    demand(new == newer.root, "the proof does not lead to the newer head")


class Proof:
    """Either form: c2sp.org/tlog-proof, or the body that c2sp.org/tlog-witness takes."""

    def __init__(self, text):
        above, _, head = text.partition("\n\n")
        lines = above.split("\n")
        self.head = Head(head)
        self.frame = None
        if lines[0] == "c2sp.org/tlog-proof@v1":
            self.frame = decode(lines[1].removeprefix("extra "))
            self.index = int(lines[2].removeprefix("index "))
            self.hashes = [decode(line) for line in lines[3:]]
        else:
            self.older_size = int(lines[0].removeprefix("old "))
            self.hashes = [decode(line) for line in lines[1:]]

    def check(self, given):
        if self.frame is None:
            demand(given, "the proof continues an older head, which is not given")
            demand(given.origin == self.head.origin, "the heads are of two databases")
            demand(given.size == self.older_size, "the proof begins at another size")
            demand_consistency(given, self.head, self.hashes)
            return f"the log with {self.head.size} frames continues the one with {given.size}"
        if given:
            demand((given.origin, given.size, given.root) == (self.head.origin, self.head.size, self.head.root),
                   "the proof leads to another head")
        reached = inclusion_root(self.index, self.head.size, sha256(b"\0", self.frame), self.hashes)
        demand(reached == self.head.root, "the proof does not lead from the frame to the head")
        frame = Frame(self.frame, self.head.origin)
        demand(frame.kind == 1 and frame.ends, "the frame is no end of a commit")
        return f"commits {frame.first} to {frame.first + frame.count - 1} are in the log, in frame {self.index}"


# The database file: docs/file-format.md.


class Frame:
    def __init__(self, data, origin):
        database_id = bytes.fromhex(origin.removeprefix("codex/"))
        demand(data[:4] == b"CdxF", "no frame stands here")
        demand(data[112:128] == sha256(database_id, data[:112])[:16], "the frame's checksum is wrong")
        self.kind, self.ends = data[4], data[5] & 2 != 0
        self.offset, self.first = number(data, 8, 8), number(data, 16, 8)
        self.count, self.payload_len = number(data, 24, 4), number(data, 28, 4)
        self.previous_leaf = data[48:80]


def number(data, offset, length):
    return int.from_bytes(data[offset:offset + length], "little")


def frames(database, origin, size):
    """The bytes of the first `size` frames."""
    tag_len = {0: 32, 1: 16}[database[89]]
    replaced_root = database[160:192]
    leaf, offset = sha256(b"\2", database[96:112], replaced_root), 8192
    for _ in range(size):
        frame = Frame(database[offset:offset + 128], origin)
        data = database[offset:offset + 128 + frame.payload_len + tag_len]
        demand(frame.offset == offset and frame.previous_leaf == leaf, f"the frame at byte {offset} is not linked")
        leaf, offset = sha256(b"\0", data), offset + len(data)
        yield data


def check_log(database, head, proofs):
    from pymerkle import InmemoryTree

    demand("codex/" + database[96:112].hex() == head.origin, "the head is that of another database")
    tree = InmemoryTree(algorithm="sha256")
    for frame in frames(database, head.origin, head.size):
        tree.append_entry(frame)
    demand(tree.get_root(head.size) == head.root, "the log has another root than the head")
    for proof in proofs:
        if proof.frame is None:
            # It also names the root that stands for the whole older tree, which RFC 9162 leaves out.
            theirs = tree.prove_consistency(proof.older_size, proof.head.size).path
            demand(set(proof.hashes) <= set(theirs), "the proof has hashes that are not of this log")
        else:
            theirs = tree.prove_inclusion(proof.index + 1, proof.head.size).path
            demand([sha256(b"\0", proof.frame), *proof.hashes] == theirs, "the proof is not the one of this log")
    return f"the log has the head of {head.size} frames; {len(proofs)} proofs are what another program makes"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("proof")
    one.add_argument("proof")
    one.add_argument("--head")
    one.add_argument("--public-key")
    whole = commands.add_parser("log")
    whole.add_argument("database")
    whole.add_argument("head")
    whole.add_argument("proofs", nargs="*")
    args = parser.parse_args()

    def text(path):
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()

    try:
        if args.command == "proof":
            demand(args.head or args.public_key, "nothing vouches for the head: give --head or --public-key")
            proof = Proof(text(args.proof))
            if args.public_key:
                proof.head.demand_signature(text(args.public_key))
            print(proof.check(Head(text(args.head)) if args.head else None))
        else:
            with open(args.database, "rb") as file:
                database = file.read()
            print(check_log(database, Head(text(args.head)), [Proof(text(path)) for path in args.proofs]))
    except (Refused, ValueError, IndexError) as error:
        sys.exit(f"refused: {error}")


if __name__ == "__main__":
    main()
