"""A verifier module that cannot be imported."""

raise ImportError("a package that is not there")
