"""`python -m npeg` is the `npeg` command."""

from npeg.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
