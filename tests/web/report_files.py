"""Reads the files that people download, as whoever opens them would."""

from __future__ import annotations

import io
import json
import zipfile
from html.parser import HTMLParser

import openpyxl
import pypdf
import pypdfium2

FORMATS = ("csv", "xlsx", "pdf", "html")


class _Page(HTMLParser):
    """The text of a page, and its tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(content: bytes) -> _Page:
    """A page, parsed."""
    parsed = _Page()
    parsed.feed(content.decode())
    return parsed


def pdf(content: bytes) -> pypdf.PdfReader:
    """A PDF, opened."""
    return pypdf.PdfReader(io.BytesIO(content))


def pages_of(content: bytes) -> list[str]:
    """The text of each page of a PDF, as a reader shows it."""
    with pypdfium2.PdfDocument(content) as opened:
        return [" ".join(page.get_textpage().get_text_bounded().split()) for page in opened]


def marks(opened: pypdf.PdfReader) -> str:
    """A PDF's own description of itself, as XML."""
    assert opened.xmp_metadata is not None
    return opened.xmp_metadata.stream.get_data().decode()


def book(content: bytes) -> openpyxl.Workbook:
    """A workbook, opened; formulas stay formulas."""
    return openpyxl.load_workbook(io.BytesIO(content))


def text(ending: str, content: bytes) -> str:
    """All text that is anywhere in a file, its properties included, with single spaces."""
    if ending == "xlsx":
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            told = " ".join(packed.read(name).decode() for name in packed.namelist())
    elif ending == "pdf":
        told = " ".join(pages_of(content))
        opened = pdf(content)
        told += f" {opened.metadata} {marks(opened)}"
    elif ending == "json":
        told = json.dumps(json.loads(content), ensure_ascii=False)
    else:
        told = content.decode()
    return " ".join(told.split())
