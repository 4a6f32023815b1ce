"""`huref feedforward`: prove that a block's feed-forward part takes public inputs to public outputs. Thin."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from pathlib import Path

import click

from circuits.activations import load_activation_circuit
from circuits.command_group import ResumingCommand
from circuits.errors import BundleError
from circuits.printing import say
from circuits.profiles import load_profile
from prover.commitments.jobs import job
from prover.fingerprint import artefact as bundles
from prover.fingerprint import secret as secret_files
from prover.fingerprint.own_verifier import verify_with_own_command
from prover.fingerprint.reader import read_rows
from prover.inference.block import read_block, read_inputs
from prover.inference.fixed_point import quantized_inputs, real_outputs
from prover.inference.prove import FeedForwardProver
from prover.progress import Progress

_PATH = click.Path(path_type=Path)


@click.command("feedforward", cls=ResumingCommand)
@click.argument("bundle", metavar="BUNDLE", type=_PATH)
@click.option("--weights", "checkpoint", type=_PATH, required=True, metavar="DIR", help="The bundle's checkpoint.")
@click.option("--secret", "secret_path", type=_PATH, required=True, metavar="FILE", help="Its secret file.")
@click.option(
    "--inputs",
    type=_PATH,
    required=True,
    metavar="FILE.npy",
    help="What enters the block's norm, a row each: numpy's format, floating point [T, d].",
)
@click.option("--layer", type=int, help="The block. Default: the last one, of the two that a bundle commits to.")
@click.option(
    "-o",
    "--output",
    "target",
    type=_PATH,
    required=True,
    metavar="PROOF",
    help="What to write, a folder, or an archive if it ends in .zip or .huref.",
)
@click.option("--force", is_flag=True, help="Replace an existing proof.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def feedforward(
    bundle: Path,
    checkpoint: Path,
    secret_path: Path,
    inputs: Path,
    layer: int | None,
    target: Path,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Prove that a block's feed-forward part takes public inputs to public outputs, on the rows BUNDLE commits to.

    The first piece of an inference proof. A killed run resumes where it was when it is started again with the same
    arguments; `huref-verify PROOF BUNDLE` verifies the result.
    """
    start = time.monotonic()
    progress = Progress.silent() if quiet else Progress.on_stderr()
    bundles.check_target(target, force, "feedforward.json")
    secret_files.refuse_beside(secret_path, target)
    committed = read_rows(bundle)
    profile = load_profile(committed.profile_name)
    circuit = load_activation_circuit(profile)
    secret = secret_files.read(secret_path)
    if secret.cm and secret.cm != committed.cm:
        raise BundleError(
            f"{secret_path}: field cm is not that of the bundle {bundle}",
            step="secret",
            hint="give the bundle, the checkpoint and the secret that belong together",
        )
    block = read_block(checkpoint, layer, circuit.scale)
    x = quantized_inputs(read_inputs(inputs))
    public = [bytes.fromhex(one) for one in (circuit.sha256, profile.sha256, committed.cm, committed.statement_sha256)]
    with job(b"feedforward", *public, f"{block.layer} {x}".encode(), secret.seed) as work:
        session = work.part("session", lambda: secrets.token_bytes(32))
        made = FeedForwardProver(profile, circuit, block, committed, secret.seed, x, session, work, progress).run()
        with progress.timed("verify"):
            bundles.write(made.files, target, accept=partial(_verify, bundle=bundle))
    seconds, size = time.monotonic() - start, sum(len(data) for data in made.files.values())
    outputs = real_outputs(made.y, block.scale[2], circuit.scale)
    if as_json:
        report = {
            "feed_forward": str(target),
            "layer": block.layer,
            "activations": len(x),
            "commitment": committed.cm,
            "gate_commitment": made.gate_sha256,
            "outputs": outputs.tolist(),
            "seconds": round(seconds, 2),
            "bytes": size,
        }
        say(json.dumps(report, sort_keys=True))
        return
    rms = float((outputs**2).mean() ** 0.5)
    say(f"proof       {target} ({size / 1000:.0f} kB), verified by huref-verify")
    say(f"block       {block.layer}: {len(x)} activations, outputs of root mean square {rms:.4f}")
    say(f"commitment  {committed.cm}")
    say(f"gate        {made.gate_sha256}")
    say(f"time        {seconds:.0f} s")


def _verify(proof: Path, bundle: Path) -> None:
    verify_with_own_command(proof, bundle)
