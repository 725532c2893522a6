"""Streams that were written once decode for ever, to the same integers on every machine."""

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from semjax import stream as sm

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "stream"
FACTS = json.loads((DATA / "golden.json").read_text())


def maker():
    spec = importlib.util.spec_from_file_location("make_goldens", ROOT / "scripts" / "make_goldens.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_goldens_are_listed():
    assert {f.stem for f in DATA.glob("*.smj")} == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_golden(name):
    data = (DATA / f"{name}.smj").read_bytes()
    facts = dict(FACTS[name])
    assert hashlib.sha256(data).hexdigest() == facts.pop("stream")
    stream = sm.unpack(data)
    assert maker().digests(stream) == facts
    if not stream.partial and not stream.damage:
        assert sm.pack(stream) == data
