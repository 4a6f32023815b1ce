"""`python -m fpm.checkpoints`: train the shipped models and write artifacts/models/."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from fpm.checkpoints.text import standard_library_text, token_stream, train_tokenizer
from fpm.checkpoints.train import RUNS, new_model, train

RECORD = "run.json"


def main() -> None:
    """Train the runs asked for (all of them by default), then draw the loss curves."""
    parser = argparse.ArgumentParser(prog="python -m fpm.checkpoints", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/models"), help="folder to write to")
    parser.add_argument("--only", nargs="*", default=[run.name for run in RUNS], help="names of runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pretraining, finetuning = standard_library_text()
    tokenizer = train_tokenizer(pretraining)
    texts = {"pretraining": pretraining, "fine-tuning": finetuning}
    for run in RUNS:
        if run.name not in arguments.only:
            continue
        stream = torch.tensor(token_stream(texts[run.text], tokenizer), dtype=torch.int64)
        model = new_model(run.init_seed)
        if run.start_from:
            model.load_state_dict(load_file(arguments.out / run.start_from / "model.safetensors"))
        record = train(model, run, stream)
        _save(model, arguments.out / run.name)
        tokenizer.save(str(arguments.out / run.name / "tokenizer.json"))
        (arguments.out / run.name / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    _draw(arguments.out)


def _save(model: LlamaForCausalLM, folder: Path) -> None:
    """config.json and model.safetensors in bfloat16, nothing else."""
    model.bfloat16().save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)


def _draw(folder: Path) -> None:
    """loss.png: held-out (line) and training loss (dots) of every run that has a record."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    for run in RUNS:
        file = folder / run.name / RECORD
        if not file.exists():
            continue
        record: dict[str, Any] = json.loads(file.read_text("utf-8"))
        steps = [point["step"] for point in record["loss"]]
        (line,) = axes.plot(steps, [point["held_out"] for point in record["loss"]], label=f"{run.name}, held out")
        axes.plot(steps, [point["training"] for point in record["loss"]], ".", color=line.get_color(), alpha=0.5)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats a token)")
    axes.set_title("Shipped models: held-out loss (lines), training loss (dots)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(folder / "loss.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
