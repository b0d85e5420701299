"""The tests of canary-tui."""
