"""``python -m canary_tui`` is ``canary``."""

from canary_tui.cli.main import main

if __name__ == "__main__":
    main()
