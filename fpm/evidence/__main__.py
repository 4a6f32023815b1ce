"""`python -m fpm.evidence`: `huref evaluate` in a checkout that is not installed."""

from fpm.evidence.cli import evaluate

if __name__ == "__main__":
    evaluate(prog_name="python -m fpm.evidence")
