from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mnist_vae.data.binarize import Binarize, binarize
from mnist_vae.data.datamodule import ImageDataModule
from mnist_vae.data.images import ImageArrays
from mnist_vae.utils.errors import SettingsError
from mnist_vae.utils.seeding import Noise


class Numbered:
    """40 training and 10 test images; the label is the image's number, and so is its first pixel."""

    def load(self) -> ImageArrays:
        def images(count: int) -> tuple[Tensor, Tensor]:
            pixels = torch.randint(0, 256, (count, 1, 3, 3), generator=torch.Generator().manual_seed(count))
            pixels[:, 0, 0, 0] = torch.arange(count)
            return pixels.to(torch.uint8), torch.arange(count)

        return ImageArrays(*images(40), *images(10))


def module(val_size: int = 8, how: Binarize = Binarize.none, batch_size: int = 7, seed: int = 0) -> ImageDataModule:
    return ImageDataModule(Numbered(), "numbered", val_size, how, batch_size, seed)


def epoch(data: ImageDataModule, number: int = 0) -> list[Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return [labels for _, labels in loader]


def test_an_epoch_sees_every_training_image_once_in_whole_batches() -> None:
    data = module()
    batches = epoch(data)
    assert [len(b) for b in batches] == [7, 7, 7, 7, 4] and len(data.train_dataloader()) == 5
    held_out = set(data.val_split[1].tolist())
    assert sorted(torch.cat(batches).tolist()) == sorted(set(range(40)) - held_out)
    assert len(held_out) == 8


def test_loaders_give_pairs_of_uint8_images_and_their_labels() -> None:
    data = module()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert isinstance(loader, DataLoader)
        for images, labels in loader:
            assert images.dtype == torch.uint8 and images.shape[1:] == data.image_shape == (1, 3, 3)
            assert torch.equal(images[:, 0, 0, 0].long(), labels)


@pytest.mark.parametrize("how", Binarize)
@pytest.mark.parametrize("training", [True, False])
def test_batches_on_the_device_are_floats_and_binarised_in_training(how: Binarize, training: bool) -> None:
    data = module(how=how)
    data.trainer = SimpleNamespace(training=training, global_rank=0, world_size=1)  # type: ignore[assignment]
    images, labels = next(iter(data.train_dataloader()))
    torch.manual_seed(0)
    batch = data.on_after_batch_transfer((images, labels), 0)
    pixels, same_labels = batch
    assert batch.total == 7 and same_labels is labels and pixels.dtype == torch.float32
    torch.manual_seed(0)
    expected = binarize(images / 255, how if training else Binarize.none, Noise(7))
    assert torch.equal(pixels, expected)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    first = torch.cat(epoch(module(), 3))
    assert torch.equal(first, torch.cat(epoch(module(), 3)))
    assert not torch.equal(first, torch.cat(epoch(module(), 4)))
    assert not torch.equal(first, torch.cat(epoch(module(seed=1), 3)))


def test_the_order_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    epoch(module())
    assert torch.equal(torch.rand(3), expected)


def test_the_same_images_are_held_out_for_every_seed() -> None:
    assert torch.equal(module(seed=0).val_split[1], module(seed=5).val_split[1])


@pytest.mark.parametrize("how", [Binarize.dynamic, Binarize.threshold])
def test_evaluation_images_are_binarised_once_for_everyone(how: Binarize) -> None:
    def bits(seed: int) -> Iterator[Tensor]:
        torch.manual_seed(seed)
        data = module(how=how, seed=seed)
        return (split[0] for split in (data.val_split, data.test_split))

    for one, two in zip(bits(0), bits(1), strict=True):
        assert torch.equal(one, two)
        assert set(one.unique().tolist()) == {0, 255}
    assert module(how=how).train_split[0].unique().numel() > 2


def test_nothing_held_out_means_no_validation() -> None:
    data = module(val_size=0)
    assert data.val_dataloader() == [] and len(data.train_split[0]) == 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"val_size": 40}, "data.val_size=40: numbered has 40 training images"),
        ({"batch_size": 33}, "batch_size=33: the training split of numbered has 32"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        module(**arguments)  # type: ignore[arg-type]


def test_sizes_that_just_fit_are_accepted() -> None:
    assert len(module(val_size=39, batch_size=1).train_split[0]) == 1
    assert [len(labels) for labels in epoch(module(val_size=8, batch_size=32))] == [32]
