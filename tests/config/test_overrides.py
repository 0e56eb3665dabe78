import pytest
from omegaconf import OmegaConf

from mnist_vae.config.overrides import experiment_overrides, task_overrides


@pytest.mark.parametrize(
    ("override", "is_kept"),
    [
        ("beta=4", True),
        ("+model.depth=3", True),
        ("~callbacks", True),
        ("experiment=quickstart", True),
        ("callbacks.epoch_images.every_n_epochs=2", True),
        ("hydrant=1", True),
        ("data.root=/a", False),
        ("data.source.root=/a", False),
        ("+data.source.mirror=http://a", False),
        ("sweep=seeds", False),
        ("launcher=joblib", False),
        ("+callbacks.pruning={trial:0}", False),
        ("hydra.run.dir=/a", False),
    ],
)
def test_overrides_of_how_and_where_a_job_runs_are_left_out(override: str, is_kept: bool) -> None:
    assert experiment_overrides(["seed=1", override]) == ["seed=1", *([override] if is_kept else [])]


def test_overrides_are_read_as_they_were_typed() -> None:
    hydra = OmegaConf.create({"overrides": {"task": ["lr='${nope}'", "seed=1"]}})
    assert task_overrides(hydra) == ["lr='${nope}'", "seed=1"]
