"""The tool `encode`: see mnist_vae.cli.commands.encode, or `python scripts/encode.py --help`."""

from mnist_vae.cli.commands.encode import command

if __name__ == "__main__":
    command()
