"""One sentence for each error; test_entry.py has those that a whole command ends with."""

import sys

import pytest
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException

from mnist_vae.config.error_messages import describe, sentence
from mnist_vae.utils.errors import SettingsError
from tests.conftest import composed


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["modle=conv"], "modle: there is no such key; did you mean model?"),
        (["model=conv", "model.chanels=[3]"], "model.chanels: there is no such key; did you mean model.channels?"),
        (["data.val_sise=3"], "data.val_sise: there is no such key; did you mean data.val_size?"),
        (["model.channels=[3]"], "model.channels: there is no such key; there are model._target_, "),
        (["model=cnov"], "model=cnov: there is no such choice; model can be conv, iwae_mlp, ladder, mlp, resnet."),
        (["experiment=nope"], "experiment=nope: there is no such choice; experiment can be ciwae, iwae_k5, iwae_k50,"),
        (["latent_dim=abc"], "latent_dim=abc: Value 'abc' of type 'str' could not be converted to Integer."),
        (["latent_dim=2,4"], "latent_dim=2,4: several values make a sweep; add -m to the command, or write a"),
        (["data.binarize=maybe"], "data.binarize=maybe: Invalid value 'maybe', expected one of [none, dynamic,"),
        (["accelerator.accelerator=tpu"], "expected one of [auto, cpu, gpu, mps]"),
        (
            ["model=null"],
            "model=null: a group is given the name of a choice, as in model=conv; --help lists the choices.",
        ),
        (["trainer.devices=2"], "trainer.devices: it is set by accelerator.devices."),
        (["trainer.strategy=ddp"], "trainer.strategy: it is DDP for several processes; choose accelerator=ddp"),
        (["latent_dim"], "latent_dim: Hydra can't read it (missing EQUAL at '<EOF>'); brackets must be"),
        (["model=ünï"], "model=ünï: Hydra can't read it; brackets must be closed, and a value with other characters"),
        (["seed=choice()"], "seed=choice(): empty choice is not legal."),
        (["logger.backend=5"], "there are logger.tensorboard; +logger.backend=… adds it, where it is accepted."),
        (["logger.backend={_target_: nope}"], "+logger.backend=… adds it, where it is accepted."),
        (
            ["model={a:1}"],
            "model.a: there is no such key; there are model._target_, model.hidden_dims, model.activation;",
        ),
        (["model=/etc/passwd"], "model=/etc/passwd: there is no such choice; model can be conv,"),
        (["schedule=null"], "schedule=null: a group is given the name of a choice"),
        (["latent_dim.x=3"], "latent_dim.x: there is no such key, since latent_dim is a single value."),
        (["latent_dim=null"], "latent_dim=null: it must have a value."),
        (["+latent_dim=3"], "+latent_dim: there is such a key; leave out the +"),
        (["~latent_dmi"], "~latent_dmi: there is no such key to delete."),
        (["latent_dim=range(1,3)"], "latent_dim=range(1,3): several values make a sweep; add -m"),
        (["model.hidden_dims={a:1}"], "model.hidden_dims={a:1}: a list and a mapping can't replace each other."),
        (["hydra.run.dri=x"], "hydra.run.dri: there is no such key; did you mean hydra.run.dir?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_hydra_cannot_compose(overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
    with pytest.raises(Exception) as caught:
        composed(*overrides)
    text = sentence(caught.value)
    assert message in text and len(text.splitlines()) == 1


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's own."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SettingsError("lr=-1: no."), "lr=-1: no."),
        (OSError(13, "Permission denied", "/a/b"), "/a/b: Permission denied; choose another output folder"),
        (RuntimeError('Could not detect "srun", are you sure?'), "launcher=slurm: there is no srun on this machine"),
        (
            OutOfMemoryError("CUDA out of memory.\nMore"),
            "out of memory; a smaller model or batch_size, or fewer jobs at once, need less.",
        ),
        (
            OutOfMemoryError("Tried to allocate 20.00 GiB."),
            "out of memory: 20.00 GiB were asked for at once; a smaller",
        ),
        (RuntimeError("[enforce] can't allocate memory: 2 bytes"), "out of memory; a smaller model or batch_size"),
        (OSError(28, "No space left on device", "/a/b"), "/a/b: No space left on device; free some space there, or ch"),
        (ValueError("first\n  second"), "first second (ValueError; this was not expected: set HYDRA_FULL_ERROR=1"),
        (ValueError(), "ValueError (ValueError; this was not expected"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_errors(error: Exception, message: str) -> None:
    text = sentence(error)
    assert message in text and len(text.splitlines()) == 1


@pytest.mark.parametrize(
    ("launcher", "plugin", "extra"),
    [
        ("joblib", "joblib", "joblib"),
        ("submitit_local", "submitit_local", "submitit"),
        ("slurm", "submitit_slurm", "submitit"),
        ("ray", "ray", "ray"),
    ],
)
def test_a_missing_plugin_is_reported_with_the_command_that_installs_it(
    launcher: str, plugin: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert composed(f"launcher={launcher}")
    monkeypatch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], f"{plugin}.yaml")  # what a plugin registers
    with pytest.raises(HydraException) as caught:
        composed(f"launcher={launcher}")
    assert sentence(caught.value).endswith(f'install it by: pip install -e ".[{extra}]"')


def test_the_description_of_an_error_has_its_traceback_and_whether_it_was_expected() -> None:
    for error, text, expected in (
        (SettingsError("lr: no."), "lr: no.", True),
        (KeyError("lr"), "'lr' (KeyError; this was not expected: its failed.json says where)", False),
    ):
        try:
            raise error
        except Exception as caught:
            found = describe(caught)
        assert (found["error"], found["type"], found["expected"]) == (text, type(error).__name__, expected)
        assert found["traceback"].startswith("Traceback") and "test_error_messages.py" in found["traceback"]
