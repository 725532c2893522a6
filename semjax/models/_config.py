"""Network configs from the `config.json` of diffusers and transformers, refused in one sentence when unknown."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from semjax.errors import InputError

Config = TypeVar("Config")


def freeze(value: Any) -> Any:
    """Lists, at any depth, as tuples: what a hashable config holds."""
    return tuple(map(freeze, value)) if isinstance(value, list | tuple) else value


def read(
    cls: type[Config],
    settings: Mapping[str, Any],
    *,
    ignored: tuple[str, ...] | None = (),
    fixed: Mapping[str, tuple] | None = None,
    derived: Callable[[dict], dict] | None = None,
) -> Config:
    """A frozen config `cls` from a dict as PyTorch projects write it.

    Fields of `cls` are taken over by name; names that begin with "_", those in `ignored` (they do not change what
    the network computes; None: all others) and those of value None may be anything; those in `fixed` must have one
    of the values listed. `derived` may rewrite the dict before. `InputError` names every other field.
    """
    settings = {key: freeze(value) for key, value in settings.items() if not key.startswith("_")}
    settings = derived(settings) if derived else settings
    fields, fixed = {f.name for f in dataclasses.fields(cls)}, fixed or {}
    problems = []
    for key, value in settings.items():
        if key in fields or value is None or (ignored is not None and key in ignored):
            continue
        if key not in fixed:
            if ignored is None:
                continue
            problems.append(f"{key}={value!r} is not known")
        elif value not in fixed[key]:
            problems.append(f"{key}={value!r} is not supported, only {' or '.join(map(repr, fixed[key]))}")
    if problems:
        raise InputError(f"This config does not fit {cls.__name__}: {'; '.join(problems)}.")
    return cls(**{key: value for key, value in settings.items() if key in fields})


def per_block(value: Any, count: int, what: str) -> tuple:
    """A setting for each of `count` blocks from one value or a tuple of them. `InputError` on another length."""
    if not isinstance(value, tuple):
        return (value,) * count
    if len(value) != count:
        raise InputError(f"{what} has {len(value)} entries, expected {count}: one for each block.")
    return value


def one_of(value: Any, allowed: tuple, what: str) -> None:
    """`InputError` unless `value` is one of `allowed`."""
    if value not in allowed:
        raise InputError(f"{what}={value!r} is not supported, only {', '.join(map(repr, allowed))}.")
