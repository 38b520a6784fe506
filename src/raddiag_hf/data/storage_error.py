"""The error for cases that cannot be stored, where what they come from is at fault."""


class CaseStorageError(ValueError):
    """Cases that make no data set: all were rejected, or one is too large for a row."""
