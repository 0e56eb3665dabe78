import shutil
from pathlib import Path

import pytest
import torch

from mnist_vae.analysis.probes import NEIGHBOURS, knn
from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.runs.load import open_run

Explored = dict[str, ExploredRun]


def test_dimensions_come_by_their_kl(explored: Explored) -> None:
    run = explored["mlp"]
    assert run.kl is not None
    kl = run.kl[run.dimensions]
    assert torch.equal(kl, kl.sort(descending=True).values) and len(kl) == 5
    means, log_var = run.posterior.mean, run.posterior.log_var
    assert torch.allclose(run.kl, 0.5 * (means**2 + log_var.exp() - 1 - log_var).mean(dim=0), atol=1e-5)


def test_without_a_kl_of_each_dimension_they_come_by_variance(explored: Explored) -> None:
    assert explored["vamp"].kl is None and explored["vamp"].dimensions == [0]


def test_limits_hold_the_codes_of_images_and_of_samples(explored: Explored) -> None:
    low, high = explored["plane"].limits
    for codes in (explored["plane"].posterior.mean, explored["plane"].prior_codes):
        assert (codes >= low).all() and (codes <= high).all()


def test_the_mean_of_the_prior_is_that_of_its_samples_and_zero_for_a_standard_normal(explored: Explored) -> None:
    assert not explored["mlp"].prior_mean.any()
    vamp = explored["vamp"]
    exact = vamp.vae.prior.components.mean.mean(dim=0)
    assert torch.allclose(vamp.prior_mean, exact.detach(), atol=5 * float(vamp.prior_codes.std()) / 20_000**0.5)


def test_an_unfinished_run_says_so(run_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run_folders["plane"], tmp_path / "plane"))
    (folder / "metrics.json").unlink()
    assert ExploredRun(open_run(folder), "plane").title.endswith(", not complete: epoch 2")


def test_neighbours_vote_as_the_classifier_does(explored: Explored) -> None:
    run = explored["mlp"]
    z = run.posterior.mean[7]
    pixels, labels = run.neighbours(z)
    assert pixels.shape == (NEIGHBOURS, 1, 28, 28) and pixels.max() <= 1
    votes = torch.tensor(labels).bincount()
    predicted = knn(run.train_means.numpy(), run.train_labels.numpy(), z[None].numpy())
    assert votes[predicted] == votes.max()


def test_an_image_is_encoded_as_in_its_posterior(explored: Explored) -> None:
    for name, run in explored.items():
        found = run.inspect(run.pixels(3), int(run.labels[3]))
        assert torch.allclose(found.mean[0], run.posterior.mean[3], atol=1e-4), name
        assert torch.allclose(found.reconstruction[0], run.decode(found.mean, int(run.labels[3]))[0], atol=1e-5), name


def test_only_a_conditional_run_guesses_a_label(explored: Explored) -> None:
    x = explored["mlp"].pixels(0)
    assert explored["mlp"].most_likely_label(x) is None
    assert explored["conditional"].most_likely_label(x) in range(10)


def test_images_can_lie_elsewhere(run_folders: dict[str, Path], tmp_path: Path) -> None:
    run = open_run(run_folders["mlp"])
    assert ExploredRun(run, "mlp", str(tmp_path)).images.equal(ExploredRun(run, "mlp").images)  # embedded: no folder


def test_a_label_without_a_name_is_its_number(explored: Explored) -> None:
    assert explored["mlp"].class_name(3) == "3" and explored["mlp"].class_name(99) == "99"


@pytest.mark.parametrize("name", ["conv", "conditional"])
def test_progress_is_reported(run_folders: dict[str, Path], name: str) -> None:
    seen = []
    ExploredRun(open_run(run_folders[name]), name, None, lambda batches: seen.append(len(list(batches))) or batches)
    assert seen == [1, 2]  # the 297 test images, and the 1,300 training images, by the thousand
