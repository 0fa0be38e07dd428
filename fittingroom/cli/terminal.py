"""The terminal: whatever is printed there, nothing in it commands the terminal but rich's own colours."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from fittingroom.specs.visible_text import visible


class Terminal(Console):
    """rich's console, which shows of texts what can be seen, and writes the rest out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render something into segments; rich's own controls are segments of their own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
