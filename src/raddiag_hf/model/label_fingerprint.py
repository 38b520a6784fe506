"""The identity of a label space: which names, in which order."""

import hashlib
import json
from collections.abc import Sequence


def label_fingerprint(names: Sequence[str]) -> str:
    """Return the SHA-256 of ordered label names, in hexadecimal."""
    canonical = json.dumps(list(names), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
