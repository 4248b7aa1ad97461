"""A verifier that misbehaves as its text says; the pool's tests run it in worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from data.records import NumberReference, Outcome
from data.verifiers.contract import Judgement


def judge(reference: NumberReference, answer_text: str) -> Judgement:
    word, _, argument = answer_text.partition(" ")
    if word == "loop":
        while True:
            pass
    if word == "compute":
        while time.process_time() < float(argument):
            pass
    if word == "sleep":
        time.sleep(float(argument))
    if word == "child":
        subprocess.Popen(["sleep", argument])
        time.sleep(3600)
    if word == "hog":
        return Judgement(Outcome.RIGHT, str(len(bytearray(8 * 2**30))), "")
    if word == "swallow":
        hoard = []
        try:
            while True:
                hoard.append(bytearray(2**24))
        except MemoryError:
            hoard.clear()
        return Judgement(Outcome.WRONG, None, "a wrong result after memory ran out")
    if word == "exit":
        os._exit(int(argument))
    if word == "raise":
        raise ValueError(argument)
    if word == "print":
        sys.stdout.write("noise between the judgements\n")
        os.write(1, b"noise from a library\n")
    return Judgement(Outcome.RIGHT if answer_text == reference.value else Outcome.WRONG, answer_text, str(os.getpid()))
