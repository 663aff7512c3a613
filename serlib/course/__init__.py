"""The book as a course: the notebook from which a new chapter grows."""

from serlib.course.chapter import make_chapter

__all__ = ["make_chapter"]
