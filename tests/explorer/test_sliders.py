import pytest
import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.sliders import Sliders

Explored = dict[str, ExploredRun]


def test_the_most_informative_dimension_comes_first_with_its_nats(explored: Explored) -> None:
    run = explored["mlp"]
    first, *_ = Sliders(run).sliders.values()
    assert first.title == f"z{run.dimensions[0] + 1} ({run.kl.max():.2f} nats)"


def test_without_a_kl_of_each_dimension_the_title_says_what_is_there(explored: Explored) -> None:
    [slider] = Sliders(explored["vamp"]).sliders.values()
    assert slider.title.startswith("z1 (no KL of its own; its means' standard deviation: ")


def test_a_slider_holds_every_code_of_a_test_image(explored: Explored) -> None:
    run = explored["mlp"]
    for j, slider in Sliders(run).sliders.items():
        assert slider.start <= run.posterior.mean[:, j].min() and run.posterior.mean[:, j].max() <= slider.end


@pytest.mark.parametrize("inactive", [0, 1, 2, 3])
def test_inactive_dimensions_are_folded_away_unless_all_are(explored: Explored, inactive: int) -> None:
    run = explored["conv"]
    active = run.active
    try:
        run.__dict__["active"] = [j >= inactive for j in range(3)]
        sliders = Sliders(run)
    finally:
        run.__dict__["active"] = active
    toggles = list(sliders.layout.select({"name": "inactive"}))
    assert len(toggles) == (inactive > 0)
    if inactive:
        hidden = sliders.layout.children[-1]
        assert len(hidden.children) == inactive and hidden.visible == (inactive == 3) == toggles[0].active
        assert toggles[0].label == f"{inactive} inactive dimension{'s' if inactive > 1 else ''}"


def test_only_a_hand_is_reported(explored: Explored) -> None:
    sliders, seen = Sliders(explored["mlp"]), []
    sliders.on_change(lambda j, value: seen.append((j, value)))
    z = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])
    sliders.set(z)
    assert not seen
    assert [sliders.sliders[j].value for j in range(5)] == pytest.approx(z.tolist())
    sliders.sliders[2].value = 1.5
    assert seen == [(2, 1.5)]


def test_a_code_beyond_a_slider_is_shown_at_its_end(explored: Explored) -> None:
    sliders = Sliders(explored["mlp"])
    sliders.set(torch.full((5,), 99.0))
    assert all(slider.value == slider.end for slider in sliders.sliders.values())
