from mnist_vae import figures

TERMS = ("elbo", "reconstruction", "kl")


def rows(*shifts: tuple[str, float]) -> list[dict[str, float]]:
    return [{"epoch": n, **{f"{split}/{term}": n + by for term in TERMS for split, by in shifts}} for n in (1, 2, 3)]


def lines(axis) -> dict[str, list[float]]:
    return {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()}


def test_each_term_has_a_panel_with_every_split() -> None:
    test = {"test/elbo": 5.0, "test/reconstruction": 6.0, "test/kl": 7.0, "best_epoch": 2}
    figure = figures.curves(rows(("train", 10), ("val", 11)), test, "title")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["ELBO", "reconstruction", "KL"]
    for axis, value in zip(figure.axes, (5.0, 6.0, 7.0), strict=True):
        assert lines(axis) == {"train": [11, 12, 13], "val": [12, 13, 14], "test": [value]}
        assert list(axis.get_lines()[2].get_xdata()) == [2]


def test_validation_and_test_may_be_missing() -> None:
    for epochs in (3, 1):
        for axis in figures.curves(rows(("train", 10))[:epochs]).axes:
            assert list(lines(axis)) == ["train"]


def test_a_single_epoch_has_whole_numbers_on_its_axis() -> None:
    figure = figures.curves(rows(("train", 10))[:1])
    figure.canvas.draw()
    for axis in figure.axes:
        assert {tick.get_text() for tick in axis.get_xticklabels()} <= {"0", "1", "2"}
