"""Several networks as one module, each with images of its own.

The networks of NATS-Bench are far too small for a modern accelerator, and on small images for a
core too: a step is lost in starting its many operations. A group starts them for all its members.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self

import torch
from torch import nn

from nats_gym.errors import InvalidInput

#: Where a member's tensor lies in one of the group's: makes the view of it.
View = Callable[[torch.Tensor], torch.Tensor]


class _Held(NamedTuple):
    """A parameter of a member: its name there, the group's that holds it, and where."""

    member: int
    name: str
    holder: nn.Parameter
    view: View


class _HeldBuffer(NamedTuple):
    """A buffer of a member, the module and name of the one that holds it, and where."""

    member: int
    name: str
    module: weakref.ref[nn.Module]  # the group itself, maybe: what it held would outlive its use
    holder: str
    view: View


class NetworkGroup(nn.Module):
    """Networks that are computed together, each as if it were alone.

    Args:
        members: the networks, on their device.

    Attributes:
        members: likewise. Their parameters and buffers are views of the group's: they are up to
            date at any time, and may be read, saved and evaluated as ever.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if len({id(member) for member in members}) < len(members):
            raise InvalidInput("each network is a member of a group once")
        self.members = tuple(members)
        self._held: list[_Held] = []
        self._held_buffers: list[_HeldBuffer] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float images ``(G, B, 3, H, W)``, a batch of each member → logits ``(G, B, classes)``."""
        raise NotImplementedError

    def hold(self, member: int, name: str, holder: nn.Parameter, view: View) -> None:
        """Move a member's parameter into one of the group's, of which it becomes a view.

        Args:
            member: its position.
            name: of the parameter, as the member's ``named_parameters`` say.
            holder: the group's.
            view: makes the view of it, of the parameter's shape.
        """
        place = view(holder.data)
        parameter = self.members[member].get_parameter(name)
        place.copy_(parameter.data)
        parameter.data = place
        self._held.append(_Held(member, name, holder, view))

    def hold_buffer(
        self, member: int, name: str, module: nn.Module, holder: str, view: View
    ) -> None:
        """Move a member's buffer, such as a running mean, into one of a module of the group's.

        Args:
            member: its position.
            name: of the buffer, as the member's ``named_buffers`` say.
            module: of the group's, that has the buffer ``holder``.
            holder: its name there.
            view: as for :meth:`hold`.
        """
        place = view(module.get_buffer(holder))
        buffer = self.members[member].get_buffer(name)
        place.copy_(buffer)
        buffer.data = place
        self._held_buffers.append(_HeldBuffer(member, name, weakref.ref(module), holder, view))

    def release(self) -> None:
        """Give its members tensors of their own again; the group is of no use afterwards."""
        for network in self.members:
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)
                tensor.grad = None

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the group and of its members."""
        for network in self.members:
            network.train(mode)
        return super().train(mode)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Self:
        """What ``to`` and its like do; afterwards the members are views of what is new."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for member, name, holder, view in self._held:
            self.members[member].get_parameter(name).data = view(holder.data)
        for member, name, module, key, view in self._held_buffers:
            own = module()
            assert own is not None
            self.members[member].get_buffer(name).data = view(own.get_buffer(key))
        return self

    def by_member(
        self, tensors: Mapping[nn.Parameter, torch.Tensor]
    ) -> list[dict[str, torch.Tensor]]:
        """What belongs to parameters of the group, such as momentum, as views by member and name.

        Args:
            tensors: by parameter of the group, each of its shape; parameters may be missing.

        Returns:
            For each member a dictionary by its parameter's name.
        """
        found: list[dict[str, torch.Tensor]] = [{} for _ in self.members]
        for member, name, holder, view in self._held:
            if holder in tensors:
                found[member][name] = view(tensors[holder])
        return found


class SideBySide(NetworkGroup):
    """Any networks, one after the other; on a GPU each in a stream of its own.

    Args:
        members: the networks, on their device; any modules from images to logits.
        forwards: what computes each, such as the compiled network; default the network itself.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        forwards: Sequence[Callable[[torch.Tensor], torch.Tensor]] | None = None,
    ) -> None:
        super().__init__(members)
        self._forwards: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = tuple(
            members if forwards is None else forwards
        )
        self.networks = nn.ModuleList(members)
        for number, network in enumerate(members):
            for name, parameter in network.named_parameters():
                self._held.append(_Held(number, name, parameter, _itself))
        self._streams = _Streams()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`NetworkGroup`."""
        return torch.stack(self._streams.run(self._forwards, list(images)))


class Parts(NetworkGroup):
    """Groups of different kinds, one after the other; on a GPU each in a stream of its own.

    Args:
        parts: the groups.
        places: of each group's members in this one, each place once.
    """

    def __init__(self, parts: Sequence[NetworkGroup], places: Sequence[Sequence[int]]) -> None:
        placed = {
            place: member
            for part, some in zip(parts, places, strict=True)
            for place, member in zip(some, part.members, strict=True)
        }
        super().__init__([placed[place] for place in range(len(placed))])
        self.parts = nn.ModuleList(parts)
        self._places = [list(some) for some in places]
        order = [place for some in places for place in some]
        self._order = sorted(range(len(order)), key=order.__getitem__)
        self._streams = _Streams()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """See :class:`NetworkGroup`."""
        own = [torch.stack([images[place] for place in some]) for some in self._places]
        logits = [one for part in self._streams.run(list(self.parts), own) for one in part]
        return torch.stack([logits[number] for number in self._order])

    def by_member(
        self, tensors: Mapping[nn.Parameter, torch.Tensor]
    ) -> list[dict[str, torch.Tensor]]:
        """See :class:`NetworkGroup`."""
        found = [
            one
            for part in self.parts
            if isinstance(part, NetworkGroup)
            for one in part.by_member(tensors)
        ]
        return [found[number] for number in self._order]


class _Streams:
    """Streams that work is done in side by side, where there are such."""

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []

    def run(
        self,
        works: Sequence[Callable[[torch.Tensor], torch.Tensor]],
        inputs: Sequence[torch.Tensor],
    ) -> list[torch.Tensor]:
        """What each work makes of its input."""
        device = inputs[0].device
        if device.type != "cuda" or len(works) == 1:
            return [work(own) for work, own in zip(works, inputs, strict=True)]
        here = torch.cuda.current_stream(device)
        while len(self._streams) < len(works):
            self._streams.append(lend_stream(self, device))
        made = []
        for work, own, stream in zip(works, inputs, self._streams, strict=True):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                made.append(work(own))
        for stream in self._streams:
            here.wait_stream(stream)
        return made


_FREE: dict[torch.device, list[torch.cuda.Stream]] = {}


def lend_stream(owner: object, device: torch.device) -> torch.cuda.Stream:
    """A stream that nobody else has, until its owner is gone.

    The next one gets it then: cuBLAS keeps tens of MiB for every stream that it has ever seen.
    """
    free = _FREE.setdefault(device, [])
    stream = free.pop() if free else torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    weakref.finalize(owner, free.append, stream).atexit = False
    return stream


def _itself(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
