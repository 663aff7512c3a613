"""The one exception that a reader meets when what they gave is at fault."""


class InputError(ValueError):
    """A corpus, a file or a setting cannot be used: the message names it, says what is wrong, and what to do.
    Page: book/your_corpus.md
    """
