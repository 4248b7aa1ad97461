"""A sandbox for programs that nobody has read: `run` is the entry.

    run (the verifier's process) ─ jail (outermost, sets up the layers) ─ trial: the tests ─ trial: the program

Tests and program are two processes. The program's gets nothing but its own text and the arguments of the calls that the tests make;
what it sends back is data, or a handle on an object that stays where it is (`crossing`). So it has no verdict to forge, no assert to
patch, no frame to climb and no object that equals everything.
"""
