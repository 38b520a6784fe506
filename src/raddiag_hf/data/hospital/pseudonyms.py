"""Pseudonyms: names that only the holder of a key can connect with the hospital's own."""

import hashlib
import hmac
import logging
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from raddiag_hf.data.hospital.case import HospitalCase, HospitalDataError

logger = logging.getLogger(__name__)

KEY_BYTES = 32
_PSEUDONYM_LETTERS = 20
"""80 bits: a billion cases share no pseudonym."""


@dataclass(frozen=True)
class Pseudonyms:
    """Keyed hashes (HMAC-SHA256) of identifiers: equal for equal key and identifier.

    Without the key, nobody can tell whose pseudonym it is, not even by trying all identifiers.

    Attributes:
        key: At least 32 random bytes; whoever has it can find out whose pseudonym it is.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) < KEY_BYTES:
            raise ValueError(f"the key has {len(self.key)} bytes, expected at least {KEY_BYTES}")

    def of_case(self, case: HospitalCase) -> str:
        """Return the name that a case gets."""
        return f"case-{self._digest('case', case.case_id)}"

    def of_patient(self, case: HospitalCase) -> str:
        """Return the name of a case's patient; one for the case alone where nothing says whose."""
        if case.patient_id:
            return f"patient-{self._digest('patient', case.patient_id)}"
        return f"patient-{self._digest('patient of case', case.case_id)}"

    def of_study(self, study: str) -> str:
        """Return the name of a study, by ``StudyInstanceUID`` or what the manifest calls it."""
        return f"study-{self._digest('study', study)}"

    def of_file(self, path: Path, base: Path) -> str:
        """Return the name of a file or folder, relative to ``base`` where it lies there."""
        name = path.relative_to(base) if path.is_relative_to(base) else path
        return f"file-{self._digest('file', str(name))}"

    def of_import(self, content: str) -> str:
        """Return what stands for a whole import, to recognise it again."""
        return self._digest("import", content)

    def _digest(self, kind: str, identifier: str) -> str:
        # File names may hold bytes that are no text.
        message = f"{kind}\0{identifier}".encode("utf-8", "surrogateescape")
        return hmac.digest(self.key, message, hashlib.sha256).hex()[:_PSEUDONYM_LETTERS]


def load_key(path: Path) -> bytes:
    """Read a key file: 64 or more hexadecimal digits.

    Raises:
        HospitalDataError: If it holds anything else.
        OSError: If it cannot be read.
    """
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) < KEY_BYTES:
        cure = (
            "; it is empty, as a full disk leaves it: remove it, and a new key is made, unless a "
            "data set was made with the old one"
            if path.stat().st_size == 0
            else ""
        )
        raise HospitalDataError(
            f"{path}: is not a key file, expected {2 * KEY_BYTES} hexadecimal digits or more{cure}"
        )
    if os.name == "posix" and path.stat().st_mode & 0o077:
        logger.warning("%s: others can read this key; make it yours alone: chmod 600", path)
    return key


def create_key(path: Path) -> bytes:
    """Draw a key and write it to a new file that only its owner can read.

    Raises:
        OSError: If the file exists or cannot be made.
    """
    key = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    return key
