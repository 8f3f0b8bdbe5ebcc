"""`python -m rim`: the same as `rim`."""

from rim.cli import main

if __name__ == "__main__":
    main()
