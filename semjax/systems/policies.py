"""Who has a say: small frozen policies of the sender, the network and the receiver (docs/policies.md).

SenderPolicy      what may leave: silhouettes, things and boxes withheld, detail, words, layers
NetworkPolicy     what may pass: a rate, a packet size, the order in which layers give way
ReceiverPolicy    how it is shown: words of style, replaced colours, resolution, steps, seconds

`a | b` is both at once. `to_json` and `from_json` let a policy travel; what the receiver must know of the sender's
travels in the stream (semjax.systems.redaction.let_out).
"""

import dataclasses
import json
from typing import Any, ClassVar

from semjax.errors import InputError
from semjax.stream import ORDER
from semjax.types import LAYERS


def _fewer(a, b):
    """The stricter of two limits, None being none."""
    return b if a is None else a if b is None else min(a, b)


def _join(a: tuple, b: tuple) -> tuple:
    return tuple(dict.fromkeys((*a, *b)))


def _limits(policy: Any, **least: float) -> None:
    for name, low in least.items():
        value = getattr(policy, name)
        if value is not None and not low <= value < float("inf"):
            raise InputError(f"{name} of a {policy.place} policy must be at least {low:g}, not {value}")


@dataclasses.dataclass(frozen=True)
class SenderPolicy:
    """What may leave the sender. It is applied to the clip before anything is measured, so nothing else can leak.

    silhouettes: labels whose pixels become one flat colour, the same for all: their outline and motion stay.
    withheld: labels that vanish: their pixels are filled in from what surrounds them, their label becomes 0.
    boxes: (left, top, right, bottom) in shares of the picture, flat in every frame, label 0.
    detail: pixels of width to which pictures are blurred. words: captions as given or, where anything is hidden, made
    from what is still to be seen ("auto"), none at all ("none"), or this text in place of them.
    layers: those that may leave at all.
    """

    place: ClassVar[str] = "sender"
    silhouettes: tuple[int, ...] = ()
    withheld: tuple[int, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    detail: int | None = None
    words: str = "auto"
    layers: tuple[str, ...] = LAYERS

    def __post_init__(self):
        if not all(isinstance(k, int) and 1 <= k <= 255 for k in (*self.silhouettes, *self.withheld)):
            raise InputError(
                f"labels that can be hidden are 1 to 255, not {[*self.silhouettes, *self.withheld]}"
            )
        for box in self.boxes:
            if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                raise InputError(f"a box is (left, top, right, bottom) in shares of the picture, not {box}")
        _limits(self, detail=1)
        if not set(self.layers) <= set(LAYERS):
            raise InputError(f"layers are {', '.join(LAYERS)}, not {list(self.layers)}")

    @property
    def hides(self) -> bool:
        """Whether it changes what there is to be seen."""
        return bool(self.silhouettes or self.withheld or self.boxes or self.detail)

    def __or__(self, other: "SenderPolicy") -> "SenderPolicy":
        withheld = _join(self.withheld, other.withheld)
        words = {self.words, other.words} - {"auto"}
        return SenderPolicy(
            tuple(k for k in _join(self.silhouettes, other.silhouettes) if k not in withheld),
            withheld,
            _join(self.boxes, other.boxes),
            _fewer(self.detail, other.detail),
            "none" if "none" in words else words.pop() if len(words) == 1 else "none" if words else "auto",
            tuple(layer for layer in self.layers if layer in other.layers),
        )


@dataclasses.dataclass(frozen=True)
class NetworkPolicy:
    """What may pass a node, which decodes nothing: bits a second, bytes of a packet; which layers give way first."""

    place: ClassVar[str] = "network"
    bitrate: float | None = None
    packet: int | None = None
    order: tuple[str, ...] = ORDER

    def __post_init__(self):
        _limits(self, bitrate=1, packet=4)
        if sorted(self.order) != sorted(LAYERS):
            raise InputError(f"the order must name each of {', '.join(LAYERS)} once, not {list(self.order)}")

    def __or__(self, other: "NetworkPolicy") -> "NetworkPolicy":
        order = self.order if other.order == ORDER else other.order
        return NetworkPolicy(_fewer(self.bitrate, other.bitrate), _fewer(self.packet, other.packet), order)


@dataclasses.dataclass(frozen=True)
class ReceiverPolicy:
    """How a clip is shown.

    style: words added to every caption (generators that read them). looks: (label, (r, g, b)) pairs: the thing's colour
    is replaced, its shading kept. width: pixels of width of the video that is written, at most. steps: denoising steps
    of a diffusion generator, at most. seconds: time to generate in; afterwards frames are made without a network.
    """

    place: ClassVar[str] = "receiver"
    style: str = ""
    looks: tuple[tuple[int, tuple[int, int, int]], ...] = ()
    width: int | None = None
    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self):
        for look in self.looks:
            label, colour = look if len(look) == 2 else (0, ())
            if not 1 <= label <= 255 or len(colour) != 3 or not all(0 <= c <= 255 for c in colour):
                raise InputError(f"a look is a label 1 to 255 and a colour (r, g, b), not {look}")
        _limits(self, width=16, steps=1, seconds=0)

    def __or__(self, other: "ReceiverPolicy") -> "ReceiverPolicy":
        return ReceiverPolicy(
            ", ".join(filter(None, dict.fromkeys([self.style, other.style]))),
            tuple({**dict(self.looks), **dict(other.looks)}.items()),
            _fewer(self.width, other.width),
            _fewer(self.steps, other.steps),
            _fewer(self.seconds, other.seconds),
        )


Policy = SenderPolicy | NetworkPolicy | ReceiverPolicy
_PLACES = {kind.place: kind for kind in (SenderPolicy, NetworkPolicy, ReceiverPolicy)}


def to_json(*policies: Policy) -> str:
    """Policies as JSON, one entry for each place: {"sender": {...}, ...}. Fields at their defaults are left out."""
    out: dict[str, dict] = {}
    for place, policy in compose(*policies).items():
        fields = {f.name: getattr(policy, f.name) for f in dataclasses.fields(policy)}
        out[place] = {k: v for k, v in fields.items() if v != getattr(type(policy)(), k)}
    return json.dumps(out)


def from_json(text: str) -> dict[str, Policy]:
    """Policies by place from what `to_json` wrote; places that are not there have none.

    Raises InputError for anything else, naming places or fields that are unknown.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f'a policy is JSON such as {{"sender": {{"silhouettes": [1]}}}}: {error}') from error
    if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
        raise InputError(
            'a policy is JSON with an object for each place, such as {"network": {"bitrate": 2000}}'
        )
    if unknown := sorted(set(found) - set(_PLACES)):
        raise InputError(f"a policy is for {', '.join(_PLACES)}, not {', '.join(unknown)}")
    return {place: _read(_PLACES[place], fields) for place, fields in found.items()}


def _read(kind: type, fields: dict) -> Policy:
    known = {f.name for f in dataclasses.fields(kind)}
    if unknown := sorted(set(fields) - known):
        raise InputError(f"a {kind.place} policy has {', '.join(sorted(known))}, not {', '.join(unknown)}")
    try:
        return kind(**{name: _tuples(value) for name, value in fields.items()})
    except (TypeError, ValueError) as error:
        raise InputError(f"the {kind.place} policy cannot be used: {error}") from error


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def compose(*policies: Policy) -> dict[str, Policy]:
    """Policies by place; several for one place are joined by `|`."""
    out: dict[str, Policy] = {}
    for policy in policies:
        out[policy.place] = out[policy.place] | policy if policy.place in out else policy
    return out
