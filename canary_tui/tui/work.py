"""Workers that may be cancelled before they have begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode
    from textual.worker import Worker

T = TypeVar("T")


def begin_alone(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, T]], name: str, group: str = "default"
) -> Worker[T]:
    """Run ``work`` in a worker of ``node`` instead of the others of its group.

    ``work`` is called when the worker begins. A coroutine made before that is never awaited when the next
    worker of the group comes first.
    """
    return cast(
        "Worker[T]",
        node.run_worker(cast("Any", work), name=name, group=group, exclusive=True, exit_on_error=False),
    )
