"""A folder that one run makes: claimed, compared with what made it, locked, resumed, finished."""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from raddiag_hf.core.atomic_files import atomic_write
from raddiag_hf.core.errors import InputError
from raddiag_hf.core.file_format import FileFormatError, check_format
from raddiag_hf.core.processes import is_first_process

logger = logging.getLogger(__name__)

LOCK_FILE = "lock"
RUN_FILE = "run.json"
RESULT_FOLDER = ".result.incomplete"
RUN_FORMAT = 1
"""Version of the file that tells what a run is."""
PATIENCE_S = 3.0
"""For the workers of a killed run, which hold its lock until they notice that it is gone."""


class RunFolderError(InputError):
    """A folder cannot be this run's: it holds something else, or another run."""


class RunInProgressError(RunFolderError):
    """Another run is at work in the folder."""


class RunFolder:
    """The folder of a run that can be interrupted, even killed, and resumed by the same call.

    Of several processes that were started together, the first one locks, compares and writes; the
    others pass.

    Args:
        output: The folder that the user named; messages name it.
        work: Where the run keeps its lock, its record and unfinished work; ``output`` by default.
        record: Name of the file in ``work`` that tells what the run is.

    Example:
        >>> folder = RunFolder(Path("run"))
        >>> with folder.claim({"seed": 0}) as resumed:
        ...     with folder.results(last="metrics.json") as results:
        ...         _ = (results / "metrics.json").write_text("{}")
    """

    def __init__(self, output: Path, *, work: Path | None = None, record: str = RUN_FILE) -> None:
        self.output = output
        self.work = output if work is None else work
        self.record_path = self.work / record

    @contextmanager
    def claim(self, identity: Mapping[str, Any]) -> Iterator[bool]:
        """Make the folder this run's, and keep others out; give whether it was this run's before.

        Args:
            identity: All that has to be equal for a run to continue another; what JSON can hold.

        Raises:
            RunFolderError: If ``output`` holds something that no run of this kind made, a run of
                another identity, or a record that is damaged. Nothing was written then.
            RunInProgressError: If another run is at work there.
        """
        if is_first_process():
            self.refuse_foreign()
            if self.record_path.is_file():
                self.compare(identity)
        with self.lock():
            resumed = self.record_path.is_file()
            if is_first_process():
                if resumed:
                    self.compare(identity)
                    logger.info("%s: resuming", self.output)
                else:
                    self.write_record(identity)
            yield resumed

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep out other runs, of this machine or of others that share the disk.

        A run that ends, even killed, lets go of it. ``work`` is made if it is not there, and may be
        removed by whoever holds the lock.

        Raises:
            RunInProgressError: If another run is at work there.
        """
        if not is_first_process():
            yield
            return
        lock = self._acquire()
        try:
            yield
        finally:
            lock.release()

    def _acquire(self) -> BaseFileLock:
        path = self.work / LOCK_FILE
        deadline = time.monotonic() + PATIENCE_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.work.mkdir(parents=True, exist_ok=True)
                lock = FileLock(path)
                lock.acquire(timeout=left)
            except Timeout:
                break
            except FileNotFoundError:  # whoever held it has removed the folder meanwhile
                continue
            if path.exists():
                return lock
            lock.release()  # of a file that nobody else will find
        raise RunInProgressError(
            f"{self.output}: another run is at work there; wait for its end, or choose another "
            "folder"
        )

    def refuse_foreign(self) -> None:
        """Refuse an output that is not empty and that no run made.

        Raises:
            RunFolderError: As it says.
        """
        if self.record_path.is_file():
            return
        if self.output.is_file():
            raise RunFolderError(f"{self.output}: is a file, expected a folder")
        present = set(self.output.iterdir()) if self.output.is_dir() else set()
        if present - {self.work, self.work / LOCK_FILE}:
            raise RunFolderError(f"{self.output}: is not empty and holds no run to resume")

    def compare(
        self,
        identity: Mapping[str, Any],
        earlier: Mapping[str, Any] | None = None,
        cure: str = "name another folder, or remove it",
    ) -> None:
        """Refuse to continue another run.

        Args:
            identity: Of this run.
            earlier: Of the other, for results that hold their own; by default that of the record.
            cure: What can be done about another identity, for the message.

        Raises:
            RunFolderError: If the record is missing or damaged, or names another identity; the
                message names what differs.
        """
        earlier = self.read_record() if earlier is None else earlier
        current = json.loads(json.dumps(identity))
        if differing := sorted(_differences(earlier, current)):
            raise RunFolderError(
                f"{self.output}: holds a run that differs in {', '.join(differing)}; {cure}"
            )

    def read_record(self) -> dict[str, Any]:
        """Return the identity of the run that made the folder.

        Raises:
            RunFolderError: If its record is missing, damaged, or of a newer format.
        """
        try:
            record = json.loads(self.record_path.read_text("utf-8"))
            check_format(record.get("format", 1), RUN_FORMAT)
            return dict(record["run"])
        except FileFormatError as error:
            raise RunFolderError(f"{self.record_path}: {error}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise RunFolderError(
                f"{self.record_path}: is damaged, so that it is not known whose run this is; name "
                "another folder, or remove it"
            ) from None

    def write_record(self, identity: Mapping[str, Any], **results: Any) -> None:
        """Say whose folder this is, and what came of the run: ``results`` are not compared."""
        self.record_path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": RUN_FORMAT, "run": identity, **results}, indent=1) + "\n"
        with atomic_write(self.record_path) as temporary:
            temporary.write_text(text, "utf-8")

    @contextmanager
    def results(self, last: str) -> Iterator[Path]:
        """Give an empty folder for the results, and move them into ``output`` once all are there.

        A run is finished when ``last`` is in ``output``: it is moved after all others. Of several
        processes, the first one makes the folder and moves what is in it; they have to wait for
        each other before the block writes, and at its end.

        Args:
            last: Name of the file or folder that tells of the end; the block has to write it.
        """
        staging = self.work / RESULT_FOLDER
        if not is_first_process():
            yield staging
            return
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
            written = sorted(staging.iterdir(), key=lambda path: (path.name == last, path.name))
            for path in written:
                target = self.output / path.name
                if target.is_dir():
                    shutil.rmtree(target)
                path.replace(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _differences(earlier: Any, current: Any, where: str = "") -> list[str]:
    if isinstance(earlier, Mapping) and isinstance(current, Mapping):
        return [
            difference
            for key in {**earlier, **current}
            for difference in _differences(
                earlier.get(key), current.get(key), f"{where}.{key}" if where else key
            )
        ]
    return [] if earlier == current else [where]
