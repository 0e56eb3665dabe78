"""The quality of samples of a group's configurations against their ELBO."""

from mnist_vae import figures
from mnist_vae.sweeps.ranking import Group
from mnist_vae.sweeps.report.charts.chart import values
from mnist_vae.sweeps.report.charts.plane import MOST_POINTS, along_beta
from mnist_vae.sweeps.report.pictures import Picture, embedded
from mnist_vae.sweeps.report.tables import columns
from mnist_vae.sweeps.varied import SEED

METRICS = ("test/elbo", "test/frechet_distance", "test/precision", "test/recall")


def sample_quality(group: Group) -> Picture | None:
    """A point per configuration, by its means over seeds; None if fewer than two of them were evaluated, or not with
    the same number of samples and the same classifier."""
    found = [configuration for configuration in group.configurations if METRICS[1] in configuration.jobs[0].metrics]
    evaluated = found[:MOST_POINTS]
    jobs = [job for configuration in evaluated for job in configuration.jobs if METRICS[1] in job.metrics]
    made_with = {tuple(job.metrics.get(name) for name in ("sample_count", "feature_classifier")) for job in jobs}
    if len(evaluated) < 2 or len(made_with) > 1:
        return None
    firsts = [configuration.jobs[0] for configuration in evaluated]
    settings = {key: values(firsts, key) for key in columns(group) if key != SEED}
    curves, _ = along_beta(settings)
    elbo, distance, precision, recall = ([configuration.mean(name) for configuration in evaluated] for name in METRICS)
    betas = settings["beta"] if curves else ()
    return embedded(figures.sample_quality(elbo, distance, precision, recall, curves, betas))
