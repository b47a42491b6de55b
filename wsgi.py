"""The WSGI entry: `gunicorn wsgi:app`. Background work starts with the server (see app/server.py), never here."""

import os

from app import create_app
from app.config import Config

app = create_app(Config.from_environ(os.environ))
