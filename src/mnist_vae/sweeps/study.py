"""The study of a search: a file in the sweep's folder, in which Optuna keeps every trial."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnist_vae.utils.errors import RunFolderError, SettingsError, first_line

if TYPE_CHECKING:
    import optuna

STUDY = "study.journal"  # in the sweep's folder; a file that several processes may append to at once
PRUNED = "pruned"  # attribute of a trial that was stopped
PROBLEM = "problem"  # attribute of the study: what is searched, and what is the same in all its trials


def open_study(sweep: Path, direction: Any = None) -> "optuna.Study":
    """Open the study in a sweep's folder; with a direction, create it if there is none.

    Raises:
        SettingsError: the direction is none.
        RunFolderError: the study's file is damaged, or is no file of this folder, which can come from anyone.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    journal = sweep / STUDY
    if journal.is_symlink() or (journal.exists() and not journal.is_file()):
        raise RunFolderError(f"{journal} is a link, or no regular file; the search can't go on.")
    if direction is not None:
        _cut_torn_line(journal)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
    except Exception as error:  # a damaged journal can raise anything
        raise RunFolderError(f"{journal} is damaged ({first_line(error)}); the search can't go on.") from error
    if direction is None:
        return optuna.load_study(study_name=None, storage=storage)
    try:
        return optuna.create_study(study_name="search", storage=storage, direction=direction, load_if_exists=True)
    except ValueError as error:
        raise SettingsError(f"hydra.sweeper.direction={direction}: {first_line(error)}") from error


def _cut_torn_line(file: Path) -> None:
    """Remove an incomplete last line, which a full disk or a power failure can leave: nothing can be appended to it."""
    if not file.exists():
        return
    with file.open("r+b") as journal:
        content = journal.read()
        journal.truncate(content.rfind(b"\n") + 1)
