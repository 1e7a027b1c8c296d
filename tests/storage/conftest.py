"""Forged files: changed, and with correct checksums again."""

import hashlib
import json

import pytest

ZEROS = b"0" * 64
START = b'{"__metadata__": {"sha256": "'
SECOND = len(START) + 64 + len(b'", "data_sha256": "')


@pytest.fixture
def sealed():
    """Return a function from a header (dict or bytes) and data to a file with correct checksums."""

    def seal(header, data=b""):
        if isinstance(header, dict):
            digests = {"sha256": "0" * 64, "data_sha256": "0" * 64}
            meta = {**digests, **header.pop("__metadata__", {})}
            header = json.dumps({"__metadata__": meta, **header}).encode()
        assert header.startswith(START)
        length = len(header).to_bytes(8, "little")
        digest = hashlib.sha256(data).hexdigest().encode()
        header = header[:SECOND] + digest + header[SECOND + 64 :]
        digest = hashlib.sha256(length + header).hexdigest().encode()
        return length + header[: len(START)] + digest + header[len(START) + 64 :] + data

    return seal
