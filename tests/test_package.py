"""What importing costs and who may import whom."""

import subprocess
import sys
from pathlib import Path

import pytest

import semjax

ROOT = Path(__file__).parents[1]


def test_import_is_light():
    heavy = [
        "flax",
        "torch",
        "transformers",
        "imageio",
        "av",
        "cv2",
        "numba",
        "PIL",
        "matplotlib",
        "tyro",
        "rich",
    ]
    code = f"import semjax, sys; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_loads_and_is_documented():
    for name in semjax.__all__:
        value = getattr(semjax, name)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        _ = semjax.nothing_of_the_kind
    assert set(semjax.__all__) <= set(dir(semjax))


def test_rooms_import_only_what_they_may():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", "pyproject.toml"]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert out.returncode == 0, out.stdout + out.stderr
