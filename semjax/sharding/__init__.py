"""Many streams, big pictures, many hosts: meshes, rules that say which array lives where, and what that costs.

MeshShape, make_mesh, start     device meshes with the axes data, model and space; `jax.distributed`
Rule, place, explain, renamed   rules over the paths of a tree: shardings, and a table of who lives where
parameter_rules, cache_rules    the rules of a generator for a mesh, as data
compile_step, Turn              one compiled step that serves every frame of every stream
on_explicit_mesh                the same functions on a caller's mesh of Explicit axes
traffic, by_axis                what a compiled program sends between devices, by mesh axis
predict, DEVICES                frames a second on devices that are not at hand

Loaded on first use; nothing asks for devices at import.
"""

import importlib

_NAMES = {
    "AXES": "meshes",
    "MeshShape": "meshes",
    "make_mesh": "meshes",
    "start": "meshes",
    "Rule": "rules",
    "place": "rules",
    "put": "rules",
    "explain": "rules",
    "renamed": "rules",
    "parameter_rules": "presets",
    "cache_rules": "presets",
    "condition_rules": "presets",
    "Turn": "step",
    "Placed": "step",
    "compile_step": "step",
    "placed": "step",
    "first_cache": "step",
    "put_key": "step",
    "put_params": "step",
    "on_explicit_mesh": "foreign",
    "traffic": "collectives",
    "Collective": "collectives",
    "by_axis": "collectives",
    "DEVICES": "devices",
    "Device": "devices",
    "Work": "cost",
    "predict": "cost",
    "work": "cost",
}

__all__ = [*_NAMES]


def __getattr__(name: str):
    if name not in _NAMES:
        raise AttributeError(f"module 'semjax.sharding' has no attribute {name!r}")
    return getattr(importlib.import_module(f"semjax.sharding.{_NAMES[name]}"), name)


def __dir__():
    return sorted(__all__)
