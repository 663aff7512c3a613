"""The book as a course: what is said of an exercise's answer, and the notebook from which a new chapter grows."""

from serlib.course.chapter import make_chapter
from serlib.course.check import check

__all__ = ["check", "make_chapter"]
