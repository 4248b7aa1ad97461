"""Compressors: from right long traces to short ones, one file each, behind one contract (`contract.py`), by name in `registry.py`."""
