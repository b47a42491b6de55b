"""Which providers and models there are, from every source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from app import config, db
from app.actor import Actor
from app.agent.providers import (
    Cancel,
    Done,
    Image,
    ProviderFailed,
    Request,
    Text,
    Usage,
    UserTurn,
    catalog,
    trying,
)
from app.agent.providers.known import KNOWN
from app.errors import Denied, Invalid, NotFound
from app.secrets import service as secrets
from tests.model_server import Fail, ModelServer, Say, Stall
from tests.model_wires import wire_of

ASKED = Request("scripted", "", (UserTurn((Text("hello"),)),))


@pytest.fixture(autouse=True)
def bare(database: db.Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no home, no Ollama."""
    for known in KNOWN.values():
        for name in (*known.keys, known.base_url_key):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(catalog, "OLLAMA_URL", "http://127.0.0.1:1")
    catalog._fetched.clear()


def listed(actor: Actor, directory: Path | None = None) -> dict[str, catalog.ProviderInfo]:
    return {one.id: one for one in catalog.list_providers(actor, directory)}


def write(directory: Path, content: dict[str, Any] | str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    (directory / "opencode.json").write_text(text)
    return directory


def keys_sent(server: ModelServer) -> list[str | None]:
    return [headers.get("Authorization") for headers in server.headers]


def ask(actor: Actor, provider: str, directory: Path | None = None) -> None:
    deltas = list(catalog.resolve(actor, provider, "scripted", directory).stream(ASKED, Cancel()))
    assert isinstance(deltas[-1], Done)


def test_without_any_key_there_is_the_demo(alice: Actor) -> None:
    assert list(listed(alice)) == ["demo"]
    assert catalog.default_model() == ("demo", "walkthrough")
    assert catalog.resolve(alice, "demo", "walkthrough").id == "demo"
    assert catalog.cost("demo", "walkthrough", Usage(100, 100)) == 0.0


def test_a_key_in_the_environment_brings_its_provider(alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    found = listed(alice)["openai"]
    assert (found.name, found.source) == ("OpenAI", "env")
    model = next(one for one in found.models if one.id == "gpt-5")
    assert model.context == 400_000
    assert model.price_in == pytest.approx(1.25)
    assert catalog.default_model()[0] == "openai"


@pytest.mark.parametrize(
    ("variable", "provider", "name", "model"),
    [
        ("ANTHROPIC_API_KEY", "anthropic", "Anthropic", "claude-opus-5-5"),
        ("GOOGLE_GENERATIVE_AI_API_KEY", "google", "Google", "gemini-2.5-pro"),
        ("GEMINI_API_KEY", "google", "Google", "gemini-2.5-pro"),
    ],
)
def test_anthropic_and_google_are_there_by_their_keys(
    alice: Actor, monkeypatch: pytest.MonkeyPatch, variable: str, provider: str, name: str, model: str
) -> None:
    monkeypatch.setenv(variable, "key-1")
    found = listed(alice)[provider]
    assert (found.name, found.source) == (name, "env")
    info = next(one for one in found.models if one.id == model)
    assert info.price_in is not None
    assert info.price_cached is not None
    assert info.price_cached < info.price_in
    first, chosen = catalog.default_model()
    assert first == provider
    assert chosen in {one.id for one in found.models}
    cost = catalog.cost(provider, model, Usage(input=1000, cache_read=1000, cache_write=1000, output=100))
    assert cost is not None
    assert cost > 0
    assert {one.id.split("-")[0] for one in found.models} <= {"claude", "gemini", "gemma"}
    assert provider == "anthropic" or "claude" not in str([one.id for one in found.models])


@pytest.mark.parametrize(
    ("variable", "provider", "wire", "key"),
    [
        ("ANTHROPIC_BASE_URL", "anthropic", "anthropic", "x-api-key"),
        ("GOOGLE_GEMINI_BASE_URL", "google", "google", "x-goog-api-key"),
    ],
)
@pytest.mark.parametrize("version", [True, False], ids=["with version", "without"])
def test_base_urls_lead_elsewhere_with_their_version_or_without(
    alice: Actor,
    monkeypatch: pytest.MonkeyPatch,
    model_server: ModelServer,
    variable: str,
    provider: str,
    wire: str,
    key: str,
    version: bool,
) -> None:
    url = model_server.urls[wire]
    monkeypatch.setenv(variable, url if version else url.rpartition("/")[0] + "/")
    assert [one.id for one in listed(alice)[provider].models] == ["scripted"]
    ask(alice, provider)
    assert key not in model_server.headers[0]
    monkeypatch.setenv(KNOWN[provider].keys[0], "key-1")
    ask(alice, provider)
    assert model_server.headers[1][key] == "key-1"
    assert catalog.cost(provider, "scripted", Usage(1000, 1000)) is None


def test_the_own_base_url_written_out_is_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://api.anthropic.com")
    assert catalog.default_model() == ("demo", "walkthrough")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "key-1")
    assert catalog.cost("anthropic", "claude-opus-5-5", Usage(input=1_000_000)) == pytest.approx(4)


def test_prices_are_those_of_the_provider_with_its_cache(alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    whole = catalog.cost("openai", "gpt-5", Usage(input=1000, output=100))
    cached = catalog.cost("openai", "gpt-5", Usage(input=200, cache_read=800, output=60, reasoning=40))
    assert whole is not None
    assert cached is not None
    assert whole == pytest.approx(0.00225)
    assert cached < whole


def test_a_base_url_of_our_own_has_no_prices_and_names_its_models(
    alice: Actor, monkeypatch: pytest.MonkeyPatch, model_server: ModelServer
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    assert [one.id for one in listed(alice)["openai"].models] == ["scripted"]
    assert catalog.default_model() == ("openai", "scripted")
    assert catalog.cost("openai", "scripted", Usage(1000, 1000)) is None
    ask(alice, "openai")


def test_the_setting_names_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "k")
    config.use(config.Config(model="groq/llama-3.3-70b-versatile", data_dir=config.current().data_dir))
    assert catalog.default_model() == ("groq", "llama-3.3-70b-versatile")


def test_a_default_whose_provider_is_gone_is_passed_over() -> None:
    config.use(config.Config(model="groq/llama", data_dir=config.current().data_dir))
    assert catalog.default_model() == ("demo", "walkthrough")


def test_a_connected_key_is_used_and_survives(alice: Actor, model_server: ModelServer) -> None:
    catalog.connect(alice, "lab", "sk-lab", model_server.url, "The lab")
    found = listed(alice)["lab"]
    assert (found.name, found.source, found.models[0].id) == ("The lab", "vault", "scripted")
    ask(alice, "lab")
    assert keys_sent(model_server) == ["Bearer sk-lab"]
    catalog.disconnect(alice, "lab")
    assert "lab" not in listed(alice)
    with pytest.raises(NotFound):
        catalog.disconnect(alice, "lab")


def test_a_bare_key_in_the_vault_will_do_for_a_known_provider(alice: Actor) -> None:
    secrets.put(alice, secrets.PROVIDER, "deepseek", "sk-ds")
    assert listed(alice)["deepseek"].source == "vault"


def test_members_use_what_admins_connect(alice: Actor, bob: Actor, model_server: ModelServer) -> None:
    catalog.connect(alice, "lab", "sk-lab", model_server.url)
    ask(bob, "lab")
    for forbidden in (
        lambda: catalog.connect(bob, "lab", "mine", model_server.url),
        lambda: catalog.disconnect(bob, "lab"),
        lambda: trying.test_key(bob, "lab", model_server.url, "k"),
    ):
        with pytest.raises(Denied):
            forbidden()


def test_strangers_see_and_use_nothing(charlie: Actor) -> None:
    with pytest.raises(Denied):
        catalog.list_providers(charlie)
    with pytest.raises(Denied):
        catalog.resolve(charlie, "demo", "walkthrough")


@pytest.mark.parametrize(("provider", "url"), [("Bad Id", ""), ("demo", ""), ("unknown", ""), ("lab", "ftp://x")])
def test_a_connection_that_makes_no_sense_is_refused(alice: Actor, provider: str, url: str) -> None:
    with pytest.raises(Invalid):
        catalog.connect(alice, provider, "k", url)


def test_a_provider_that_is_not_configured_says_what_to_do(alice: Actor) -> None:
    with pytest.raises(ProviderFailed, match="Set OPENAI_API_KEY or connect") as caught:
        catalog.resolve(alice, "openai", "gpt-5")
    assert caught.value.auth


def test_the_server_s_own_opencode_json_is_trusted(
    alice: Actor, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_KEY", "sk-env")
    models = {"scripted": {"name": "Scripted", "limit": {"context": 8000, "output": 1000},
                           "cost": {"input": 1, "output": 2}, "options": {"temperature": 0.5}}}  # fmt: skip
    options = {"baseURL": model_server.url, "apiKey": "{env:LAB_KEY}"}
    write(
        config.current().data_dir,
        {"provider": {"lab": {"options": options, "models": models}}, "model": "lab/scripted"},
    )
    model = listed(alice)["lab"].models[0]
    assert (model.context, model.output, model.price_out) == (8000, 1000, 2.0)
    assert catalog.default_model() == ("lab", "scripted")
    assert catalog.cost("lab", "scripted", Usage(input=1_000_000, output=500_000)) == pytest.approx(2.0)
    ask(alice, "lab")
    assert keys_sent(model_server) == ["Bearer sk-env"]
    assert model_server.requests[0]["temperature"] == 0.5


def test_a_project_s_provider_gets_no_secret_of_ours(
    alice: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ours")
    options = {"baseURL": "https://evil.example/v1", "apiKey": "{env:OPENAI_API_KEY}"}
    project = write(tmp_path / "p", {"provider": {"evil": {"options": options}, "openai": {"options": options}}})
    evil = catalog.entry_of("evil", project)
    ours = catalog.entry_of("openai", project)
    assert evil is not None
    assert ours is not None
    assert (evil.key, evil.trusted) == ("{env:OPENAI_API_KEY}", False)
    assert (ours.base_url, ours.key, ours.trusted) == ("https://api.openai.com/v1", "sk-ours", True)


def test_a_project_s_address_is_checked(alice: Actor, tmp_path: Path, model_server: ModelServer) -> None:
    project = write(tmp_path / "p", {"provider": {"near": {"options": {"baseURL": model_server.url}}}})
    with pytest.raises(ProviderFailed, match="not allowed"):
        ask(alice, "near", project)
    assert model_server.requests == []


@pytest.mark.parametrize(
    ("npm", "wire"),
    [("@ai-sdk/anthropic", "anthropic"), ("@ai-sdk/google", "google"), ("@ai-sdk/openai-compatible", "openai")],
)
def test_a_configuration_names_the_wire_and_what_a_model_takes(
    alice: Actor, model_server: ModelServer, npm: str, wire: str
) -> None:
    cost = {"input": 1, "output": 2, "cache_read": 0.1, "cache_write": 4}
    model = {"modalities": {"input": ["text"], "output": ["text"]}, "cost": cost}
    given = {"npm": npm, "options": {"baseURL": model_server.urls[wire]}, "models": {"scripted": model}}
    write(config.current().data_dir, {"provider": {"lab": given}})
    assert not listed(alice)["lab"].models[0].images
    usage = Usage(input=1_000_000, cache_read=1_000_000, cache_write=1_000_000)
    assert catalog.cost("lab", "scripted", usage) == pytest.approx(5.1)
    picture = Image("data:image/png;base64,AAAA", "image/png")
    request = Request("scripted", "", (UserTurn((picture,)),))
    assert isinstance(list(catalog.resolve(alice, "lab", "scripted").stream(request, Cancel()))[-1], Done)
    assert wire_of(model_server.paths[0]) == wire
    assert "cannot take" in str(model_server.requests[0])


def test_wires_we_do_not_speak_are_left_out(alice: Actor, tmp_path: Path) -> None:
    given = {"npm": "@ai-sdk/amazon-bedrock", "options": {"baseURL": "https://x.example"}}
    project = write(tmp_path / "p", {"provider": {"claude": given, "odd": "text", "none": {}}})
    assert list(listed(alice, project)) == ["demo"]


def test_a_key_is_tested_before_it_is_kept(alice: Actor, model_server: ModelServer) -> None:
    good = trying.test_key(alice, "lab", model_server.url, "right")
    assert (good.ok, good.models) == (True, ("scripted",))
    assert trying.test_key(alice, "lab", model_server.url, "wrong").message == "The key was refused."
    gone = trying.test_key(alice, "lab", "http://127.0.0.1:1/v1", "k")
    assert not gone.ok
    assert "cannot be reached" in gone.message
    with pytest.raises(Invalid):
        trying.test_key(alice, "lab", "", "k")


@pytest.mark.parametrize("provider", ["anthropic", "google"])
def test_keys_of_other_wires_are_tested_on_them(alice: Actor, model_server: ModelServer, provider: str) -> None:
    good = trying.test_key(alice, provider, model_server.urls[provider], "right")
    assert (good.ok, good.models) == (True, ("scripted",))
    assert trying.test_key(alice, provider, model_server.urls[provider], "wrong").message == "The key was refused."
    catalog.connect(alice, provider, "right", model_server.urls[provider])
    ask(alice, provider)
    assert "right" in model_server.headers[0].values()


def test_a_model_that_fails_again_and_again_is_left_alone_by_all_who_ask(
    alice: Actor, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    model_server.script = [[Fail(503)]] * 5
    for _ in range(5):
        with pytest.raises(ProviderFailed, match="503"):
            ask(alice, "openai")
    with pytest.raises(ProviderFailed, match="left alone"):
        ask(alice, "openai")
    assert len(model_server.requests) == 5


def test_the_waits_are_those_of_the_settings(
    alice: Actor, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.use(replace(config.current(), model_waits=(1, 0.05, 1)))
    monkeypatch.setenv("OPENAI_BASE_URL", model_server.url)
    model_server.script = [[Stall()]]
    with pytest.raises(ProviderFailed, match="silent"):
        ask(alice, "openai")
    given = config.Config.from_environ({"SIGNALCABIN_MODEL_WAITS": "1, 2.5, 3"})
    assert given.model_waits == (1, 2.5, 3)
    assert config.Config.from_environ({}).model_waits == (10, 60, 90)
    for wrong in ("1,2", "1,2,x", "1,2,0", "1,2,inf"):
        with pytest.raises(Invalid, match="MODEL_WAITS"):
            config.Config.from_environ({"SIGNALCABIN_MODEL_WAITS": wrong})


def test_a_local_ollama_is_found(alice: Actor, model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert catalog.find_ollama() is None
    monkeypatch.setattr(catalog, "OLLAMA_URL", model_server.url.removesuffix("/v1"))
    assert [one.id for one in catalog.find_ollama() or ()] == ["qwen3:8b"]
    assert listed(alice)["ollama"].models[0].id == "qwen3:8b"
    assert catalog.default_model() == ("ollama", "qwen3:8b")
    model_server.script.append([Say("hi")])
    ask(alice, "ollama")
