import pytest

from mnist_vae.utils.errors import (
    DataError,
    RunFolderError,
    SettingsError,
    TrainingDiverged,
    UserError,
    first_line,
    unknown_key,
)


@pytest.mark.parametrize("kind", [DataError, RunFolderError, SettingsError, TrainingDiverged])
def test_every_error_is_a_user_error(kind: type[Exception]) -> None:
    assert issubclass(kind, UserError)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("modle", "model"), ("trainer.max_epoch", "trainer.max_epochs"), ("trainer.accelerate", "trainer.accelerator")],
)
def test_an_unknown_key_suggests_the_most_similar_one(key: str, suggestion: str) -> None:
    known = ["model", "objective", "trainer.max_epochs", "trainer.accelerator"]
    assert unknown_key(key, known) == f"{key}: there is no such key; did you mean {suggestion}?"


def test_a_common_prefix_does_not_make_keys_similar() -> None:
    known = ["trainer.max_epochs", "trainer.precision"]
    assert unknown_key("trainer.zzz", known) == (
        "trainer.zzz: there is no such key; there are trainer.max_epochs, trainer.precision."
    )
    assert unknown_key("zzz", []) == "zzz: there is no such key; there are none here."


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (RuntimeError("\x1b[31mred\x1b[0m and plain"), "red and plain"),
        (KeyError(), "KeyError"),
        (ValueError("\nsecond"), "ValueError"),
        (RuntimeError("Error(s) in loading:\n\tsize mismatch\n\tmore"), "Error(s) in loading: size mismatch"),
        (ValueError("alone:"), "alone:"),
        (ValueError("a\x1b]0;title\x07b\tc\u202ed\udcff"), "a ]0;title b c d "),
    ],
)
def test_first_line_of_a_message(error: Exception, line: str) -> None:
    assert first_line(error) == line
