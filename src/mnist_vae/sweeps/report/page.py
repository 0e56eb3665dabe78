"""report.html: the content of the page; its layout is in templates/."""

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import jinja2
from markupsafe import Markup
from tqdm import tqdm

from mnist_vae.sweeps.job_results import Job, State
from mnist_vae.sweeps.ranking import ABSURD, FAR, TEST, UNTRAINED, Configuration, Group
from mnist_vae.sweeps.report import pictures, tables
from mnist_vae.sweeps.report.charts import search
from mnist_vae.sweeps.report.charts.chart import Chart
from mnist_vae.sweeps.report.charts.effects import effects
from mnist_vae.sweeps.report.charts.learning_curves import comparable, learning_curves
from mnist_vae.sweeps.report.charts.plane import plane
from mnist_vae.sweeps.report.charts.sample_quality import sample_quality
from mnist_vae.sweeps.report.overview import tally
from mnist_vae.sweeps.results import Sweep
from mnist_vae.sweeps.varied import SEED
from mnist_vae.utils.text import duration, link, number, plural, shortened

MOST_PICTURES = 6  # groups that get embedded pictures of runs; with more the file would grow too large
LONGEST_ERROR = 2_000  # characters
LONGEST_TRACEBACK = 20_000  # its end says most


def page(sweep: Sweep) -> str:
    """The whole page, as HTML that loads nothing from anywhere."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mnist_vae.sweeps.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = _breakable
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    groups = [group for group in sweep.groups if group.configurations]
    bar = tqdm(groups, desc="drawing", unit="group", leave=False, delay=2, disable=None)
    sections = [_section(group, sweep, place < MOST_PICTURES) for place, group in enumerate(bar)]
    curves, searched = list(_curves(sweep)), _search(sweep)
    charts = bool(curves or searched or any(section["plane"] or section["effects"] for section in sections))
    scripts = [*([_plotly()] if charts else []), environment.get_template("report.js").render()]
    return environment.get_template("report.html").render(
        title=_title(sweep),
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        tally=tally(sweep),
        groups=sections,
        curves=curves,
        varied=bool(sweep.keys),
        search=searched,
        apart=tables.apart(sweep),
        far=f"{FAR:g} times ({UNTRAINED:g} nats + |ELBO of the best|)",
        absurd=number(ABSURD, 0),
        untrained=f"{UNTRAINED:g}",
        unfinished=tables.unfinished(sweep),
        failed=[_failed(job) for job in sweep.of_state(State.failed)],
        scripts=[Markup(script) for script in scripts],  # of this project, and of plotly.js
        hashes=" ".join(map(_hash, scripts)),
    )


def _breakable(key: str) -> Markup:
    """A setting's name that can be broken into lines, so that its column is no wider than the values."""
    return Markup("<wbr>").join(re.split(r"(?<=[._])", key))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # which takes long to import

    return get_plotlyjs()


def _hash(script: str) -> str:
    """By which the page's policy allows a script: a browser runs no other one, whatever the texts on the page are."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _curves(sweep: Sweep) -> Iterator[tuple[str, Chart]]:
    """The learning curves of the runs on each data, with its title."""
    for place, (dataset, jobs) in enumerate(comparable(sweep)):
        if place < MOST_PICTURES:
            yield dataset.title, learning_curves(jobs, sweep.keys)


def _search(sweep: Sweep) -> dict[str, Any] | None:
    found = search.read_search(sweep.folder)
    if found is None:
        return None
    return {
        "summary": found.summary,
        "history": search.history(found, sweep),
        "importance": search.importance(found),
    }


def _title(sweep: Sweep) -> str:
    """The folder's name; with that of the folder around it where it is only a time of day."""
    path = sweep.folder.resolve()
    return f"{path.parent.name}/{path.name}" if re.fullmatch(r"[\d-]+", path.name) else path.name


def _section(group: Group, sweep: Sweep, with_pictures: bool) -> dict[str, Any]:
    only = group.configurations[0] if len(group.configurations) == 1 else None
    shown = group.best or only
    return {
        "title": group.title,
        "count": plural(len(group.jobs), "run") + (f", {len(group.apart)} set apart" if group.apart else ""),
        "how_ranked": tables.how_ranked(group),
        "best": group.best is not None,
        "headline": shown and _headline(shown, group, sweep, with_pictures),
        "runs": tables.runs(group, sweep.folder),
        "constants": tables.constants(group),
        "configurations": tables.configurations(group) if group.several_seeds else None,
        "plane": plane(group) if with_pictures else None,
        "effects": effects(group) if with_pictures else None,
        "samples": _extremes(group, sweep) if with_pictures else [],
        "quality": sample_quality(group) if with_pictures else None,
    }


def _headline(configuration: Configuration, group: Group, sweep: Sweep, with_pictures: bool) -> dict[str, Any]:
    first, count = configuration.jobs[0], len(configuration.seeds)
    facts = {text: tables.over_seeds(configuration, name) for name, text in tables.metrics_of(group).items()}
    facts |= {
        "parameters": number(configuration.mean("parameters"), 0),
        "training": duration(configuration.mean("train_seconds")),
    }
    return {
        "name": tables.described(first, group, with_seed=not group.several_seeds),
        "facts": facts,
        "seeds": f"Mean ± sample standard deviation over {count} seeds." if count > 1 else "",
        "pictured": f"The pictures are of seed {tables.setting(first, SEED).text}." if count > 1 else "",
        "link": link(first.folder, sweep.folder) + "/",
        "figures": tables.figures_of(first, sweep.folder),
        "picture": pictures.shrunk(first, "results.png", sweep.folder) if with_pictures else None,
    }


def _extremes(group: Group, sweep: Sweep) -> list[dict[str, Any]]:
    """Samples of the best configuration and of the worst, each of its first seed."""
    if group.best is None or len(group.configurations) == 1:
        return []
    ends = {"best": group.configurations[0], "worst": group.configurations[-1]}
    samples = [_samples(which, configuration.jobs[0], group, sweep) for which, configuration in ends.items()]
    return [end for end in samples if end["picture"]]


def _samples(which: str, job: Job, group: Group, sweep: Sweep) -> dict[str, Any]:
    shown = {name: text for name, text in tables.metrics_of(group).items() if name in (group.monitor, TEST)}
    return {
        "which": which,
        "name": tables.described(job, group),
        "metrics": ", ".join(f"{text} {tables.metric(job, name).text}" for name, text in shown.items()),
        "picture": pictures.shrunk(job, "samples.png", sweep.folder),
        "link": link(job.folder / "figures" / "samples.png", sweep.folder),
    }


def _failed(job: Job) -> dict[str, str]:
    assert job.failure is not None
    return {
        "name": shortened(job.name, tables.LONGEST_NAME),
        "error": shortened(job.failure.error, LONGEST_ERROR),
        "kind": shortened(job.failure.kind, tables.LONGEST_NAME),
        "traceback": job.failure.traceback[-LONGEST_TRACEBACK:],
    }
