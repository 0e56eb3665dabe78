from pathlib import Path

import pytest
import torch

from mnist_vae.analysis import nll
from mnist_vae.analysis.importance_sampling import ImportanceWeights, importance_weights, iter_log_sums
from mnist_vae.analysis.nll import resumable_weights
from mnist_vae.data.batches import EVALUATION_SEED
from mnist_vae.data.images import to_unit
from mnist_vae.runs.load import OpenRun, open_run


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
    assert torch.equal(again.log_sum, whole.log_sum) and torch.equal(again.log_sum_squares, whole.log_sum_squares)
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


@pytest.mark.parametrize("other", ["weights", "images", "labels", "damage"])
def test_a_file_of_other_inputs_or_a_damaged_one_is_not_resumed(
    runs: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    run, file = open_run(runs / "mlp"), runs / "mlp" / "nll_30.npz"
    images, labels = run.data().fixed("test")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(nll, "tqdm", FakeInterruptedTqdm(9))
        weights_of(run)
    if other == "weights":
        with torch.no_grad():
            run.vae.decoder[0].bias[0] += 0.01
    elif other == "damage":
        file.write_bytes(file.read_bytes()[:100])
    else:
        images, labels = (255 - images, labels) if other == "images" else (images, labels.flip(0))
    got = resumable_weights(run, images, labels, 30)
    expected = importance_weights(run.vae, to_unit(images), labels, 30, EVALUATION_SEED)
    assert torch.equal(got.log_sum, expected.log_sum)
