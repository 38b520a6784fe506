"""Settings of the import of a hospital's scans."""

from dataclasses import dataclass, field
from typing import Annotated

from raddiag_hf.core.errors import InputError
from raddiag_hf.core.settings import Setting, check_settings
from raddiag_hf.data.store.storage_options import StorageOptions
from raddiag_hf.imaging.read_settings import DEFAULT_READING, ReadSettings
from raddiag_hf.vocabulary import Modality


@dataclass(frozen=True)
class ImportSettings:
    """How a hospital's scans become a case data set.

    Attributes:
        site: Written into the column `source`; no identifier of a person.
        is_strict: Stop at the first scan that cannot be read, rather than leave it out.
        keeps_burned_in: Keep images whose tags say that their pixels show who they are of.
        stack_pictures: Read the pictures of a folder as the slices of one scan, or each as a scan
            of its own. By default those of radiographs are scans, others slices.
        reading: What to do where files leave a choice.
        modality: What made the scans of which neither files nor manifest say it.
        class_folders: The folders of the source are labels, or splits of such folders; each file
            or folder in them is a case. Only where their names name no patient.
        storage: How much of each scan is kept.
        near_duplicates: Keep patients in one split whose PNG or JPEG pictures differ by so few of
            256 bits of a hash; 20 finds copies that were scaled or saved anew. By default nobody
            looks.
        seed: Of the splits, where the manifest has none.
        num_proc: Processes that read.

    Raises:
        InputError: If a value is of another type or out of its range.
    """

    site: Annotated[str, Setting(metavar="NAME")] = "hospital"
    is_strict: Annotated[bool, Setting("--strict")] = False
    keeps_burned_in: Annotated[bool, Setting("--keep-burned-in")] = False
    stack_pictures: bool | None = None
    reading: ReadSettings = DEFAULT_READING
    modality: Annotated[str | None, Setting(metavar="NAME")] = None
    class_folders: bool = False
    storage: StorageOptions = field(default_factory=StorageOptions)
    near_duplicates: Annotated[int | None, Setting(min=0, max=127, metavar="BITS")] = None
    seed: Annotated[int, Setting(min=0)] = 0
    num_proc: Annotated[int, Setting(min=1, metavar="N")] = 1

    def __post_init__(self) -> None:
        check_settings(self)
        self.default_modality()

    def default_modality(self) -> Modality | None:
        """Return what ``modality`` names; None where it was not given."""
        try:
            return None if self.modality is None else Modality.parse(self.modality)
        except ValueError as error:
            raise InputError(f"modality: {error}") from None
