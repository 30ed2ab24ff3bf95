"""`python -m fairgen`: the same as the `fairgen` command."""

from fairgen.cli import main

if __name__ == "__main__":
    main()
