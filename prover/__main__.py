"""`python -m prover` is `huref`."""

from prover.cli import main

if __name__ == "__main__":
    main()
