import numpy as np
import pytest
import torch

from mnist_vae.explorer.explored_run import ExploredRun
from mnist_vae.explorer.latent_map import EVENTS, LatentMap
from mnist_vae.figures.colours import class_colours

Explored = dict[str, ExploredRun]


def positions(latent_map: LatentMap) -> torch.Tensor:
    """Positions on the map by the numbers of the test images, (images, 2)."""
    found = torch.zeros(len(latent_map.run.images), 2)
    for source in latent_map.points.values():
        found[source.data["number"]] = torch.tensor(np.stack([source.data["x"], source.data["y"]], axis=1)).float()
    return found


def test_codes_of_two_dimensions_lie_where_they_are(explored: Explored) -> None:
    latent_map = LatentMap(explored["plane"])
    assert latent_map.across.options == ["z1", "z2"]
    assert torch.allclose(positions(latent_map), explored["plane"].posterior.mean, atol=1e-6)


def test_any_two_axes_can_be_chosen(explored: Explored) -> None:
    run = explored["mlp"]
    latent_map = LatentMap(run)
    assert latent_map.across.options[:2] == ["component 1", "component 2"] and len(latent_map.across.options) == 7
    assert latent_map.plot.xaxis[0].axis_label == "component 1"
    latent_map.across.value, latent_map.up.value = "z4", "z2"
    latent_map.set_plane()
    assert torch.allclose(positions(latent_map), run.posterior.mean[:, [3, 1]], atol=1e-6)
    assert latent_map.plot.yaxis[0].axis_label == "z2"


def test_a_single_dimension_is_a_line(explored: Explored) -> None:
    run = explored["vamp"]
    latent_map = LatentMap(run)
    assert not latent_map.up.visible
    assert torch.allclose(positions(latent_map)[:, 0], run.posterior.mean[:, 0], atol=1e-6)
    assert torch.allclose(latent_map.plane.moved(torch.zeros(1), torch.tensor([0.7, 5.0])), torch.tensor([0.7]))


@pytest.mark.parametrize("name", ["mlp", "plane", "vamp"])
def test_the_map_holds_all_codes_but_a_few_and_the_density_fills_it(explored: Explored, name: str) -> None:
    latent_map = LatentMap(explored[name])
    ranges = latent_map.plot.x_range, latent_map.plot.y_range
    for values, shown in zip(positions(latent_map).T, ranges, strict=True):
        inside = (values >= shown.start) & (values <= shown.end)
        assert inside.float().mean() > 0.95
    data = latent_map.density.data
    assert [data["x"][0], data["y"][0]] == pytest.approx([shown.start for shown in ranges])
    assert [data["width"][0], data["height"][0]] == pytest.approx([shown.end - shown.start for shown in ranges])
    assert data["image"][0].max() == 1


def test_the_density_of_a_standard_normal_prior_is_highest_at_zero(explored: Explored) -> None:
    latent_map = LatentMap(explored["plane"])
    image, data = latent_map.density.data["image"][0], latent_map.density.data
    row, column = np.unravel_index(image.argmax(), image.shape)
    x = data["x"][0] + data["width"][0] * column / (image.shape[1] - 1)
    y = data["y"][0] + data["height"][0] * row / (image.shape[0] - 1)
    assert abs(x) < 0.4 and abs(y) < 0.4


def test_every_class_has_its_colour_and_every_point_its_picture(explored: Explored) -> None:
    latent_map = LatentMap(explored["plane"])
    renderers = [r for r in latent_map.plot.renderers if r.data_source in latent_map.points.values()]
    assert [r.glyph.fill_color for r in renderers] == class_colours(10)
    assert [item.label.value for item in latent_map.plot.legend[0].items] == list("0123456789")
    source = latent_map.points[3]
    assert all(uri.startswith("data:image/png;base64,") for uri in source.data["picture"])
    assert set(explored["plane"].labels[source.data["number"]].tolist()) == {3}


def test_a_code_is_marked_and_a_line(explored: Explored) -> None:
    latent_map = LatentMap(explored["plane"])
    latent_map.mark(torch.tensor([0.5, -1.0]))
    assert latent_map.marker.data == {"x": [0.5], "y": [-1.0]} and latent_map.line.data == {"x": [], "y": []}
    latent_map.mark(torch.tensor([0.5, -1.0]), torch.tensor([[0.0, 0.0], [1.0, 2.0]]))
    assert latent_map.marker.data == {"x": [0.5], "y": [-1.0]}
    assert latent_map.line.data == {"x": [0.0, 1.0], "y": [0.0, 2.0]}


def test_where_it_is_pointed_at_is_reported(explored: Explored) -> None:
    latent_map, seen = LatentMap(explored["plane"]), []
    latent_map.on_move(lambda position: seen.append(position.tolist()))
    latent_map.pointer.data = {"x": [0.25], "y": [-0.5]}
    assert seen == [[0.25, -0.5]]
    assert set(EVENTS) == set(latent_map.plot.js_event_callbacks)
