"""Real servers and honest fakes, on loopback, for the tests and the benchmarks.

Each server is a plain class with a context manager; none of them needs pytest (only :mod:`needs` does).
Linux only: processes are looked up in ``/proc`` and die with their parent (``PR_SET_PDEATHSIG``).
"""
