import pytest
import torch
from omegaconf import OmegaConf

from mnist_vae.config.instantiate import instantiate, instantiate_safely
from mnist_vae.models.likelihoods import Bernoulli
from mnist_vae.models.networks.mlp import MLP
from mnist_vae.objectives import ELBO
from mnist_vae.utils.errors import SettingsError

SHAPE = {"image_shape": (1, 4, 4), "latent_dim": 2, "parameters_per_value": 1}
MLP_NODE = {"_target_": "mnist_vae.models.networks.mlp.MLP", "hidden_dims": [8]}


def test_it_calls_the_target_with_config_and_given_arguments() -> None:
    net = instantiate("model", OmegaConf.create(MLP_NODE), **SHAPE, not_wanted=1)
    assert isinstance(net, MLP) and net.features == 8


def test_values_are_converted_to_the_signatures_types() -> None:
    objective = instantiate("objective", OmegaConf.create({"_target_": "mnist_vae.objectives.ELBO", "beta": "2"}))
    assert isinstance(objective, ELBO) and objective.beta == 2.0


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**MLP_NODE, "hiden_dims": [3]}, "model.hiden_dims: there is no such key; did you mean model.hidden_dims"),
        ({**MLP_NODE, "hidden_dims": ["a"]}, "model.hidden_dims=\\['a'\\]: Value 'a'"),
        ({**MLP_NODE, "hidden_dims": 3}, "model.hidden_dims=3"),
        ({**MLP_NODE, "hidden_dims": [0]}, "model: hidden_dims is \\[0\\]"),
        ({"_target_": MLP_NODE["_target_"]}, "model.hidden_dims: not given"),
        ({"_target_": "mnist_vae.models.networks.mlp.MPL", "hidden_dims": [8]}, "nothing can be imported"),
        ({"_target_": "nowhere.Net"}, "nothing can be imported"),
        ({"_target_": "Net"}, "nothing can be imported"),
        ({**MLP_NODE, "latent_dim": 3}, "model.latent_dim: there is no such key"),
    ],
)
def test_mistakes_are_named(node: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        instantiate("model", OmegaConf.create(node), **SHAPE)


@pytest.mark.parametrize("target", ["torch.optim.Adam", "torch.optim.AdamW", "torch.optim.SGD"])
def test_torchs_own_optimisers_can_be_built(target: str) -> None:
    node = OmegaConf.create({"_target_": target, "lr": 0.5})
    optimizer = instantiate("optimizer", node, params=[torch.zeros(1, requires_grad=True)])
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_the_targets_own_refusal_is_passed_on() -> None:
    node = OmegaConf.create({"_target_": "torch.optim.Adam", "betas": [2.0, 0.9]})
    with pytest.raises(SettingsError, match="optimizer: Invalid beta"):
        instantiate("optimizer", node, params=[torch.zeros(1, requires_grad=True)])


def test_safe_targets_are_torch_modules_of_known_packages() -> None:
    assert isinstance(
        instantiate_safely("likelihood", OmegaConf.create({"_target_": "mnist_vae.models.likelihoods.Bernoulli"})),
        Bernoulli,
    )


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.eval",
        "torch.load",
        "torch.hub.load",
        "torch.jit.load",
        "torch.utils.cpp_extension.load",
        "mnist_vae.runs.folder.load_run",  # ours, and not a module
        "mnist_vae.models.networks.base.math.prod",  # reached through ours
        "mnist_vae.models.networks.base.activation_class",  # a function beside the classes
        "mnist_vae.models.likelihoods.F.binary_cross_entropy_with_logits",
        "mnist_vae.models.likelihoods.nn.Linear.load_state_dict",
        "torch.nn.modules.module.itertools.repeat",
        "torch.nn.modules.linear.torch.hub.load",
        "mnist_vae.models.likelihoods..Bernoulli",
        "",
    ],
)
def test_everything_else_is_refused_before_it_is_called(target: str) -> None:
    with pytest.raises(SettingsError, match=r"only torch modules|nothing can be imported"):
        instantiate_safely("likelihood", OmegaConf.create({"_target_": target}))
