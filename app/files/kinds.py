"""Which media types files are sent as: those that no browser would run, by the name; all else is bytes."""

from __future__ import annotations

import os.path

BYTES = "application/octet-stream"
_TEXT = (
    "txt log md markdown rst tex diff patch toml yaml yml ini cfg conf env",
    "py pyi rb go rs java kt swift cs c h cc cpp hpp php pl lua r sql sh bash zsh fish ts tsx jsx vue scss less",
)
_OTHER = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "css": "text/css",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "ico": "image/x-icon",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "gz": "application/gzip",
    "tgz": "application/gzip",
    "bz2": "application/x-bzip2",
    "xz": "application/x-xz",
    "zst": "application/zstd",
    "7z": "application/x-7z-compressed",
    "tar": "application/x-tar",
    "wasm": "application/wasm",
}
_BY_ENDING = {**dict.fromkeys(" ".join(_TEXT).split(), "text/plain; charset=utf-8"), **_OTHER}


def kind_of(name: str) -> str:
    """Return the media type of a file, by the ending of its name."""
    return _BY_ENDING.get(os.path.splitext(name)[1][1:].lower(), BYTES)  # noqa: PTH122 - text, not a file
