"""The one exception that a reader meets when what they gave is at fault."""


class InputError(ValueError):
    """A corpus, a file or a setting cannot be used; the message says which, why, what to do. Page: book/your_corpus."""
