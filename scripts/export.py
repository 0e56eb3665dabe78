"""The tool `export`: see mnist_vae.cli.commands.export, or `python scripts/export.py --help`."""

from mnist_vae.cli.commands.export import command

if __name__ == "__main__":
    command()
