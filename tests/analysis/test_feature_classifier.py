import os
from pathlib import Path

import pytest
import torch

from mnist_vae.analysis import feature_classifier as module
from mnist_vae.analysis.feature_classifier import FEATURES, FeatureClassifier, Split, cache_folder, feature_classifier
from mnist_vae.utils.errors import UnwritableError


def stripes(count: int, seed: int) -> Split:
    """Noise with a white row at the place of the label, of three."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 100, (count, 1, 10, 6), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 3
    images[torch.arange(count), 0, 3 * labels] = 255
    return images, labels


TRAIN, TEST = stripes(60, 0), stripes(30, 1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "STEPS", 40)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def kept_file() -> Path:
    (file,) = cache_folder().glob("*.pt")
    return file


def test_it_learns_and_its_features_are_what_the_logits_are_computed_from() -> None:
    classifier, accuracy = feature_classifier(TRAIN, TEST, 3)
    assert accuracy > 0.9
    features = classifier.features(TEST[0])
    assert features.shape == (30, FEATURES) and features.dtype == torch.float64 and features.std() > 0
    torch.testing.assert_close(classifier.logits(features.float()), classifier(TEST[0] / 255))
    torch.testing.assert_close(classifier.features(TEST[0] / 255), features)
    assert (classifier(TEST[0] / 255).argmax(dim=1) == TEST[1]).double().mean() == accuracy


def test_it_is_trained_once_and_is_the_same_when_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    state = torch.get_rng_state()
    first = feature_classifier(TRAIN, TEST, 3)
    assert torch.equal(torch.get_rng_state(), state)  # the noise of whoever calls does not depend on it
    kept_file().unlink()
    assert feature_classifier(TRAIN, TEST, 3).name == first.name
    monkeypatch.setattr(module, "_train", None)
    again = feature_classifier(TRAIN, TEST, 3)
    assert again.name == first.name and again.accuracy == first.accuracy


def test_other_images_and_other_settings_have_another_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {feature_classifier(train, TEST, 3).name for train in (TRAIN, stripes(60, 2))}
    monkeypatch.setattr(module, "STEPS", 41)
    names.add(feature_classifier(TRAIN, TEST, 3).name)
    assert len(names) == 3 == len([*cache_folder().glob("*.pt")])


@pytest.mark.parametrize("damage", ["cut", "foreign", "weights", "other images"])
def test_a_file_that_is_damaged_or_anothers_is_replaced(damage: str) -> None:
    first = feature_classifier(TRAIN, TEST, 3)
    file = kept_file()
    content = torch.load(file, weights_only=True)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        torch.save([1, 2], file)
    elif damage == "weights":
        torch.save(content | {"weights": FeatureClassifier((1, 10, 6), 4).state_dict()}, file)
    else:
        torch.save(content | {"made_of": "0" * 64, "accuracy": 0.0}, file)
    again = feature_classifier(TRAIN, TEST, 3)
    assert (again.name, again.accuracy) == (first.name, first.accuracy)
    assert torch.load(file, weights_only=True)["accuracy"] == first.accuracy


def test_without_a_place_to_keep_it_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    monkeypatch.setattr(module, "_train", None)
    with pytest.raises(UnwritableError, match=r"cache/mnist-vae.* choose another folder by XDG_CACHE_HOME=…"):
        feature_classifier(TRAIN, TEST, 3)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_one_that_is_kept_can_be_read_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    first = feature_classifier(TRAIN, TEST, 3)
    for file in cache_folder().glob("*.lock"):
        file.unlink()
    cache_folder().chmod(0o500)
    assert feature_classifier(TRAIN, TEST, 3).name == first.name


def test_the_cache_is_in_the_users_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mnist-vae"
