"""The tool `generate`: see mnist_vae.cli.commands.generate, or `python scripts/generate.py --help`."""

from mnist_vae.cli.commands.generate import command

if __name__ == "__main__":
    command()
