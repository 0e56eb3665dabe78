"""The settings that distinguish the jobs of a sweep."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from mnist_vae.sweeps.varied import experiment_of, settings_of, varied_keys, written
from tests.synthetic import CHOICES, config

Jobs = list[tuple[dict[str, Any], list[str]]]


def made(changes: dict[str, Any], overrides: list[str]) -> dict[str, str]:
    """The choices that Hydra would have noted."""
    typed = dict(override.lstrip("+").split("=", 1) for override in overrides)
    chosen = {group: str(changes.get(group, default)) for group, default in CHOICES.items()}
    return chosen | {group: typed[group] for group in CHOICES if group in typed}


def keys(jobs: Jobs) -> list[str]:
    """Of jobs given as (what differs in the config, the overrides)."""
    read = []
    for changes, overrides in jobs:
        cfg = OmegaConf.create(config(**{key: value for key, value in changes.items() if "." not in key}))
        for key, value in changes.items():
            if "." in key:
                OmegaConf.update(cfg, key, value, force_add=True)
        read.append((settings_of(cfg, overrides, made(changes, overrides)), overrides, experiment_of(cfg)))
    return varied_keys(read)


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([({}, [])], []),
        ([({"beta": 1}, ["beta=1"]), ({"beta": 4}, ["beta=4"])], ["beta"]),
        # What was given comes in the order in which it was given; what is the same everywhere is left out.
        (
            [
                ({"model": "mlp", "beta": 1}, ["seed=0", "model=mlp", "beta=1"]),
                ({"model": "conv", "beta": 2}, ["seed=0", "model=conv", "beta=2"]),
            ],
            ["model", "beta"],
        ),
        # Without overrides the config is compared; objective.beta, model.* and data.* only follow.
        ([({"model": "mlp", "beta": 1}, []), ({"model": "conv", "beta": 4}, [])], ["beta", "model"]),
        ([({"data": "mnist"}, []), ({"data": "digits"}, [])], ["data"]),
        ([({"seed": 0}, []), ({"seed": 1}, [])], ["seed"]),
        ([({"objective.beta": 1.0}, []), ({"objective.beta": 4.0}, [])], ["objective.beta"]),
        ([({"model.hidden_dims": [400]}, []), ({"model.hidden_dims": [8]}, [])], ["model.hidden_dims"]),
        # Where overrides don't explain a difference, the config does.
        ([({"beta": 1}, ["seed=0"]), ({"beta": 4}, ["seed=0"])], ["beta"]),
        ([({"model": "mlp", "seed": 0}, ["seed=0"]), ({"model": "conv", "seed": 1}, ["seed=1"])], ["seed", "model"]),
        # A group typed for one run only, and nothing that differs in it.
        ([({}, ["logger=csv"]), ({"beta": 2}, ["beta=2"])], ["logger", "beta"]),
        ([({}, ["logger=tensorboard"]), ({"beta": 2}, ["beta=2"])], ["beta"]),
        ([({}, []), ({}, ["experiment=notebook"])], ["experiment"]),
        # Each trial of a search that stops trials early has a number there.
        (
            [
                ({"beta": 1, "callbacks.pruning": {"trial": 0}}, ["beta=1", "+callbacks.pruning={trial:0}"]),
                ({"beta": 1, "callbacks.pruning": {"trial": 1}}, ["beta=1", "+callbacks.pruning={trial:1}"]),
            ],
            [],
        ),
        # A key that one of them lacks, as a run of an earlier version does.
        ([({"trainer.new": None}, ["seed=0"]), ({"seed": 1}, ["seed=1"])], ["seed"]),
        # A path, as it is.
        ([({"trainer.of": "a/b=1,c"}, ["trainer.of=x"]), ({"trainer.of": "a/d"}, ["trainer.of=y"])], ["trainer.of"]),
        # Where the images lie, and how the jobs are run, is no part of an experiment.
        ([({}, ["data.root=/a", "hydra.job.num=1"]), ({}, ["data.root=/b", "launcher=joblib", "hydra.x=2"])], []),
    ],
)
def test_keys_that_distinguish_jobs(jobs: Jobs, expected: list[str]) -> None:
    assert keys(jobs) == expected


def test_two_choices_of_the_same_class_keep_their_names() -> None:
    small = OmegaConf.create(config())
    assert settings_of(small, ["model=small"], {"model": "small"})["model"] == "small"
    assert settings_of(small, [], {})["model"] == "MLP"  # without Hydra, the class
    assert settings_of(small, ["model=small"], {"model": "small"})["model.hidden_dims"] == [400]


def test_numbers_of_a_job_that_has_not_begun_are_those_of_one_that_has() -> None:
    typed = ["beta=1", "lr=1e-3", "+model.hidden_dims=[400,200]", "model=mlp", "~callbacks", "objective.beta=${beta}"]
    settings = settings_of(None, typed, {})
    assert settings == {
        "beta": 1,
        "lr": 1e-3,
        "model.hidden_dims": [400, 200],
        "model": "mlp",
        "objective.beta": "${beta}",
    }
    begun = OmegaConf.create(config(beta=1))
    jobs = [(settings_of(begun, ["beta=1"], CHOICES), ["beta=1"], experiment_of(begun)), (settings, ["beta=1"], None)]
    assert varied_keys(jobs) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.001, "0.001"),
        (20, "20"),
        (True, "true"),
        (None, "null"),
        ([400, 2.5], "[400,2.5]"),
        ("a<b", "a<b"),
        (1e-7, "1e-07"),
        (float("inf"), "inf"),
    ],
)
def test_values_as_text(value: Any, text: str) -> None:
    assert written(value) == text


def test_digits_are_cut_where_asked() -> None:
    assert written(0.000152533854605, 4) == "0.0001525" and written(123456, 4) == written(123456.0, 4) == "123456"
