"""What every wire does alike: a lean streaming client (httpx2 and orjson) that reads server-sent events.

pydantic-ai's `direct` was measured beside it and not taken: 5.1 ms of CPU per short turn against 0.9, 0.26 to
0.65 ms per delta against 0.01 to 0.15, 68 MB against 20, and seconds of import against 0.2. Streams are what this
server exists for. A wire of its own is three short files: what goes out, what comes back, and where to.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import quote

import orjson

from app import outbound
from app.agent.providers import Cancel, Cancelled, Delta, Done, ProviderFailed, Request, fitting
from app.agent.providers.circuit import Circuit
from app.agent.providers.line import Line, line
from app.agent.providers.refusal import refusal

LONGEST_LINE = 32 * 1024 * 1024
LONGEST_ERROR = 64 * 1024
END = b"[DONE]"
# A chunk of another form than its wire's fails in one of these ways.
ODD = (AttributeError, IndexError, KeyError, TypeError, ValueError)


class Answer(Protocol):
    """The chunks of one answer, put together into deltas."""

    finished: bool
    """Whether the model has said why it stopped: an answer that ends before that broke off."""
    over: bool
    """Whether the wire's own last chunk has come; a wire without one ends with its connection."""

    def take(self, chunk: dict[str, Any]) -> Iterator[Delta]:
        """Yield what a chunk brings; an error object inside the stream raises `ProviderFailed`."""
        ...

    def end(self) -> Iterator[Delta]:
        """Yield the complete calls and `Done`."""
        ...


class Wire(ABC):
    """One base URL and key; holds no state between streams, so all engines may share it.

    `trusted` is for base URLs of the environment or an admin; others are checked at every call. `options` go
    out with every request that does not say otherwise. Without `pictures` none go out.
    """

    PATH: str
    """Where a request goes, below the base URL; `{model}` stands for the model's name."""
    PICTURES: frozenset[str]
    """The media types of pictures that the API takes."""
    ANSWER: type[Answer]
    """What puts the chunks of one answer together."""

    def __init__(
        self,
        id: str,
        base_url: str,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        trusted: bool = True,
        bounds: outbound.Bounds = outbound.MODEL,
        options: Mapping[str, Any] | None = None,
        pictures: bool = True,
        circuit: Circuit | None = None,
    ) -> None:
        self.id = id
        self.base_url = base_url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream", **(headers or {})}
        self._headers |= {"Accept-Encoding": "identity", **self.authorization(key)}
        self._trusted = trusted
        self._bounds = bounds
        self._options = options or {}
        self._pictures = self.PICTURES if pictures else frozenset()
        self._circuit = circuit or Circuit()

    @staticmethod
    @abstractmethod
    def authorization(key: str | None) -> dict[str, str]:
        """The headers that carry the key."""

    @staticmethod
    @abstractmethod
    def model_names(answer: Any) -> Iterator[str]:
        """The names in an answer to GET `base_url/models`."""

    @staticmethod
    @abstractmethod
    def body(request: Request) -> dict[str, Any]:
        """The JSON body of a streamed request."""

    def headers(self, body: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG002 - a wire's may depend on it
        """The headers of a request."""
        return self._headers

    def stream(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        """Ask the model; yields deltas and a last `Done`; raises `ProviderFailed` or `Cancelled`."""
        if cancel.is_set():
            raise Cancelled
        request = replace(request, options={**self._options, **request.options})
        attempt = self._circuit.begin()
        try:
            for place, delta in enumerate(self._fitted(fitting.fit(request, self._pictures), cancel)):
                if place == 0 or isinstance(delta, Done):
                    attempt.hears(delta)
                yield delta
        except ProviderFailed as failed:
            attempt.fails(failed)
            raise
        finally:
            attempt.leaves()

    def _fitted(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        """Ask, and ask more plainly what a server refuses to hear: without pictures, without thoughts."""
        try:
            yield from self._told(request, cancel)
        except ProviderFailed as failed:
            plainer = fitting.plainer(request, failed)
            if plainer is None:
                raise
            yield from self._fitted(plainer, cancel)

    def _told(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        """Ask; whatever goes wrong on the way is a ProviderFailed or, after a cancel, Cancelled."""
        import httpx2

        try:
            yield from self._asked(request, cancel)
        except (outbound.Failed, outbound.NotAllowed, httpx2.InvalidURL) as broken:
            if cancel.is_set():
                raise Cancelled from None
            raise _in_words(broken, self.base_url) from broken

    def _asked(self, request: Request, cancel: Cancel) -> Iterator[Delta]:
        url = self.base_url + self.PATH.format(model=quote(request.model.removeprefix("models/"), safe=""))
        body, answer = self.body(request), self.ANSWER()
        with line(self.base_url, self._trusted, self._bounds, cancel) as one:
            response = one.post(url, orjson.dumps(body), self.headers(body), cancel)
            with closing(response):
                if response.status_code != 200:
                    raise _refusal(response)
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind == "text/html":
                    raise _page(response)
                if kind == "application/json":
                    yield from whole(response.read(), answer)
                else:
                    # By any other name it is read as the stream it should be.
                    yield from _streamed(one, response, answer)
            if cancel.is_set():
                raise Cancelled
        # Outside, since a reader that leaves at the end would otherwise cost us the connection.
        yield from answer.end()


def whole(data: bytes, answer: Answer) -> Iterator[Delta]:
    """An answer of a server that does not stream: one chunk, or a list of them."""
    value = _decoded(data)
    for chunk in value if isinstance(value, list) else [value]:
        yield from _taken(chunk, answer)


def events(chunks: Iterator[bytes], answer: Answer) -> Iterator[Delta]:
    """What the server-sent events in these bytes bring, until the answer is over or the bytes are.

    Raises ProviderFailed, to be tried again, if they end before the answer's end or hold something else.
    """
    rest = b""
    for data in chunks:
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise ProviderFailed("The model's answer has a line longer than 32 MiB")
        for text in lines:
            yield from _event(text, answer)
            if answer.over:
                return
    if _is_whole(rest):
        yield from _event(rest, answer)
    if not answer.finished:
        raise ProviderFailed("The model's answer broke off before its end", retryable=True)


def _event(text: bytes, answer: Answer) -> Iterator[Delta]:
    if not text.startswith(b"data:"):
        return
    if (piece := text[5:].strip()) == END:
        answer.finished = answer.over = True
    elif piece:
        yield from _taken(_decoded(piece), answer)


def _is_whole(text: bytes) -> bool:
    """Whether a last line without an end of line was meant to be one."""
    with suppress(orjson.JSONDecodeError):
        return text[5:].strip() == END or orjson.loads(text[5:]) is not None
    return False


def _taken(chunk: Any, answer: Answer) -> Iterator[Delta]:
    try:
        yield from answer.take(chunk)
    except ODD as odd:
        raise ProviderFailed("The model's server sent something its API does not know", retryable=True) from odd


def _streamed(one: Line, response: outbound.Response, answer: Answer) -> Iterator[Delta]:
    chunks = response.iter_raw()
    try:
        yield from events(chunks, answer)
    except outbound.Failed:
        # A server may hang up or fall silent once it has told all.
        if not answer.finished:
            raise
        one.cut()
    except ProviderFailed:
        if one.is_cut:
            raise Cancelled from None
        raise
    if answer.over:
        _finish(one, chunks)


def _finish(one: Line, chunks: Iterator[bytes]) -> None:
    """Read what may come after the end, so that the connection can be used again."""
    with one.lingering(), suppress(outbound.Failed):
        for _ in chunks:
            continue


def _decoded(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _mended(data)


def _mended(data: bytes) -> Any:
    """JSON with half a character in it, as a server sends that cuts between tokens; the half becomes U+FFFD or ?."""
    try:
        value = json.loads(data.decode("utf-8", "replace"))
    except ValueError:
        raise ProviderFailed(
            "The model's server sent something that is not JSON",
            retryable=True,
            body=data[:2000].decode("utf-8", "replace"),
        ) from None
    return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _refusal(response: outbound.Response) -> ProviderFailed:
    text = _beginning(response)
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        answer = None
    return refusal(response.status_code, answer, text, response.headers)


def _page(response: outbound.Response) -> ProviderFailed:
    """A web page instead of an answer: the base URL is wrong, or something stands between."""
    return ProviderFailed(
        "The model's server answered with a web page; is its base URL right?", body=_beginning(response)
    )


def _beginning(response: outbound.Response) -> str:
    raw = b""
    for data in response.iter_raw():
        raw += data
        if len(raw) > LONGEST_ERROR:
            break
    return raw[:LONGEST_ERROR].decode("utf-8", "replace")


def _in_words(broken: Exception, url: str) -> ProviderFailed:
    """Put what went wrong on the way into words, and say whether another try may help."""
    import httpx2

    if isinstance(broken, outbound.NotAllowed):
        return ProviderFailed(broken.message)
    if isinstance(broken, (httpx2.InvalidURL, httpx2.UnsupportedProtocol)):
        return ProviderFailed(f"{url} is not a usable address for a model: {broken}")
    if isinstance(broken, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return ProviderFailed(f"Could not reach the model at {url}: {broken}", retryable=True)
    if isinstance(broken, httpx2.TimeoutException):
        return ProviderFailed("The model fell silent", retryable=True)
    return ProviderFailed(f"The connection to the model broke: {broken}", retryable=True)
