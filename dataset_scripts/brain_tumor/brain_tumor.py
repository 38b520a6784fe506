"""Brain-Tumor: MRI slices of three tumours and none; one case per image."""

from collections.abc import Mapping, Sequence

from raddiag_hf.data.publishers.builder import CaseBuilder
from raddiag_hf.data.publishers.source import CaseSource, DataSourceError, ScanSource
from raddiag_hf.data.publishers.tables import list_folder
from raddiag_hf.labels.label_set import LabelSet
from raddiag_hf.vocabulary import Anatomy, Modality, Split

LABELS = LabelSet(("glioma", "meningioma", "notumor", "pituitary"))
SPLIT_FOLDERS = {"Training": None, "Testing": Split.TEST}
ALIASES = {
    "notumor": ("notumor", "no_tumor"),
    "glioma": ("glioma", "glioma_tumor"),
    "meningioma": ("meningioma", "meningioma_tumor"),
    "pituitary": ("pituitary", "pituitary_tumor"),
}
"""Label -> folder names in the versions of the data set that are about."""

PICTURES = frozenset({".jpg", ".jpeg", ".png"})


class BrainTumor(CaseBuilder):
    """Builder of the Brain-Tumor data set."""

    TITLE = "Brain-Tumor MRI"
    DESCRIPTION = (
        "One case is one slice; the publisher names no patients, so slices of one patient may lie "
        "in several splits and results may be too good. The Testing folder is the test split. "
        "Pictures are read as grey: whether a file has colour channels would give its class away."
    )
    HOMEPAGE = "https://www.kaggle.com/datasets/masoudnickparvar/brain-tumor-mri-dataset"
    LICENSE = "unknown"
    ACCESS = (
        "Download it from Kaggle; data_dir holds Training and Testing, each with the folders "
        "glioma, meningioma, notumor and pituitary. The counts are those of the paper's version "
        "(5,712 and 1,311 images). Its sources state no common licence."
    )

    def published_counts(self) -> Mapping[str, int]:
        """Return the images of the paper's version."""
        return {"cases": 5_712 + 1_311}

    def label_sets(self) -> Mapping[str, LabelSet]:
        """Return the publisher's four classes."""
        return {"labels": LABELS}

    def list_cases(self) -> Sequence[CaseSource]:
        """Return the images by folder and name."""
        cases = []
        for split_folder, split in SPLIT_FOLDERS.items():
            for label in LABELS.names:
                folders = [self.data_path / split_folder / name for name in ALIASES[label]]
                found = [folder for folder in folders if folder.is_dir()]
                if not found:
                    raise DataSourceError(folders[0], "", "a folder of images", "no such folder")
                for path in list_folder(found[0]):
                    if path.suffix.lower() not in PICTURES:
                        raise DataSourceError(path, "", "a JPEG or PNG image", "none")
                    case_id = f"{split_folder.lower()}-{label}-{path.stem}"
                    scan = ScanSource(path.stem, (path,), Modality.MRI, Anatomy.HEAD_AND_NECK)
                    cases.append(
                        CaseSource(
                            case_id=case_id,
                            patient_id=case_id,
                            labels={"labels": (label,)},
                            scans=(scan,),
                            anatomy=Anatomy.HEAD_AND_NECK,
                            split=split,
                        )
                    )
        return cases
