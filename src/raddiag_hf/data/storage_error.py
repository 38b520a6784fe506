"""The error for cases that cannot be stored, where what they come from is at fault."""

from raddiag_hf.input_error import InputError


class CaseStorageError(InputError):
    """Cases that make no data set: all were rejected, or one is too large for a row."""
