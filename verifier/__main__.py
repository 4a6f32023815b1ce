"""`python -m verifier` is `huref-verify`."""

from verifier.cli import main

if __name__ == "__main__":
    main(prog_name="huref-verify")
