"""What encoders in this process must not do to it."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def scheduling_kept() -> Iterator[None]:
    """How this thread is scheduled stays as it was; also a decorator.

    SVT-AV1, where it may (as root), leaves the thread that called it a real-time one. All threads and processes that
    it begins later would be so too, and hardly anything else on the machine would get to run.
    """
    if not hasattr(os, "sched_getscheduler"):  # Linux has it
        yield
        return
    usual = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != usual[0]:
            os.sched_setscheduler(0, *usual)
