"""What pages and doors share of the web: who asks, answers in each kind, pages or their fragments, errors."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from random import getrandbits
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import orjson
from flask import (
    Flask,
    Request,
    Response,
    current_app,
    g,
    has_app_context,
    make_response,
    render_template,
    request,
    url_for,
)
from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import RequestRedirect

from app import config, csrf, once, security_headers, unseen
from app.actor import Actor, Credentials
from app.body_limits import MIB
from app.errors import Problem, Unauthenticated

KEY = "signalcabin.dialect"
PORT_TOKEN = "signalcabin.port_token"  # noqa: S105 - a key of the environ
STATIC = Path(__file__).parent.parent / "static"
FIELDS = 4 * MIB  # what the fields of a form may take of the memory; files beside them go to disk
SIGN_IN_AGAIN = "SIGN_IN_AGAIN"  # what asks for a fresh sign-in (accounts)
SECURE_COOKIE, PLAIN_COOKIE = "__Host-sid", "sid"
# The longest that a browser session lives; the server ends it earlier where it must.
COOKIE_LIFE = 30 * 24 * 3600
_logger = logging.getLogger(__name__)


def actor() -> Actor:
    """Who asks; raises Unauthenticated if nobody is signed in."""
    found: Actor | None = g.get("actor")
    if found is None:
        raise Unauthenticated
    return found


def find_actor() -> Actor | None:
    """Who asks, or None for a stranger."""
    found: Actor | None = g.get("actor")
    return found


def require_actor() -> None:
    """A door's guard: nobody passes without credentials but to a public view; a preflight has none, learns nothing."""
    if request.method != "OPTIONS" and not _is_public():
        actor()


def guard_pages() -> None:
    """The guard of all pages: a stranger sees only those marked `public`; dialect doors have their own."""
    if dialect() == "" and request.endpoint in current_app.view_functions and not _is_public():
        actor()


def _is_public() -> bool:
    return getattr(current_app.view_functions.get(request.endpoint or ""), "is_public", False)


def public(view: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a page or a door's view that answers strangers; it must stand in tests/public_routes.txt with its reason."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def dialect() -> str:
    """The dialect of this request; "" for pages."""
    found: str = request.environ.get(KEY, "")
    return found


def cookie_name() -> str:
    """The session cookie's name: host-locked and Secure over https."""
    return SECURE_COOKIE if request.is_secure else PLAIN_COOKIE


def session_cookie() -> str:
    """What the browser holds of its session, or nothing."""
    return request.cookies.get(cookie_name(), "")


def csrf_token() -> str:
    """The token that the forms of this answer bring along."""
    return csrf.csrf_token(g.get("new_sid") or session_cookie())


def keep_signed_in(response: Response, sid: str) -> Response:
    """Give the browser the cookie of its new session."""
    response.set_cookie(
        cookie_name(), sid, max_age=COOKIE_LIFE, secure=request.is_secure, httponly=True, samesite="Lax", path="/"
    )
    return response


def keep_for_return(response: Response, name: str, value: str) -> Response:
    """Give the browser a cookie of ten minutes by which it is known when it comes back from elsewhere."""
    response.set_cookie(
        _locked(name), value, max_age=600, secure=request.is_secure, httponly=True, samesite="Lax", path="/"
    )
    return response


def kept_for_return(name: str) -> str:
    """What the browser brought back of it, or nothing."""
    return request.cookies.get(_locked(name), "")


def forget_after_return(response: Response, name: str) -> Response:
    """Take that cookie back."""
    response.delete_cookie(_locked(name), secure=request.is_secure, httponly=True, samesite="Lax", path="/")
    return response


def _locked(name: str) -> str:
    return f"__Host-{name}" if request.is_secure else name


def credentials(given: Request) -> Credentials:
    """What a request brought: bearer, x-api-key, Basic, cookie, or the token of its port."""
    # Looked up where they lie: a search through all headers, or reading a cookie that is none, is a tenth of an answer.
    environ = given.environ
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    basic = given.authorization if scheme.lower() == "basic" else None
    bearer = value.strip() if scheme.lower() == "bearer" else environ.get("HTTP_X_API_KEY")
    return Credentials(
        bearer=bearer or None,
        basic_user=basic.username if basic else None,
        basic_password=(basic.password or "") if basic else None,
        cookie=given.cookies.get(cookie_name()) if "HTTP_COOKIE" in environ else None,
        port_token=environ.get(PORT_TOKEN),
    )


def json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(orjson.dumps(value), status, headers, content_type="application/json")


def problem_headers(problem: Problem, basic_realm: str = "") -> dict[str, str]:
    """The headers that an error's status calls for."""
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401 and basic_realm:
        headers["WWW-Authenticate"] = f'Basic realm="{basic_realm}"'
    return headers


def page(template: str, status: int = 200, **context: Any) -> Response:
    """A whole page."""
    return make_response(render_template(template, **context), status)


def fragment(template: str, block: str, status: int = 200, **context: Any) -> Response:
    """One block of a page alone, for HTMX; the macros that its page imports as `ui` come along."""
    env = current_app.jinja_env
    current_app.update_template_context(context)
    context["ui"] = env.get_template("macros.html").module
    found = env.get_template(template)
    return make_response("".join(found.blocks[block](found.new_context(context))), status)


def back(url: str) -> Response:
    """After a form: see the page that shows what it did (303). HTMX follows it like a browser."""
    response = Response(status=303)
    response.headers["Location"] = url
    return response


def own_path(text: str, otherwise: str) -> str:
    """A path to go on to that a form named, if it is one of ours; else the other."""
    is_ours = text.startswith("/") and not text.startswith("//") and "\\" not in text and text.isprintable()
    return text if is_ours else otherwise


def page_path(endpoint: str, **values: Any) -> str:
    """The path of a page for who is answered by a dialect's door, where `url_for` would name a host as well."""
    return current_app.url_map.bind("localhost", script_name=request.script_root, subdomain="").build(endpoint, values)


def with_query(url: str, **more: str) -> str:
    """An address with further words in its query."""
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(more)}"


def is_htmx() -> bool:
    """Whether HTMX asks, so that a fragment will do."""
    return request.headers.get("HX-Request") == "true"


def form(name: str, default: str = "") -> str:
    """A field of the posted form, without surrounding space."""
    return request.form.get(name, default).strip()


def find_static(name: str) -> str:
    """The URL of a static file, with a mark of its content so that it may be kept; fails on a wrong name."""
    # url_for would be a fifth of a long page's time: icons are on every row.
    return f"{request.script_root}/static/{name}?v={_mark(name)}"


@lru_cache(maxsize=256)
def _mark(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]


class Accent(Protocol):
    """What this module asks of a dialect (see app/dialects)."""

    def credentials(self, request: Request) -> Credentials:
        """What the request brought to say who it is."""
        ...

    def problem(self, problem: Problem) -> Response:
        """The error in the dialect's envelope."""
        ...


NoteDenial = Callable[[Actor | None, str, str, dict[str, Any]], None]


def install(
    app: Flask,
    identify: Callable[[Credentials, str, str], Any],
    may: Callable[..., bool],
    renew: Callable[[Actor, str], str | None],
    accents: Mapping[str, Accent],
    note_change: Callable[[Actor, str, str], None],
    note_denial: NoteDenial,
) -> None:
    """Wire sign-in, the check against foreign changes, headers, errors and template globals into the app.

    `renew` gives the new secret of a browser session whose person's rights have changed. `note_change` writes down
    (actor, what, on which port) each change that came without credentials through a port which acts as a token;
    `note_denial` (actor or None, what, on what, detail) each refusal.
    """

    @app.before_request
    def who_asks() -> None:
        asked = request_ctx.request  # itself: each look through the proxy costs more than the look
        # One more than the guard's limit: Werkzeug would cut a body of unknown length there without a word.
        asked.max_content_length = asked.environ.get("signalcabin.body_limit", MIB) + 1
        asked.max_form_memory_size = min(asked.max_content_length, FIELDS)
        g.request_id = f"{getrandbits(48):012x}"  # it only has to differ: no call into the system for it
        g.actor = None
        if asked.endpoint == "static":
            return
        via = dialect()
        once.end()  # of whatever this thread did before
        if via == "" and asked.method == "GET" and not _goes_on(asked.environ):
            once.begin()
        accent = accents.get(via)
        brought = accent.credentials(asked) if accent else credentials(asked)
        identity = identify(brought, via, asked.remote_addr or "")
        if identity is None:
            if brought.bearer is not None or brought.basic_password is not None:
                note_denial(None, "signin.token", "", _request_detail())
            guard_pages()
            return
        # A change that the next check refuses was theirs too, though they get no further.
        g.known, g.proof = identity.actor, identity.proof
        guests = config.current().cors_origins
        csrf.check(
            asked.method,
            asked.headers,
            # A form is read only for its token: an upload must not be swallowed for it.
            asked.form if identity.proof == "cookie" and csrf.HEADER not in asked.headers else {},
            proof=identity.proof,
            sid=brought.cookie,
            own_origins=own_origins(),
            guest_origins=guests,
        )
        g.actor = identity.actor
        if identity.actor.is_due and identity.proof == "cookie" and _is_page():
            g.new_sid = renew(identity.actor, brought.cookie or "")
        if identity.proof == "port" and asked.method not in csrf.SAFE_METHODS and asked.endpoint:
            note_change(g.actor, f"{asked.method} {asked.path}", asked.environ["SERVER_PORT"])

    # Parts that a page includes by the hundred need not import what they all write with.
    app.context_processor(lambda: {"ui": app.jinja_env.get_template("macros.html").module})
    app.after_request(_with_headers)
    app.register_error_handler(Exception, lambda error: _on_error(error, accents.get(dialect()), note_denial))
    app.jinja_env.globals.update(
        csrf_token=csrf_token,
        actor=lambda: g.get("actor"),
        static=find_static,
        page_path=page_path,
        may=lambda key, thing=None: may(g.get("actor"), key, thing),
    )


def request_id() -> str:
    """The id that the answer to the present request has in X-Request-Id; "" outside of one."""
    return g.get("request_id", "") if has_app_context() else ""


def _goes_on(environ: Mapping[str, Any]) -> bool:
    """Whether the answer is a conversation or a stream, which wants to see what changes meanwhile."""
    return "HTTP_UPGRADE" in environ or "text/event-stream" in environ.get("HTTP_ACCEPT", "")


def _is_page() -> bool:
    """Whether a browser asks for a whole page, whose forms get their token with it."""
    return request.method == "GET" and dialect() == "" and _wants_html() and not is_htmx()


def _request_detail() -> dict[str, Any]:
    """What the audit log keeps of a refused request beside its id: where it went."""
    return {"request": f"{request.method} {_path()[:200]}"}


def _path() -> str:
    """The path for a log, which others read: the address of a shared session opens it, so its end is left out."""
    return str(request.url_rule) if "slug" in (request.view_args or {}) else request.path


def own_origins() -> Iterator[str]:
    """The origins of our own pages, as a browser would name them."""
    yield f"{request.scheme}://{request.host}"
    if public_url := config.current().public_url:
        yield public_url


def _with_headers(response: Response) -> Response:
    once.end()
    kind = g.get("kind") or _kind(response)
    if response.mimetype == "text/html" and not response.is_streamed:
        written = response.get_data()
        if (shown := unseen.shown(written)) is not written:
            response.set_data(shown)
    own = {name.lower() for name, _ in response.headers}  # looked up once: each search would read them all
    asked, add = request_ctx.request, response.headers.add
    for name, value in security_headers.headers_for(kind, is_https=asked.is_secure).items():
        if name.lower() not in own:
            add(name, value)
    if new_sid := g.get("new_sid"):
        keep_signed_in(response, new_sid)
    response.headers["X-Request-Id"] = request_id()
    origin = asked.environ.get("HTTP_ORIGIN")
    if origin and dialect() and origin in config.current().cors_origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Headers"] = "authorization, content-type, x-opencode-directory"
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
    add("Vary", "Origin")
    return response


def _kind(response: Response) -> str:
    if request.endpoint == "static":
        return "vendored" if request.args.get("v") else "static"
    if response.mimetype == "text/html":
        return "page" if g.get("actor") else "public_page"
    return "api"


def _on_error(error: Exception, accent: Accent | None, note_denial: NoteDenial) -> Response:
    """Every error in the envelope of who asked; what we did not foresee is logged with the request's id."""
    if isinstance(error, RequestRedirect):
        return Response(status=error.code, headers={"Location": error.new_url})
    problem = _problem(error)
    _note_refusal(problem, note_denial)
    response = _answer(problem, accent)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _note_refusal(problem: Problem, note_denial: NoteDenial) -> None:
    """Have it written down that somebody known may not, or that somebody unknown has tried too often."""
    caller: Actor | None = g.get("known")
    detail = {**_request_detail(), "reason": problem.message[:300]}
    if problem.status == 403 and caller is not None:
        note_denial(caller, "access", getattr(problem, "key", "") or str(request.url_rule or ""), detail)
    elif problem.status == 429 and caller is None and g.get("kind") != "shared_page":
        note_denial(None, "signin.limited", "", detail)


def _answer(problem: Problem, accent: Accent | None) -> Response:
    if accent is not None and not (g.get("kind") == "public_page" and _wants_html()):
        return accent.problem(problem)
    if not _wants_html():
        return json({"error": problem.message, "code": problem.code}, problem.status, problem_headers(problem))
    if problem.status == 401 and request.method in ("GET", "HEAD"):
        return back(url_for("accounts.signin", next=request.full_path.rstrip("?")))
    if problem.code == SIGN_IN_AGAIN and not is_htmx():
        return back(url_for("accounts.confirm", next=_page_above()))
    is_act = request.method not in ("GET", "HEAD") and problem.status not in (401, 403, 404)
    context = {"problem": problem, "request_id": request_id(), "above": _page_above() if is_act else ""}
    if is_htmx():
        response = fragment("error.html", "notice", problem.status, **context)
    else:
        response = page("error.html", problem.status, **context)
    response.headers.update(problem_headers(problem))
    return response


def _page_above() -> str:
    """The page to come back to: the one that was asked for, or the nearest one above an act that was."""
    if request.method in ("GET", "HEAD"):
        return request.script_root + request.full_path.rstrip("?")
    path = request.path
    adapter = current_app.create_url_adapter(request)
    while adapter is not None and path and not adapter.test(path, "GET"):
        path = path.rpartition("/")[0]
    return request.script_root + (path or "/")


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        problem = Problem(_WORDS.get(error.code or 500, error.name + "."), code=error.name.upper().replace(" ", "_"))
        problem.status = error.code or 500
        return problem
    where = (request_id(), request.method, _path())
    _logger.error("request %s failed: %s %s", *where, exc_info=error)
    return Problem(f"Something broke on the server. The log has it under {request_id()}.")


_WORDS = {
    400: "The request could not be read.",
    404: "There is nothing here, or not for you.",
    405: "This address does not take that method.",
    413: "The body is too large for this address.",
    415: "This address does not take that type of body.",
}


def _wants_html() -> bool:
    return "text/html" in request.headers.get("Accept", "") or is_htmx()
