"""Which published profile a checkpoint is proven under: the one that is named, or the smallest that admits it.

Profiles under the public ceremony's SRS come before those under a development one, whose bundles are undecided.
A profile admits a model whose longest vector fits its size class, whose family it lists, and whose six c_t are in its
range. Profiles that share projection, tokens and fingerprinting model give the same terms, and so comparable pictures.
"""

from __future__ import annotations

from pathlib import Path

from circuits.errors import CheckpointError, UsageError
from circuits.profiles import Profile, load_profile, published
from circuits.size_classes import TERM_COUNT, smallest_class_for
from prover.checkpoint.family import Shape
from prover.checkpoint.tensors import open_checkpoint
from prover.terms.terms import FingerprintInput, TermRules, load_fingerprint_input, scale_integers


def longest_vector(shape: Shape, g: int) -> int:
    """max(d, every e_t, 6 g^2): entries of the longest committed vector."""
    return max(shape.hidden_size, shape.heads * shape.head_dim, shape.intermediate_size, TERM_COUNT * g**2)


def check_size(profile: Profile, shape: Shape) -> None:
    """UsageError, naming a profile that would do, unless the model fits the profile's size class."""
    longest = longest_vector(shape, profile.g)
    if longest <= profile.size.data_length:
        return
    needed = smallest_class_for(longest)
    larger = [name for name in published() if load_profile(name).size.data_length >= longest]
    raise UsageError(
        f"config.json: a vector of {longest} entries does not fit size class {profile.size.name} of profile "
        f"{profile.name}, which holds {profile.size.data_length}",
        step="size class",
        hint=f"--profile {larger[0]}"
        if larger
        else f"class {needed.name} would do, and no profile of that size is published (huref circuits list)",
    )


def scale_of(profile: Profile, source: FingerprintInput) -> tuple[int, ...]:
    """The six c_t under the profile; CheckpointError when one is out of its range."""
    return scale_integers(source.terms, profile.g, profile.shift, int(profile.document["scale"]["c_min"]))


def read_for_profile(path: Path, name: str | None) -> tuple[Profile, FingerprintInput]:
    """The profile called `name`, or without one the first published that admits it, and the checkpoint read.

    Sizes are checked before any weight is read. Raises UsageError and CheckpointError; when no profile admits the
    model, what the last one said.
    """
    shape = open_checkpoint(path).shape
    refusal: UsageError | CheckpointError = UsageError("no profile is published", step="profile", hint="reinstall")
    source: FingerprintInput | None = None
    rules: TermRules | None = None
    for one in published() if name is None else [name]:
        profile = load_profile(one)
        try:
            check_size(profile, shape)
        except UsageError as error:
            refusal = error
            continue
        wanted = TermRules.of_profile(profile.document)
        if source is None or rules != wanted:
            source, rules = load_fingerprint_input(path, wanted), wanted
        try:
            scale_of(profile, source)
        except CheckpointError as error:
            refusal = error
            continue
        return profile, source
    raise refusal
