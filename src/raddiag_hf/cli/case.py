"""Case of a command line: the scans that it names, and the model that is to read them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from raddiag_hf.checkpoints.model_choice import ModelChoice
from raddiag_hf.cli.console import ArgumentError, quiet_libraries, say, step_progress
from raddiag_hf.core.plain_text import printable
from raddiag_hf.core.settings import Setting
from raddiag_hf.imaging.read_settings import DEFAULT_READING, ReadSettings
from raddiag_hf.vocabulary import Anatomy, Modality

if TYPE_CHECKING:
    from raddiag_hf.checkpoints.loaded_model import LoadedModel
    from raddiag_hf.inference.case import CaseReading
    from raddiag_hf.inference.explain.explanation import Explanation
    from raddiag_hf.inference.explain.saliency import ScoreCamSettings


@dataclass(frozen=True)
class CaseArguments:
    """The scans of one case.

    Attributes:
        scans: Files and folders of one case: DICOM (a study folder gives all its series), NIfTI,
            PNG, JPEG, NPY.
        scan: A scan whose file does not say what made it: ct=chest.nii.gz. Repeatable.
        anatomy: The region that the scans show.
        stack_pictures: Read the pictures of a folder as the slices of one scan, or each as a scan
            of its own. By default those of radiographs are scans, others slices.
        reading: What to do where files leave a choice.

    Raises:
        ArgumentError: If there is none, one of ``scan`` is not a known modality, an equals sign
            and a path, or there is no such region.
    """

    scans: Annotated[tuple[Path, ...], Setting(positional=True, metavar="SCAN")] = ()
    scan: Annotated[tuple[str, ...], Setting(metavar="MODALITY=PATH")] = ()
    anatomy: Annotated[str | None, Setting(metavar="REGION")] = None
    stack_pictures: bool | None = None
    reading: ReadSettings = DEFAULT_READING

    def __post_init__(self) -> None:
        if not self.named_paths():
            raise ArgumentError("no scan was named: give files or folders, or --scan ct=PATH")
        self.region()

    def named_paths(self) -> list[tuple[Path, Modality | None]]:
        """Return each path with its modality, where the command line says what made it."""
        named: list[tuple[Path, Modality | None]] = [(path, None) for path in self.scans]
        for text in self.scan:
            modality, _, path = text.partition("=")
            if not path:
                raise ArgumentError(f"--scan {text}: expected MODALITY=PATH, as in ct=chest.nii.gz")
            try:
                named.append((Path(path), Modality.parse(modality)))
            except ValueError as error:
                raise ArgumentError(f"--scan {text}: {error}") from None
        return named

    def region(self) -> Anatomy | None:
        """Return the region of ``anatomy``; None where it was not given."""
        try:
            return None if self.anatomy is None else Anatomy.parse(self.anatomy)
        except ValueError as error:
            raise ArgumentError(f"--anatomy: {error}") from None


@dataclass(frozen=True, eq=False)
class OpenedCase:
    """A case and the model that is to read it."""

    case: "CaseReading"
    loaded: "LoadedModel"

    def explain(self, label: str | None, settings: "ScoreCamSettings") -> "Explanation":
        """Explain a label, or the most probable one, with a bar for each scan."""
        from raddiag_hf.inference.explain.explanation import explain_case

        with step_progress(transient=True) as progress:
            return explain_case(
                self.loaded.model,
                self.loaded.processor,
                self.case,
                label=label,
                settings=settings,
                model_id=self.loaded.model_id,
                model_revision=self.loaded.revision,
                progress=progress,
            )


def open_case(arguments: CaseArguments, choice: ModelChoice) -> OpenedCase:
    """Read the scans and load the model; what can be refused early is refused first.

    Raises:
        ScanReadError: If one of the paths holds no scan at all.
        CaseError: As `read_case` does.
        LabelFileError, ModelSourceError, DeviceError: As `load_model` does.
    """
    from raddiag_hf.checkpoints.loaded_model import choose_device
    from raddiag_hf.inference.case import read_case

    quiet_libraries()
    choose_device(choice.device)
    choice.label_names()
    paths, modalities = zip(*arguments.named_paths(), strict=True)
    with step_progress(transient=True) as progress:
        case = read_case(
            paths,
            modalities,
            anatomy=arguments.region(),
            stack_pictures=arguments.stack_pictures,
            settings=arguments.reading,
            progress=progress,
        )
    for rejected in case.rejected:
        say(f"left out: {rejected.path}: {rejected.reason}: {rejected.found}", style="dim")
    for path, count in case.stacked_pictures.items():
        say(
            f"{path}: {count} pictures are read as the slices of one scan; --no-stack-pictures "
            "reads each as a scan of its own",
            style="dim",
        )
    for path in case.repeated:
        sys.stderr.write(printable(f"named twice, read once: {path}\n"))
    if sys.stderr.isatty():  # no spinner here: a download draws a bar of its own
        say(f"Loading {choice.model}", style="dim")
    return OpenedCase(case, choice.load())
