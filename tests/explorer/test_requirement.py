from mnist_vae.explorer.requirement import require_bokeh


def test_with_bokeh_there_is_nothing_to_say() -> None:
    assert require_bokeh() is None
