"""A progress bar for long loops, silent when nobody is watching."""

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int | None, label: str, steps=None) -> Iterator[Item]:
    """Yields `items` while a bar on stderr shows how far they are; no bar when stderr is not a terminal.

    `total` is the count that stands for all of the work (None: unknown). `steps(item)` says how much one item
    adds to it (default 1), so that a loop over chunks can count frames: `steps=len`.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total)
        for item in items:
            yield item
            bar.update(task, advance=1 if steps is None else steps(item))
