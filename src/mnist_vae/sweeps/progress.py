"""Progress of a sweep on the console, read from the jobs' folders, wherever they run."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from mnist_vae.sweeps.job import Job
from mnist_vae.utils.errors import RunFolderError, first_line
from mnist_vae.utils.text import plural, scores


class Watch:
    """A bar over all jobs, and a line for each that ends.

    Args:
        sweep: the sweep's folder.
        total: how many jobs there will be.
    """

    EVERY = 0.5  # seconds from one look to the next

    def __init__(self, sweep: Path, total: int) -> None:
        self.sweep, self.total = sweep, total
        self.jobs: list[Job] = []
        self.reported: set[str] = set()
        self.before = 0  # jobs that earlier commands brought to their end
        self.failed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_often, daemon=True)

    def __enter__(self) -> "Watch":
        self._bar = tqdm(
            total=self.total,
            leave=False,
            disable=None,
            dynamic_ncols=True,
            bar_format="{l_bar}{bar}| {remaining} left",
        )
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._stop.set()
        self._thread.join()
        self._look()
        self._bar.close()

    def add(self, jobs: Sequence[Job]) -> None:
        """Watch these too, but for those that are complete by now."""
        left = [job for job in jobs if not job.run.complete]
        self.count(len(jobs) - len(left), "are complete already")
        self.jobs = [*self.jobs, *left]

    def count(self, jobs: int, how: str) -> None:
        """Count jobs that need not be watched any more, and say why."""
        self.before += jobs
        if jobs:
            tqdm.write(f"{jobs} of {self.total} jobs {how}")
        # Jobs of an earlier command must not count for the speed of this one.
        if not self._bar.disable:
            self._bar.initial += jobs

    def note(self, job: Job, text: str) -> None:
        """Print a line on a job that leaves nothing in its folder, and count it as ended."""
        self.reported.add(job.name)
        tqdm.write(f"{job.label}   {text}")

    def _look_often(self) -> None:
        while not self._stop.wait(self.EVERY):
            self._look()

    def _look(self) -> None:
        done, running, parts = self.before + len(self.reported), 0, 0.0
        for job in self.jobs:
            if job.name in self.reported:
                continue
            if job.ended:
                self.reported.add(job.name)
                done += 1
                self._print(job, done)
            elif job.mark(self.sweep).exists():
                running += 1
                parts += min(1.0, _epochs(job) / job.epochs)
        self._bar.set_description(f"{done - self.failed} done, {running} running, {self.failed} failed", refresh=False)
        self._bar.n = done + parts
        self._bar.refresh()

    def _print(self, job: Job, done: int) -> None:
        line = f"[{done:{len(str(self.total))}d}/{self.total}] {job.label}  "
        failure = job.run.read_failure()
        if failure is not None:
            self.failed += 1
            tqdm.write(f"{line} failed: {failure['error']}")
            return
        try:
            found = job.run.read_metrics()
            epochs, seconds = found["epochs"], float(found["train_seconds"])
            tqdm.write(f"{line} {scores(found)}, {plural(int(epochs), 'epoch')} in {seconds:.0f} s")
        except (RunFolderError, KeyError, TypeError, ValueError) as error:
            tqdm.write(f"{line} its metrics.json is damaged ({first_line(error)})")


def _epochs(job: Job) -> int:
    try:
        return len(job.run.read_rows())
    except RunFolderError:
        return 0
