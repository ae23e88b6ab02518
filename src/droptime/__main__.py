"""``python -m droptime`` is the command ``droptime``."""

from droptime.cli import main

if __name__ == "__main__":
    main()
