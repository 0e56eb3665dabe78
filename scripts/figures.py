"""The tool `figures`: see mnist_vae.cli.commands.figures, or `python scripts/figures.py --help`."""

from mnist_vae.cli.commands.figures import command

if __name__ == "__main__":
    command()
