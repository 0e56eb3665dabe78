"""The tool `board`: see mnist_vae.cli.commands.board, or `python scripts/board.py --help`."""

from mnist_vae.cli.commands.board import command

if __name__ == "__main__":
    command()
