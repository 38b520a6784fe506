"""Tags, read one by one without trust: text, numbers, and which were unusable."""

from collections.abc import Iterable
from math import isfinite

from pydicom.dataset import Dataset

from raddiag_hf.imaging.foreign_errors import FOREIGN_ERRORS


class Tags:
    """The tags of one data set, as plain Python values; malformed ones are noted, not raised.

    Attributes:
        unusable: Keywords that are present but malformed.
    """

    def __init__(self, dataset: Dataset, unusable: set[str] | None = None) -> None:
        self._dataset = dataset
        self.unusable = set[str]() if unusable is None else unusable

    def texts(self, keyword: str) -> tuple[str, ...]:
        """Return a tag's values as stripped strings; none where it is absent."""
        return tuple(str(value).strip() for value in self._values(keyword))

    def text(self, keyword: str) -> str:
        """Return a tag's first value as a stripped string; empty where it is absent."""
        return next(iter(self.texts(keyword)), "")

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """Return a tag's ``count`` finite numbers; None where it is absent or malformed."""
        values = self._values(keyword)
        if not values:
            return None
        try:
            numbers = tuple(float(str(value)) for value in values)
        except (TypeError, ValueError, OverflowError):
            numbers = ()
        if len(numbers) != count or not all(map(isfinite, numbers)):
            self.unusable.add(keyword)
            return None
        return numbers

    def number(self, keyword: str) -> float | None:
        """Return a tag's one finite number; None where it is absent or malformed."""
        numbers = self.numbers(keyword, 1)
        return None if numbers is None else numbers[0]

    def item(self, keyword: str) -> "Tags":
        """Return the first item of a sequence; one without tags where there is none."""
        items = self._values(keyword)
        first = items[0] if items and isinstance(items[0], Dataset) else Dataset()
        return Tags(first, self.unusable)

    def items(self, keyword: str) -> list[Dataset]:
        """Return the items of a sequence."""
        return [item for item in self._values(keyword) if isinstance(item, Dataset)]

    def _values(self, keyword: str) -> list[object]:
        try:
            value = self._dataset.get(keyword)
        except FOREIGN_ERRORS:
            self.unusable.add(keyword)
            return []
        if value is None or value == "":
            return []
        is_many = isinstance(value, Iterable) and not isinstance(value, (str, bytes, Dataset))
        return list(value) if is_many else [value]
