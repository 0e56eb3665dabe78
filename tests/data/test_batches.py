import pytest
import torch

from mnist_vae.data.batches import Batch, ImageDataset, SeededShuffle


def test_a_batch_unpacks_to_images_and_labels_and_knows_the_size_of_the_whole() -> None:
    given = torch.zeros(3, 1, 2, 2), torch.arange(3)
    batch = Batch(*given, total=7)
    images, labels = batch
    assert images is given[0] and labels is given[1] and batch.total == 7


def test_a_dataset_gives_single_images_and_whole_batches() -> None:
    dataset = ImageDataset(torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), torch.arange(10))
    image, label = dataset[3]
    assert len(dataset) == 10 and image.shape == (1, 1, 1) and image == label == 3
    images, labels = dataset.__getitems__([9, 0, 4])
    assert images.flatten().tolist() == labels.tolist() == [9, 0, 4] and images.dtype == torch.uint8


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_out_each_batch(world_size: int) -> None:
    images, labels = torch.zeros(10, 1, 2, 2, dtype=torch.uint8), torch.arange(10)
    for indices in ([3, 1, 2, 9], [0, 5], [7]):
        shares = [ImageDataset(images, labels, rank, world_size).__getitems__(indices) for rank in range(world_size)]
        assert all(total == len(indices) for _, _, total in shares)
        assert sorted(torch.cat([labels for _, labels, _ in shares]).tolist()) == sorted(indices)


def test_an_epoch_set_after_the_iterator_was_made_counts() -> None:
    sampler = SeededShuffle(40, seed=0)
    indices = iter(sampler)
    sampler.set_epoch(5)
    assert list(indices) == list(sampler) != list(range(40))
