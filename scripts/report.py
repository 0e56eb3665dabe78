"""The tool `report`: see mnist_vae.cli.commands.report, or `python scripts/report.py --help`."""

from mnist_vae.cli.commands.report import command

if __name__ == "__main__":
    command()
