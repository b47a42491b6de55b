"""RootCX's nonces: what a client that had somebody sign in elsewhere gets its tokens for."""

from __future__ import annotations

from typing import Annotated, Any

from flask import request
from pydantic import BaseModel, Field

from app import web
from app.accounts import service
from app.accounts.rootcx.door import door
from app.accounts.rootcx.shapes import tokens
from app.actor import Actor


class Nonce(BaseModel):
    """POST /auth/nonce-exchange."""

    nonce: Annotated[str, Field(max_length=1000)]


@door.post("/api/v1/auth/nonce-exchange", body=Nonce, answer=dict[str, Any])
@web.public
def exchange_nonce(_actor: Actor | None, body: Nonce) -> dict[str, Any]:
    """Spend a nonce that came with the browser, for an access token and a refresh token."""
    address = request.remote_addr or ""
    return tokens(service.let_client_in(service.take_over(body.nonce), address, request.user_agent.string))
