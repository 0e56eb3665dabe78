"""The package that the explorer needs beside those of every run."""

from mnist_vae.utils.errors import SettingsError


def require_bokeh() -> None:
    """Check that Bokeh is installed.

    Raises:
        SettingsError: it is not.
    """
    try:
        import bokeh  # noqa: F401
    except ImportError as error:
        raise SettingsError(
            'explore needs bokeh, which is not installed; install it by: pip install -e ".[explore]"'
        ) from error
