"""Resources as a plan sees them: tensors whose memory a running model keeps (``runtime.state``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from int8rt.frozen import frozen
from int8rt.graph import Tensor
from int8rt.ops import Form, Name

NO_NAME = Name("", "")


class Assumed(NamedTuple):
    """What a plan takes for granted of the state in which it runs."""

    forms: frozenset[tuple[Name, Form]] = frozenset()  # of the resources that have a value
    done: frozenset[int] = frozenset()  # the subgraphs that have run of those that run once


FRESH = Assumed()


@frozen
class Resource(Tensor):
    """What a resource of one form holds, as a tensor of one segment of a graph."""

    resource: Name = NO_NAME

    @property
    def form(self) -> Form:
        """Shape and type."""
        return Form(self.shape, self.dtype)


class ResourceTensors:
    """The tensors that stand for resources while a segment is inferred: one for each form that one has in it."""

    def __init__(self, forms: Mapping[Name, Form]) -> None:
        self._forms = dict(forms)
        self._tensors: dict[tuple[Name, Form], Resource] = {}

    def assign(self, name: Name, form: Form) -> None:
        """From here on the resource has that form."""
        self._forms[name] = form

    def tensor(self, name: Name) -> Resource | None:
        """The tensor in place of a resource's handle; None where nothing was assigned to it."""
        form = self._forms.get(name)
        if form is None:
            return None
        made = Resource("/".join(filter(None, name)), form.shape, form.dtype, is_variable=True, resource=name)
        return self._tensors.setdefault((name, form), made)
