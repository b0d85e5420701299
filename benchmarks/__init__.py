"""What canary-tui costs and how quick it is, beside what a user would pick instead.

Each benchmark is a module with ``measure(quick)``; ``python -m benchmarks`` runs them. Everything stays on
loopback, in temporary folders, and ends with the process.
"""
