"""What was left out of a data set, and the list of it that the user gets."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.data.store.case_store import CaseStorageError


@dataclass(frozen=True)
class Rejection:
    """Input that is not in the data set.

    Attributes:
        case_id: The case that it belongs to.
        path: Where it is, as the caller named it.
        reason: A short stable code, such as those of `ScanReadReason`.
        found: What was wrong, in words; no patient data.
        row: Row of the manifest that named it, whose header is row 1; None without manifest.
    """

    case_id: str
    path: str
    reason: str
    found: str
    row: int | None = None

    def __str__(self) -> str:
        """Say in one line what it was and why."""
        row = "" if self.row is None else f"row {self.row}: "
        return f"{row}{self.path}: {self.reason}: {self.found}"


class NothingBuiltError(CaseStorageError):
    """All input was rejected.

    Attributes:
        rejections: What of it, and why.
    """

    def __init__(self, rejections: Sequence[Rejection]) -> None:
        self.rejections = tuple(rejections)
        first = f": {self.rejections[0]}" if self.rejections else ""
        super().__init__(f"no case could be built; {len(rejections)} inputs were rejected{first}")


def write_rejections(path: Path, rejections: Iterable[Rejection]) -> None:
    """Write one line per rejection as CSV with a header."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Rejection)])
        writer.writeheader()
        writer.writerows(asdict(rejection) for rejection in rejections)


def read_rejections(path: Path) -> list[Rejection]:
    """Return what `write_rejections` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Rejection(**cells, row=int(row) if row else None)
            for cells in csv.DictReader(file)
            for row in (cells.pop("row"),)
        ]
