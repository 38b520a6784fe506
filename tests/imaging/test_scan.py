"""The error for what is not a scan."""

import pickle

from raddiag_hf.imaging.scan import ScanReadError, ScanReadReason


def test_it_travels_between_processes():
    error = ScanReadError("a/b.dcm", ScanReadReason.CORRUPT, "ends too early")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.path, copy.reason, copy.found) == (error.path, error.reason, error.found)
    assert str(copy) == str(error)
