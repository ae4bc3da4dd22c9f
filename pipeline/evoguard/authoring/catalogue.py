"""The page that says what each rule of a bundle wants, in Markdown, from the rules' own METADATA."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence


def page(codes: Mapping[str, Mapping[str, str]], reads: Mapping[str, Sequence[str]], digest: str = "") -> str:
    """Return the page. `reads`: code → what of question and data the rule looks at."""
    return "\n".join(_lines(codes, reads, digest)) + "\n"


def _lines(codes: Mapping[str, Mapping[str, str]], reads: Mapping[str, Sequence[str]], digest: str) -> Iterator[str]:
    yield "# Catalogue of rules\n"
    named = f", bundle `{digest}`" if digest else ""
    yield f"{len(codes)} rules{named}. `constitution` marks what no exemption lifts.\n"
    yield "| code | severity | title |\n|---|---|---|"
    for code, about in sorted(codes.items()):
        yield f"| `{code}` | {_cell(about['severity'])} | {_cell(about['title'])} |"
    for code, about in sorted(codes.items()):
        yield f"\n## `{code}`: {_plain(about['title'])}\n"
        yield f"{_plain(about['description'])}\n"
        yield f"- severity: {_plain(about['severity'])}"
        if code in reads:
            yield f"- reads: {', '.join(f'`{place}`' for place in reads[code]) or 'nothing by a fixed path'}"
        yield f"- source: {_plain(about['source'])}"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Return text that stays on its line and opens no tag."""
    return "".join(char if char.isprintable() else " " for char in text).replace("<", "&lt;")
