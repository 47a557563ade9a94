"""The Arrow Flight SQL server of NeuroLake: a client of `neurolake`'s public interface.

This package is not `pyarrow.flight`, which is imported as `paflight` throughout.
"""
