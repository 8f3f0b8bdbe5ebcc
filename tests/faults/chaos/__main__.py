"""`python -m tests.faults.chaos`."""

from tests.faults.chaos.main import main

if __name__ == "__main__":
    raise SystemExit(main())
