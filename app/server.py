"""Running it: gunicorn around the app, with the hub, the engines and the sweeps inside its one worker.

What the worker needs is imported in it, after the fork: gunicorn's arbiter stays small.
"""

from __future__ import annotations

import functools
import gc
import logging
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.errors import AppImportError
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn, ThreadWorker

from app import beyond, config, listening, onepiece, pace
from app.config import Config
from app.shield import raise_shield
from app.wake import Ringer

_ringers: list[Ringer] = []
_draining = threading.Lock()
CLOSERS = 8
MOST_FILES = 65_536
THREADS = 512  # they start when needed and cost nothing before


def start_background(settings: Config, *, alone: bool = False) -> None:
    """Start what lives beside the web in a serving process, or alone in a worker; the database is in use already."""
    from app import carrier, dispatch, record, redact
    from app.agent import service as agent
    from app.approvals import service as approvals
    from app.audit import service as audit
    from app.checkpoints import service as checkpoints
    from app.events import service as events
    from app.files import service as files
    from app.invites import service as invites
    from app.languages import service as languages
    from app.mcp import service as mcp
    from app.notifications import service as notifications
    from app.processes import orphans
    from app.processes import service as processes
    from app.projects import service as projects
    from app.sandboxes import service as sandboxes
    from app.secrets import service as secrets
    from app.sessions import service as sessions
    from app.terminals import service as terminals

    secrets.start()
    redact.guard_logs()
    orphans.sweep()
    processes.start_background()
    files.start_background()
    languages.start_background()
    terminals.start()
    _acquaint()
    sessions.start()
    _ringers.append(Ringer(settings.data_dir))
    record.use(_ringers[-1])
    carrier.start()
    events.start(settings.data_dir)
    dispatch.start(settings.worker_threads)
    approvals.start()
    mcp.start()
    notifications.start()
    checkpoints.start()
    projects.ensure_defaults()
    audit.start()
    if not alone:
        invites.start()
        files.tell_changes()
        sandboxes.register_ender(processes.end_within)
        sandboxes.start()
    agent.start(hears_of_work=alone)


def _acquaint() -> None:
    """Tell rooms what they want to know of those further down, which they do not know."""
    from app.events import service as events
    from app.projects import service as projects
    from app.secrets import service as secrets
    from app.sessions import service as sessions

    events.register_text(sessions.text_of)
    events.register_directory(sessions.directory_of)
    events.register_place(lambda actor, named: str(projects.resolve(actor, named).directory))
    projects.register_busy(sessions.count_busy_in)
    secrets.register_project(projects.get)


def stop_background() -> None:
    """Stop in order: no new steps, streams closed, work at its boundary, what is queued committed."""
    from app import carrier, db, dispatch, record
    from app.agent.providers import line
    from app.audit import service as audit
    from app.mcp import service as mcp
    from app.notifications import service as notifications

    drain()
    carrier.stop()
    notifications.stop()
    dispatch.stop()
    mcp.stop()
    line.close_all()
    audit.stop()
    db.current().close()
    record.use(None)
    while _ringers:
        _ringers.pop().close()


class CabinWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, whose views may hand over their sockets (see carrier).

    It ends its streams when told to stop, instead of waiting for them. A connection that is closed may linger up
    to two seconds; here it does so aside, where it keeps nobody from being accepted. And no client may be so slow
    that it holds a thread (see pace).
    """

    def init_process(self) -> None:
        """Start the threads in which closed connections linger, then everything."""
        self.closers = ThreadPoolExecutor(CLOSERS, thread_name_prefix="closer")
        onepiece.use()
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Take a request of a connection, at our pace."""
        pace.set_pace(conn, *config.current().client_waits)
        super().enqueue_req(conn)

    def handle(self, conn: Any) -> Any:
        """Answer a request; its view may take the connection."""
        from app import carrier

        carrier.lend(conn)
        try:
            return super().handle(conn)
        finally:
            carrier.lend(None)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> Any:
        """Whether the connection goes on; where no body is left, gunicorn need not set time-outs to drain it."""
        if keepalive and pace.is_spent(conn.parser.mesg.body):
            conn.parser.mesg = None
            return True
        return super()._keepalive_after(conn, keepalive)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose header is whole; a client that takes nothing of the answer is let go."""
        conn.parser.unreader.begin_body()
        try:
            return super().handle_request(req, conn)
        except BlockingIOError:
            raise NoMoreData from None

    def finish_request(self, conn: Any, fs: Any) -> None:
        """Keep the connection, or close it aside; one that was handed over is not gunicorn's any more."""
        if getattr(conn, "is_handed_over", False):
            self.nr_conns -= 1
            return
        conn.close = functools.partial(self._close, conn)
        super().finish_request(conn, fs)
        if self.pending_conns and self.pending_conns[-1] is conn:
            conn.timeout = time.monotonic() + config.current().client_waits[0]

    def _close(self, conn: Any, graceful: bool = False) -> None:
        if graceful:
            self.closers.submit(TConn.close, conn, graceful=True)
        else:
            TConn.close(conn)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """TERM: no new steps and no open streams from now on; requests in hand are answered."""
        super().handle_exit(sig, frame)
        threading.Thread(target=drain, name="drain").start()


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our settings; exactly one worker, threads for requests."""

    def __init__(self, settings: Config) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings."""
        options = {
            "bind": listening.addresses(self.settings),
            "umask": listening.SOCKET_UMASK,
            "workers": 1,
            "worker_class": CabinWorker,
            "threads": THREADS,
            "worker_connections": 12_000,
            "timeout": 120,
            "graceful_timeout": 30,
            "keepalive": 75,
            "limit_request_line": 8190,
            "forwarded_allow_ips": "",  # the guard knows whom to trust (see proxies)
            "forwarder_headers": "",
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": lambda _worker: begin_work(self.settings),
            "worker_exit": lambda _server, _worker: stop_background(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The app, built in the worker; AppImportError, which ends the server, with what keeps it from serving."""
        gc.disable()  # nothing that is built here is garbage; `begin_work` turns it on again
        from app import create_app
        from app.accounts import service as accounts
        from app.errors import Problem

        app = create_app(self.settings)
        try:
            check_stores()
        except Problem as problem:
            raise AppImportError(problem.message) from None
        listening.say_where(self.settings, accounts.first_start())
        return app


def begin_work(settings: Config) -> None:
    """Start the background, and take what is loaded by now out of the garbage collector's rounds: it stays."""
    start_background(settings)
    take_over(settings)
    threading.Thread(target=_say_limits, name="limits", daemon=True).start()
    gc.freeze()
    gc.enable()


def check_stores() -> None:
    """Raise Unavailable, with what to do, unless the database has this version's schema and the vault its key."""
    from app import schema
    from app.secrets import service as secrets

    schema.check()
    secrets.check()


def take_over(settings: Config) -> None:
    """Take over the settings of Roo's that who runs the server named for its first start, and say in a line how."""
    if settings.roo_settings is None:
        return
    from app.agent import importing

    if told := importing.at_first_start(settings.roo_settings):
        print(told, flush=True)


def _say_limits() -> None:
    """Log which limits do not hold here; aside, because the sandbox is tried for it."""
    from app.processes import limits

    if lacking := limits.lacking():
        logging.getLogger(__name__).info("Limits that do not hold on this machine: %s", lacking)


def drain() -> None:
    """Let every engine stop at its next step, and end people's commands and all streams: their clients come back to the
    next start.

    Told by the signal and by the end of the worker at the same time, it is done once; both return when it is.
    """
    from app.agent import service as agent
    from app.events import service as events
    from app.files import service as files
    from app.languages import service as languages
    from app.processes import service as processes
    from app.terminals import service as terminals

    with _draining:
        agent.drain()
        languages.stop()
        processes.stop()
        files.stop()
        terminals.stop()
        events.stop()


def open_files() -> None:
    """Take all the descriptors that the system grants: each open stream is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def work(settings: Config) -> None:
    """Take runs without serving pages, until told to stop. Raises Unavailable with what keeps it from working."""
    from app import db, rooms

    _begin_log()
    rooms.import_models()
    config.use(settings)
    os.umask(0o077)
    raise_shield()
    db.use(db.Database(settings.database_url, settings.durability))
    check_stores()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    start_background(settings, alone=True)
    print(f"Worker {os.getpid()} takes runs from {settings.data_dir}", flush=True)
    told.wait()
    stop_background()


def serve(settings: Config) -> None:
    """Run until told to stop."""
    _begin_log()
    config.use(settings)
    os.umask(0o077)
    beyond.check(settings)
    listening.check(settings)
    open_files()
    raise_shield()
    sys.argv = sys.argv[:1]
    Server(settings).run()


def _begin_log() -> None:
    """Log to standard error, but for the addresses of calls out, which open what lies behind many of them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx2", "httpx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
