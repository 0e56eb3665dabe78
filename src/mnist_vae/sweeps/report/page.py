"""report.html: the content of the page; its layout is in templates/."""

import re
from datetime import datetime
from typing import Any

import jinja2
from tqdm import tqdm

from mnist_vae.sweeps.job_results import Job, State
from mnist_vae.sweeps.report import pictures, tables
from mnist_vae.sweeps.report.text import duration, link, number, plural
from mnist_vae.sweeps.results import Group, Sweep

MOST_PICTURES = 6  # groups that get embedded pictures of runs; with more the file would grow too large
LONGEST_TRACEBACK = 20_000  # letters; its end says most


def page(sweep: Sweep) -> str:
    """The whole page, as HTML that loads nothing from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mnist_vae.sweeps.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    bar = tqdm(sweep.groups, desc="drawing", unit="group", leave=False, delay=2, disable=None)
    return environment.get_template("report.html").render(
        title=_title(sweep),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        tally=tables.tally(sweep),
        groups=[_section(group, sweep, place < MOST_PICTURES) for place, group in enumerate(bar)],
        unfinished=tables.unfinished(sweep),
        failed=[_failed(job) for job in sweep.of_state(State.failed)],
    )


def _title(sweep: Sweep) -> str:
    """The folder's name; with that of the folder around it where it is only a time of day."""
    path = sweep.folder.resolve()
    return f"{path.parent.name}/{path.name}" if re.fullmatch(r"[\d-]+", path.name) else path.name


def _section(group: Group, sweep: Sweep, with_pictures: bool) -> dict[str, Any]:
    best = group.ranked[0] if group.ranked else None
    return {
        "title": group.title,
        "count": plural(len(group.jobs), "complete run"),
        "best": best and _headline(best, group, sweep),
        "table": tables.ranking(group, sweep.folder),
        "seeds": tables.seeds(group),
        "planes": pictures.planes(group) if with_pictures else [],
        "effects": pictures.effects(group) if with_pictures else "",
        "results": pictures.shrunk(best, "results.png") if best and with_pictures else "",
        "samples": _extremes(group, sweep) if with_pictures else [],
    }


def _headline(job: Job, group: Group, sweep: Sweep) -> dict[str, Any]:
    facts = {"test ELBO": number(job.number("test/elbo"))}
    facts |= {
        heading: number(job.number(name), 0 if name in tables.WHOLE else 2)
        for name, heading in list(tables.METRICS.items())[1:4]
    }
    facts |= {"parameters": number(job.number("parameters"), 0), "training": duration(job.number("train_seconds"))}
    return {"name": _described(job, group), "facts": facts, "link": link(job.folder, sweep.folder) + "/"}


def _extremes(group: Group, sweep: Sweep) -> list[dict[str, str]]:
    """Samples of the best run and of the worst."""
    ends = {"best": group.ranked[0], "worst": group.ranked[-1]} if len(group.ranked) > 1 else {}
    return [
        {
            "which": which,
            "name": _described(job, group),
            "elbo": number(job.number("test/elbo")),
            "picture": picture,
            "link": link(job.folder / "figures" / "samples.png", sweep.folder),
        }
        for which, job in ends.items()
        if (picture := pictures.shrunk(job, "samples.png"))
    ]


def _described(job: Job, group: Group) -> str:
    settings = [f"{key}={tables.setting(job, key).text}" for key in group.keys if key in job.settings]
    return ", ".join(settings) or job.name


def _failed(job: Job) -> dict[str, str]:
    assert job.failure is not None
    return {"name": job.name, **job.failure._asdict(), "traceback": job.failure.traceback[-LONGEST_TRACEBACK:]}
