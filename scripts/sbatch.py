"""The tool `sbatch`: see mnist_vae.cli.commands.sbatch, or `python scripts/sbatch.py --help`."""

from mnist_vae.cli.commands.sbatch import command

if __name__ == "__main__":
    command()
