"""Pictures and label maps that the metric tests share."""

import numpy as np
import pytest
from metric_inputs import damaged, natural


@pytest.fixture(scope="session")
def pair():
    reference = natural(3, 90, 121)
    return reference, damaged(reference)


@pytest.fixture(scope="session")
def label_pair():
    """Blocks of labels 0, 1, 2, 7 that move, and the same a little displaced with one label too many."""
    maps = np.zeros((4, 60, 80), np.uint8)
    for t in range(4):
        maps[t, 10:40, 5 + t : 30 + t] = 1
        maps[t, 20:50, 40:70] = 2
        maps[t, 45:55, 10:20] = 7
    other = np.roll(maps, (1, 2), (1, 2))
    other[:, :3, :3] = 9
    return maps, other
