"""The tool `fit_prior`: see mnist_vae.cli.commands.fit_prior, or `python scripts/fit_prior.py --help`."""

from mnist_vae.cli.commands.fit_prior import command

if __name__ == "__main__":
    command()
