import io
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mnist_vae.analysis import nll
from mnist_vae.analysis.importance_sampling import ImportanceWeights, importance_weights, iter_log_sums
from mnist_vae.analysis.nll import finished_weights, resumable_weights
from mnist_vae.data.batches import EVALUATION_SEED
from mnist_vae.runs.load import OpenRun, open_run
from mnist_vae.utils.pixels import to_unit


class FakeInterruptedTqdm:
    """Fake tqdm that raises KeyboardInterrupt after a number of images."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, todo, *args, **kwargs):
        stopper = self

        class Bar:
            def __iter__(self):
                for done, value in enumerate(todo):
                    if done == stopper.after:
                        raise KeyboardInterrupt
                    yield value

            def close(self) -> None:
                pass

        return Bar()


def weights_of(run: OpenRun, samples: int = 30) -> ImportanceWeights:
    return resumable_weights(run, *run.data().fixed("test"), samples)


@pytest.mark.parametrize("stops", [(100,), (1, 150, 0)])
def test_an_interrupted_estimate_is_resumed_exactly(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stops: tuple[int, ...]
) -> None:
    run, file = open_run(runs / "mlp"), runs / "mlp" / "nll_30.npz"
    whole = weights_of(run)
    file.unlink()
    for after in stops:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(nll, "tqdm", FakeInterruptedTqdm(after))
            weights_of(run)
    count = sum(stops)
    estimate = -whole.log_likelihood[:count].mean().item()
    message = capsys.readouterr().err
    assert f"the NLL of the first {count} of 297 images is {estimate:.3f} nats" in message and str(file) in message
    assert file.exists()
    resumed = []
    monkeypatch.setattr(nll, "iter_log_sums", lambda *args, **kw: resumed.append(kw) or iter_log_sums(*args, **kw))
    again = weights_of(run)
    assert all(torch.equal(one, other) for one, other in zip(again[1:], whole[1:], strict=True))
    assert resumed == [{"start": count}]
    assert torch.equal(weights_of(run).log_sum, whole.log_sum) and resumed[1:] == [{"start": 297}]


def test_an_interruption_before_the_first_image_leaves_no_file(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted((runs / "mlp").iterdir())
    monkeypatch.setattr(nll, "tqdm", FakeInterruptedTqdm(0))
    with pytest.raises(KeyboardInterrupt):
        weights_of(open_run(runs / "mlp"))
    assert sorted((runs / "mlp").iterdir()) == before


def test_finished_images_are_saved_at_intervals(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(nll, "SAVE_SECONDS", -1)
    monkeypatch.setattr(nll, "_write", lambda file, made_of, done: written.append(len(done)))
    weights_of(open_run(runs / "mlp"), samples=2)
    assert written == [*range(1, 298), 297]


@pytest.mark.parametrize("other", ["weights", "images", "labels"])
def test_a_file_of_other_inputs_is_not_resumed(runs: Path, monkeypatch: pytest.MonkeyPatch, other: str) -> None:
    run = open_run(runs / "mlp")
    images, labels = run.data().fixed("test")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(nll, "tqdm", FakeInterruptedTqdm(9))
        weights_of(run)
    if other == "weights":
        with torch.no_grad():
            run.vae.decoder[0].bias[0] += 0.01
    else:
        images, labels = (255 - images, labels) if other == "images" else (images, labels.flip(0))
    got = resumable_weights(run, images, labels, 30)
    expected = importance_weights(run.vae, to_unit(images), labels, 30, EVALUATION_SEED)
    assert torch.equal(got.log_sum, expected.log_sum)


COUNT = 7
SUMS = np.zeros((COUNT, 3))


def stored(file: Path, sums: np.ndarray = SUMS, digest: str = "a" * 64, compression: int = zipfile.ZIP_STORED) -> None:
    """Write what `_write` would, with any array and compression."""
    with zipfile.ZipFile(file, "w", compression) as written:
        for name, values in (("made_of", np.array(digest)), ("sums", sums)):
            content = io.BytesIO()
            np.save(content, values, allow_pickle=True)
            written.writestr(f"{name}.npy", content.getvalue())


def bytes_of(file: Path, change: Callable[[bytes], bytes]) -> None:
    stored(file)
    content = file.read_bytes()
    assert change(content) != content
    file.write_bytes(change(content))


def with_header(file: Path, shape: tuple[int, ...]) -> None:
    """An array whose header claims that shape, with a right checksum."""
    with zipfile.ZipFile(file, "w") as written, io.BytesIO() as head, io.BytesIO() as digest:
        np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": shape})
        np.save(digest, np.array("a" * 64))
        written.writestr("made_of.npy", digest.getvalue())
        written.writestr("sums.npy", head.getvalue() + bytes(24 * COUNT))


def npy(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, SUMS)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": Path.touch,
    "truncated": partial(bytes_of, change=lambda content: content[:300]),
    "a wrong checksum": partial(bytes_of, change=lambda content: content.replace(bytes(16), b"\1" * 16, 1)),
    "an unknown compression": partial(
        bytes_of, change=lambda content: content.replace(b"PK\1\2\x14\3\x14\0\0\0\0\0", b"PK\1\2\x14\3\x14\0\0\0\x63\0")
    ),
    "encrypted": partial(
        bytes_of, change=lambda content: content.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
    ),
    "an array without a zip": npy,
    "compressed": partial(stored, compression=zipfile.ZIP_DEFLATED),
    "a header of 10^13 values": partial(with_header, shape=(10**13 // 3, 3)),
    "a header of 10^9 values": partial(with_header, shape=(10**9 // 3, 3)),
    "a header of negative size": partial(with_header, shape=(-1, 3)),
    "more images": partial(stored, sums=np.zeros((COUNT + 1, 3))),
    "of the first version, with two sums": partial(stored, sums=np.zeros((COUNT, 2))),
    "four sums": partial(stored, sums=np.zeros((COUNT, 4))),
    "one dimension": partial(stored, sums=np.zeros(3 * COUNT)),
    "objects": partial(stored, sums=np.array([[SimpleNamespace(), 1, 1]] * COUNT)),
    "floats of 32 bits": partial(stored, sums=SUMS.astype(np.float32)),
    "another digest": partial(stored, digest="b" * 64),
    "a longer digest": partial(stored, digest="a" * 65),
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_counts_as_absent(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "nll_30.npz"
    stored(file)
    assert len(nll._read(file, "a" * 64, COUNT)) == COUNT
    file.unlink()
    DAMAGES[damage](file)
    tracemalloc.start()
    assert nll._read(file, "a" * 64, COUNT) == []
    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # what a header claims is not allocated
    tracemalloc.stop()


def test_a_damaged_file_is_replaced_and_not_taken_as_finished(runs: Path) -> None:
    run, file = open_run(runs / "mlp"), runs / "mlp" / "nll_2.npz"
    images, labels = run.data().fixed("test")
    whole = weights_of(run, 2)
    with_header(file, (10**13, 3))
    for name in ("nll_0.npz", "nll_x.npz", "nll_2_last.npz", f"nll_{'9' * 100}.npz"):
        (file.parent / name).touch()
    assert finished_weights(run, images, labels) is None
    assert torch.equal(weights_of(run, 2).log_sum, whole.log_sum)
    finished = finished_weights(run, images, labels)
    assert finished is not None and torch.equal(finished.log_sum, whole.log_sum)
