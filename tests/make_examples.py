"""Remake the example bundles and the README's picture: `make profile`, after the profile was published again.

The examples' seeds are thrown away: nobody needs to open them, since the checkpoints lie beside them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parent.parent
BUNDLES = ROOT / "artifacts" / "bundles"
PICTURE = ROOT / "docs" / "fingerprints.png"
MODELS = ("base", "offspring", "independent")
COMPARED = ROOT / "artifacts" / "compared"  # base with the others, proven while the seeds are at hand
COMPARISONS = {  # file -> the other model, and what is asked beside the ICS
    "base-offspring.huref": ("offspring", ()),
    "base-independent.huref": ("independent", ()),
    "base-offspring-at-least.huref": ("offspring", ("--at-least", "0.9")),
}
FEED_FORWARD = ROOT / "artifacts" / "feedforward" / "base"  # base's last block on 8 activations of its own
LARGE = {"base-large.huref": "large-dev"}  # base once more, under another profile


def prove(model: str, target: Path, profile: str, secret: Path) -> None:
    """A shipped model's bundle."""
    command = [sys.executable, "-m", "prover.cli", "prove", f"artifacts/models/{model}", "-o", str(target)]
    options = ["--force", "--secret", str(secret), "--model-name", model, "--model-maker", "huref-zk"]
    subprocess.run([*command, *options, "--profile", profile], cwd=ROOT, check=True)


def compare(other: str, target: Path, secrets: Path, asked: tuple[str, ...] = ()) -> None:
    """The proven comparison of base and another of the shipped models."""
    command = [sys.executable, "-m", "prover.cli", "compare", "--force", "-o", str(target)]
    names = ("base", other)
    command += ["--prove", *(str(secrets / f"{name}.json") for name in names)]
    command += ["--weights", *(f"artifacts/models/{name}" for name in names)]
    subprocess.run([*command, *asked, *(str(BUNDLES / name) for name in names)], cwd=ROOT, check=True)


def feed_forward(secret: Path, scratch: Path) -> None:
    """The last block of base, on what enters it at the first 8 tokens of a sentence."""
    inputs = scratch / "x.npy"
    subprocess.run(
        [sys.executable, "-m", "fpm.activations", "artifacts/models/base", "-o", str(inputs)], cwd=ROOT, check=True
    )
    command = [sys.executable, "-m", "prover.cli", "feedforward", str(BUNDLES / "base"), "--force"]
    command += ["--weights", "artifacts/models/base", "--secret", str(secret), "--inputs", str(inputs)]
    subprocess.run([*command, "-o", str(FEED_FORWARD)], cwd=ROOT, check=True)


def main() -> None:
    """Prove the three shipped models, keep their bundles, and draw their pictures side by side."""
    with tempfile.TemporaryDirectory() as scratch:
        pictures = []
        for name in MODELS:
            target = BUNDLES / name
            prove(name, target, "tiny-dev", Path(scratch, "private", f"{name}.json"))
            pictures.append(
                Image.open(target / "fingerprint.png").convert("RGB").resize((256, 256), Image.Resampling.LANCZOS)
            )
        for name, (other, asked) in COMPARISONS.items():
            compare(other, COMPARED / name, Path(scratch, "private"), asked)
        feed_forward(Path(scratch, "private", "base.json"), Path(scratch))
        for name, profile in LARGE.items():
            prove("base", BUNDLES / name, profile, Path(scratch, "private", f"{name}.json"))
    sheet = Image.new("RGB", (3 * 256 + 4 * 16, 256 + 56), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(zip(MODELS, pictures, strict=True)):
        left = 16 + i * (256 + 16)
        sheet.paste(picture, (left, 16))
        draw.text((left + 128, 292), name, fill="black", anchor="mm", font_size=18)
    sheet.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
