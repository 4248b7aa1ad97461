"""Verifiers: is a text's answer right? `data.verifiers.judge` is the one entry; a verifier is one file with `NAME`, `VERSION`, `judge`."""
