"""The tool `explore`: see mnist_vae.cli.commands.explore, or `python scripts/explore.py --help`."""

from mnist_vae.cli.commands.explore import command

if __name__ == "__main__":
    command()
