import pytest

from mnist_vae.training import schedules


def test_the_iwae_papers_stages() -> None:
    ends = [1, 4, 13, 40, 121, 364, 1093, 3280]  # Burda et al. (2016), section 5: 3^i epochs each
    for stage, end in enumerate(ends):
        assert schedules.iwae(end - 1e-6) == pytest.approx(10 ** (-stage / 7))
    assert [schedules.iwae(end) for end in ends[:2]] == pytest.approx([10 ** (-1 / 7), 10 ** (-2 / 7)])
    assert schedules.iwae(5000) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.0), (1, 0.5), (2, 1.0), (6, 0.1 + 0.9 / 2), (10, 0.1), (11, 0.1)],
)
def test_cosine_rises_falls_and_stays(epoch: float, expected: float) -> None:
    assert schedules.cosine(epoch, max_epochs=10, warmup=0.2, final=0.1) == pytest.approx(expected)


def test_without_a_warm_up_it_starts_at_lr() -> None:
    assert schedules.cosine(0, max_epochs=3) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"warmup": 1}, "warmup is 1"), ({"warmup": -1}, "-1"), ({"final": 1.5}, "final is 1.5")],
)
def test_bad_arguments_are_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedules.cosine(0, 3, **arguments)
