import pytest

from mnist_vae.training.callbacks import EpochImages, Recorder


@pytest.mark.parametrize(("best_by", "best"), [("val/elbo", 1), ("val/loss", 2), ("last", 3)])
def test_the_best_epoch_is_told_by_what_the_objective_says(best_by: str, best: int, tmp_path) -> None:
    recorder = Recorder(tmp_path, best_by)
    for epoch, (elbo, loss) in enumerate([(-90.0, 120.0), (-95.0, 100.0), (-99.0, 110.0)], start=1):
        recorder.rows.append({"epoch": epoch, "val/elbo": elbo, "val/loss": loss})
    assert recorder.best["epoch"] == best


def test_the_best_epoch_has_the_highest_validation_elbo(tmp_path) -> None:
    recorder = Recorder(tmp_path)
    recorder.rows = [{"epoch": n, "val/elbo": elbo} for n, elbo in ((1, -120.0), (2, -100.0), (3, -110.0))]
    assert recorder.best["epoch"] == 2
    recorder.rows = [{"epoch": n, "train/loss": 1.0} for n in (1, 2)]
    assert recorder.best["epoch"] == 2


def test_its_state_survives_a_checkpoint(tmp_path) -> None:
    one, two = Recorder(tmp_path), Recorder(tmp_path)
    one.rows, one.stopped_early = [{"epoch": 1, "val/elbo": -1.0}], True
    two.load_state_dict(one.state_dict())
    assert two.rows == one.rows and two.stopped_early


def test_never_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="every_n_epochs is 0"):
        EpochImages(0)
