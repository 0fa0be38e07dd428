"""Pictures as files: one function for each kind."""

from app.plots.curves import draw_curves
from app.plots.pictures import CurvesPicture, ParallelPicture, Picture, ProgressPicture, SweepPicture
from app.plots.searches import draw_parallel, draw_progress, draw_sweep


def draw(picture: Picture) -> bytes:
    """Draw a picture; returns the bytes of the file."""
    match picture:
        case CurvesPicture():
            return draw_curves(picture)
        case SweepPicture():
            return draw_sweep(picture)
        case ProgressPicture():
            return draw_progress(picture)
        case ParallelPicture():
            return draw_parallel(picture)
