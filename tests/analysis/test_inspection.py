from pathlib import Path

import pytest
import torch

from mnist_vae.analysis.inspection import SAMPLES, draws, inspect, most_likely_label, nearest
from mnist_vae.config.build import build_vae
from mnist_vae.models.vae import VAE
from tests.conftest import composed


def vae(*overrides: str, classes: int = 0) -> VAE:
    torch.manual_seed(0)
    cfg = composed("data=digits", "model.hidden_dims=[16]", "latent_dim=3", *overrides)
    return build_vae(cfg, (1, 28, 28), classes).eval()


@pytest.mark.parametrize("prior", ["standard_normal", "mixture", "vamp", "flow"])
@torch.no_grad()
def test_the_terms_are_means_over_samples_of_the_posterior(prior: str) -> None:
    model, x = vae(f"prior={prior}"), torch.rand(2, 1, 28, 28)
    found = inspect(model, x, draws(3))
    posterior = model.encode(x)
    z = posterior.rsample(draws(3).expand(-1, 2, -1))
    log_likelihood = model.likelihood.log_prob(model.decode_parameters(z), x)
    assert torch.allclose(found.nats[:, 0], -log_likelihood.mean(dim=0), rtol=1e-5)
    assert torch.allclose(found.mean, posterior.mean) and torch.allclose(found.reconstruction, model.reconstruct(x))
    kl = (posterior.log_prob(z) - model.prior.log_prob(z)).mean(dim=0)
    # In closed form for a standard normal prior; then only near the mean over 64 samples.
    assert torch.allclose(found.nats[:, 1], kl, atol=0.5 if prior == "standard_normal" else 1e-4)
    assert torch.allclose(found.elbo, -found.nats.sum(dim=1))


def test_draws_are_the_same_each_time() -> None:
    assert torch.equal(draws(4), draws(4)) and draws(4).shape == (SAMPLES, 1, 4)


@torch.no_grad()
def test_the_most_likely_label_is_that_of_the_largest_elbo() -> None:
    model, x, noise = vae("conditional=true", classes=4), torch.rand(1, 28, 28), draws(3)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.nn.init.normal_(model.label_image.weight)
    elbos = [float(inspect(model, x[None], noise, torch.tensor([label])).elbo) for label in range(4)]
    assert most_likely_label(model, x, noise) == elbos.index(max(elbos))
    assert max(elbos) - min(elbos) > 0.1


def test_nearest_codes_come_by_their_distance() -> None:
    codes = torch.tensor([[0.0, 0], [3, 0], [0, 1], [0, -2]])
    assert nearest(codes, torch.zeros(2), 3).tolist() == [0, 2, 3]
    assert len(nearest(codes, torch.zeros(2), 9)) == 4


def test_a_trained_model_is_inspected_as_it_was_tested(trained: Path) -> None:
    from mnist_vae.runs.load import open_run

    run = open_run(trained / "mlp")
    images, _ = run.images("test")
    with torch.no_grad():
        found = inspect(run.vae, images / 255, draws(run.vae.latent_dim))
    assert float(found.elbo.mean()) == pytest.approx(float(run.metrics["test/elbo"]), abs=0.5)
