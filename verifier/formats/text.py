"""Text of others, made fit to be shown."""


def printable(text: str) -> str:
    """Text from a bundle without control characters: a terminal must not obey it.

    >>> printable("a\\x1b[2Jb\\nc")
    'a?[2Jb?c'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
