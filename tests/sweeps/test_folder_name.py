"""Job folders are named by their overrides: readable, safe, and different for different jobs."""

import string

import pytest

from mnist_vae.sweeps.folder_name import LONGEST, folder_name


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["model=mlp", "latent_dim=2", "beta=0.5"], "model=mlp,latent_dim=2,beta=0.5"),
        (["model.hidden_dims=[400,200]"], "model.hidden_dims=400x200"),
        (["model.hidden_dims=[16]"], "model.hidden_dims=16x"),
        (["hydrant=1"], "hydrant=1"),
        (["lr=1e-3", "seed=-1"], "lr=1e-3,seed=-1"),
        (["+callbacks.stop.patience=3"], "callbacks.stop.patience=3"),
        (["sweep=seeds", "launcher=joblib", "hydra.job.name=x", "data.root=/a/b", "seed=1"], "seed=1"),
        ([], "defaults"),
    ],
)
def test_ordinary_overrides_read_as_they_were_typed(overrides: list[str], name: str) -> None:
    assert folder_name(overrides) == name


STRANGE = [
    "a/b",
    "a\\b",
    "..",
    "a b",
    "a:b",
    "a*b?",
    'a"b',
    "a|b<c>",
    "é",
    "é".encode().decode("latin1"),
    "a\nb",
    "~",
    "",
    ".",
]
STRANGE += ["x" * 300, "x" * 301, "日本語", "[a,b]", "[a,'b']", "{a:1}", "$HOME", "${seed}", "#", "%41", "A"]


def test_any_override_gives_a_safe_name_of_its_own() -> None:
    names = [folder_name([f"note={text}", "seed=1"]) for text in STRANGE]
    assert len(set(names)) == len(STRANGE)
    for name in names:
        assert set(name) <= set(string.ascii_letters + string.digits + "_.=,+-~")
        assert len(name.encode()) <= LONGEST and not name.startswith((".", "-", "~"))


def test_overrides_that_would_read_alike_have_different_names() -> None:
    cases = [
        ["a=[1,2]"],
        ["a=1x2"],
        ["a=[1]"],
        ["a=1"],
        ["a=1x"],
        ["a=b,c=d"],
        ["a=b", "c=d"],
        ["a='b,c=d'"],
        ["~a"],
        ["a"],
    ]
    assert len({folder_name(case) for case in cases}) == len(cases)
