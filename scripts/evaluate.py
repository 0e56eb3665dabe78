"""The tool `evaluate`: see mnist_vae.cli.commands.evaluate, or `python scripts/evaluate.py --help`."""

from mnist_vae.cli.commands.evaluate import command

if __name__ == "__main__":
    command()
