"""What the video tests share."""

import pytest
from video_files import moving_picture


@pytest.fixture(scope="session")
def clip():
    """24 frames of 64x48."""
    return moving_picture(24, 48, 64)
