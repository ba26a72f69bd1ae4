"""What the shell takes away from an argument and the API wants to see: the quotes of character-strings.
Only arguments of a command line pass here; what stands in a file is never altered.
"""

from dnsguard.core.records import STRING_OCTETS_MAX, STRING_TYPES


def quote_argument(rdtype: str, text: str) -> str:
    r"""Return a command line's record with the quotes that the shell ate.

    A record of a type that is nothing but character-strings, which could not be one unquoted word, becomes one
    quoted string, or several of at most 255 octets: ``v=spf1 -all`` becomes ``"v=spf1 -all"``. Whoever writes a
    quote or a backslash means presentation format (RFC 1035 section 5.1), and is left alone: ``"a" "b"``, ``a\;b``.
    """
    if rdtype.upper() not in STRING_TYPES or '"' in text or "\\" in text:
        return text
    if text and not any(char in " \t;()" for char in text) and _octets(text) <= STRING_OCTETS_MAX:
        return text
    return " ".join(f'"{piece}"' for piece in _pieces(text))


def _octets(text: str) -> int:
    return len(text.encode(errors="replace"))


def _pieces(text: str) -> list[str]:
    """Cut a text into pieces of at most 255 octets, never within a character."""
    pieces, piece, size = [], "", 0
    for char in text:
        if size + _octets(char) > STRING_OCTETS_MAX:
            pieces.append(piece)
            piece, size = "", 0
        piece, size = piece + char, size + _octets(char)
    return [*pieces, piece]
