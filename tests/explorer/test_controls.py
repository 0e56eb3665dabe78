from bokeh.models import Slider

from mnist_vae.explorer.controls import button, on_change


def test_a_change_is_reported_with_the_new_value() -> None:
    slider, seen = Slider(start=0, end=1, value=0), []
    on_change(slider, "value", seen.append)
    slider.value = 0.5
    assert seen == [0.5]


def test_a_button_has_its_label_and_a_callback() -> None:
    made = button("press", "pressed", lambda: None)
    assert made.label == "press" and made.name == "pressed"
    assert made.subscribed_events == {"button_click"}
