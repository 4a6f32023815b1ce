"""`huref generator`: an entry point of the group `huref.commands` (pyproject.toml). Torch loads when a command runs."""

from __future__ import annotations

from pathlib import Path

import click

from circuits.command_group import CommandGroup
from circuits.digests import sha256_file, write_atomically
from circuits.errors import UsageError
from circuits.printing import say


@click.group(cls=CommandGroup)
def generator() -> None:
    """The picture's generator."""


@generator.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="ONNX file to write.")
@click.option(
    "--psi",
    default=1.0,
    show_default=True,
    help="Truncation, above 0 to 1. Below 1: cleaner pictures, nearer to each other, so harder to tell apart.",
)
def import_checkpoint(checkpoint: Path, output: Path, psi: float) -> None:
    """Turn an official StyleGAN2-ADA PyTorch CHECKPOINT (.pkl) into a generator for a profile.

    The pickle is read as data: no code in it runs. Noise inputs are off, so that one z is one picture.
    """
    try:
        from fpm.stylegan2_ada import import_generator
    except ModuleNotFoundError as missing:
        raise UsageError(
            f"huref generator needs {missing.name}, which is not installed: it needs the fpm extra",
            step="import generator",
            hint="pip install 'huref-zk[fpm]'",
        ) from None
    write_atomically(output, import_generator(checkpoint, psi))
    say(f"{output} {sha256_file(output)}")


if __name__ == "__main__":  # in a checkout that is not installed
    generator(prog_name="python -m fpm.generator_cli")
