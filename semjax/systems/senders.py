"""The systems' senders by name, behind one interface.

A sender is a module with `SenderConfig` (whose `system` says which it is), `understand(frames, labels, captions,
cfg)`, the first pass over a clip, and `coder(frames, analysis, cfg, before_texture)`, a function from bits a second
(None: the system's own choice) to a Stream.
"""

from types import ModuleType

from semjax.systems import causal, lgvsc, mirage

SENDERS: dict[str, ModuleType] = {"causal": causal, "mirage": mirage, "lgvsc": lgvsc}

SenderConfig = causal.SenderConfig | mirage.SenderConfig | lgvsc.SenderConfig


def sender_of(cfg: SenderConfig) -> ModuleType:
    """The module that codes clips for these settings."""
    return SENDERS[cfg.system]
