"""The list feature, so that dataset scripts also run under `datasets` 3, which has no ``List``."""

import datasets

if hasattr(datasets, "List"):
    List = datasets.List
else:

    class List(datasets.LargeList):  # type: ignore[no-redef]
        """A list of any feature; ``Sequence`` would turn a list of scans into columns of lists.

        Args:
            feature: Of each element.
            length: Of every list; not checked.
        """

        def __init__(self, feature: object, length: int = -1) -> None:
            super().__init__(feature)
            self.length = length
