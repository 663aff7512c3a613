"""The one exception that a reader meets when what they gave is at fault, and what may be shown of what they gave."""


def shown(text: object, longest: int = 80) -> str:
    """A name or label as it may stand in a message or a report: on one line, and no longer than about `longest`.

    Control characters, among them a terminal's escapes, and letters that cannot be seen become escapes such as `\\x1b`;
    of a long text the middle is left out. Page: book/your_corpus.
    """
    text, half = str(text), longest // 2
    text = text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class InputError(ValueError):
    """A corpus, a file or a setting cannot be used; the message says which, why, what to do.

    It is one line, whatever names and labels it repeats. Page: book/your_corpus.
    """

    def __init__(self, message: object) -> None:
        super().__init__(shown(message, 4000))
