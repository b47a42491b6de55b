"""A file of Roo's settings: what it would change is told item by item, and done whole or not at all."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from app import db, ids, record, redact
from app.actor import Actor
from app.agent import auto_approve, chosen, custom_modes, importing, profiles
from app.agent.importing import Item, Plan, document, pending
from app.agent.importing.kinds import KINDS, NONE_HERE
from app.agent.providers import catalog
from app.errors import Conflict, Denied, NotFound, Problem
from app.mcp import service as mcp
from app.projects import service as projects
from app.projects.service import Place
from app.secrets import models
from app.secrets import service as secrets
from tests.agent.importing.exports import PROFILES, SERVERS, export, key, of_every_kind, raw

MODES = [
    {"slug": "docs", "name": "Docs writer", "roleDefinition": "You write.", "groups": ["read", "browser"]},
    {"slug": "no slug", "name": "x", "roleDefinition": "y", "groups": []},
]


@pytest.fixture
def here(either_database: db.Database, alice: Actor, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A workspace on each engine in turn."""
    root = tmp_path_factory.mktemp("project")
    (root / ".git").mkdir()
    projects.add(alice, str(root))
    return projects.resolve(alice, str(root))


def items(plan: Plan) -> dict[str, Item]:
    return {one.key: one for one in plan.items}


def verdicts(plan: Plan) -> dict[str, str]:
    return {one.key: one.verdict for one in plan.items}


def stored() -> dict[str, int]:
    """How many rows each table has."""
    with db.read() as conn:
        return {table.name: len(conn.execute(table.select()).all()) for table in db.metadata.sorted_tables}


def change(data: dict[str, Any], name: str, **fields: Any) -> dict[str, Any]:
    """An export with one profile changed."""
    data["providerProfiles"]["apiConfigs"][name].update(fields)
    return data


def test_every_item_is_told_and_nothing_is_written(alice: Actor, here: Place) -> None:
    before = stored()
    plan = importing.plan(alice, here, raw(export(mcpServers=SERVERS), bom=True))
    assert stored() == before
    told = items(plan)
    assert {one: told[one].verdict for one in told if told[one].kind != "setting"} == {
        **dict.fromkeys(("provider:openai", "provider:anthropic", "provider:google", "provider:openrouter"), "taken"),
        **dict.fromkeys(("provider:llm.example.com", "provider:lmstudio"), "taken"),
        **dict.fromkeys(("profile:Gemini", "profile:Router", "profile:Local", "profile:Studio"), "taken"),
        **dict.fromkeys(("profile:GPT", "profile:default", "profile:House models"), "changed"),
        **dict.fromkeys(("profile:Cloud", "profile:Empty"), "skipped"),
        **dict.fromkeys(("instructions", "switches"), "taken"),
        **dict.fromkeys(("current:linked", "current:mode", "current:profile"), "taken"),
        "server:clock": "taken",
        "server:far-away": "changed",
        **dict.fromkeys(("server:old", "server:both", "server:asking"), "skipped"),
    }
    assert told["profile:GPT"].why == "Left out: reasoningEffort."
    assert told["profile:default"].why == "It is called default (Roo) here."
    assert "Bedrock" in told["profile:Cloud"].why
    assert told["provider:llm.example.com"].what == "https://llm.example.com/v1, key into the vault"
    assert told["setting:soundEnabled"].verdict == "skipped"
    assert all(one.why for one in plan.items if one.verdict in ("changed", "skipped"))


def test_all_of_it_is_taken_over_and_a_second_time_changes_nothing(alice: Actor, here: Place) -> None:
    data = raw(export(mcpServers=SERVERS))
    done = importing.apply(alice, here, data)
    assert {one.key for one in done.items} == set(done.plan.usual)
    own = {one.name: (one.provider, one.model) for one in profiles.own(alice)}
    assert own == {
        "default (Roo)": ("anthropic", "claude-sonnet-4-5"),
        "GPT": ("openai", "gpt-5.1"),
        "Gemini": ("google", "gemini-2.5-pro"),
        "Router": ("openrouter", "anthropic/claude-sonnet-4.5"),
        "House models": ("llm.example.com", "qwen3-coder"),
        "Local": ("ollama", "qwen3"),
        "Studio": ("lmstudio", "devstral"),
    }
    keys = {"openai": "openai", "anthropic": "anthropic", "google": "gemini", "llm.example.com": "house"}
    for provider, name in keys.items():
        entry = catalog.entry_of(provider)
        assert entry is not None
        assert entry.key == key(name)
    assert chosen.mode(alice, here) == "architect"
    assert profiles.current(alice, here).name == "GPT"
    assert profiles.current(alice, here, "code").name == "GPT"
    assert chosen.get(alice, here).instructions == "Answer in whole sentences."
    switches = auto_approve.get(alice, here)
    assert (switches.auto_approval_enabled, switches.always_allow_write, switches.always_allow_mcp) == (
        True,
        False,
        True,
    )
    assert (switches.allowed_commands, switches.denied_commands) == (("git status", "npm test"), ("rm",))
    servers = {one.server.name: one for one in mcp.list_servers(alice, here, only_look=True)}
    assert (servers["clock"].server.target, servers["clock"].held) == (["python3", "peer.py"], ("PEER_KEY",))
    assert (servers["clock"].server.terms.always, servers["clock"].server.terms.without) == (("echo",), ("crash",))
    assert servers["far-away"].server.enabled is False
    again = importing.apply(alice, here, data)
    assert again.items == ()
    assert again.plan.count("taken", "changed") == 0
    assert again.plan.count("same") == 19
    with db.read() as conn:
        rows = [row for row in conn.execute(record.audit_rows.select()) if row.action == "agent.import"]
    assert [row.detail["skipped"] for row in rows] == [done.plan.count("skipped")]


def test_every_kind_of_provider_is_taken_over_or_says_why_not(alice: Actor, here: Place) -> None:
    plan = importing.apply(alice, here, raw(of_every_kind())).plan
    told = items(plan)
    own = {one.name: one for one in profiles.own(alice)}
    assert set(own) == set(KINDS)
    for name in KINDS:
        entry = catalog.entry_of(own[name].provider)
        assert entry is not None, name
        assert own[name].model == f"model-of-{name}"
    for name in NONE_HERE:
        assert told[f"profile:{name}"].why == NONE_HERE[name]
    with db.read() as conn:
        audited = [row for row in conn.execute(record.audit_rows.select()) if row.action == "secrets.put"]
    assert len(audited) == len({one.provider for one in own.values()})


@pytest.mark.parametrize(
    ("fields", "provider", "address"),
    [
        ({"apiProvider": "openai", "openAiBaseUrl": "https://api.groq.com/openai/v1/"}, "groq", ""),
        ({"apiProvider": "openai"}, "openai", ""),
        ({"apiProvider": "openai", "openAiBaseUrl": "http://localhost:8080/v1"}, "localhost-8080", "http://localhost:8080/v1"),
        ({"apiProvider": "deepseek", "deepSeekBaseUrl": "https://api.deepseek.com"}, "deepseek", ""),
        ({"apiProvider": "anthropic", "anthropicBaseUrl": "https://api.anthropic.com"}, "anthropic", ""),
        ({"apiProvider": "anthropic", "anthropicBaseUrl": "https://claude.example.com"}, "anthropic",
         "https://claude.example.com/v1"),
        ({"apiProvider": "ollama", "ollamaBaseUrl": "http://10.0.0.7:11434"}, "ollama", "http://10.0.0.7:11434/v1"),
        ({"apiProvider": "zai", "zaiApiLine": "china_api"}, "zai", "https://open.bigmodel.cn/api/paas/v4"),
    ],
)  # fmt: skip
def test_an_address_says_which_provider_is_meant(
    place: Place, alice: Actor, fields: dict[str, Any], provider: str, address: str
) -> None:
    given = {"id": "one", "apiModelId": "m", "openAiModelId": "m", "ollamaModelId": "m", "apiKey": key("a"), **fields}
    data = {"providerProfiles": {"currentApiConfigName": "one", "apiConfigs": {"one": given}}}
    importing.apply(alice, place, raw(data))
    [made] = profiles.own(alice)
    assert made.provider == provider
    entry = catalog.entry_of(provider)
    assert not address or (entry is not None and entry.base_url == address)


def test_a_key_that_is_there_stays_unless_somebody_names_it(alice: Actor, here: Place) -> None:
    catalog.connect(alice, "openai", "sk-mine-0123456789")
    data = raw(export())
    importing.apply(alice, here, data)
    assert catalog.entry_of("openai").key == "sk-mine-0123456789"  # type: ignore[union-attr]
    plan = importing.plan(alice, here, data)
    assert (items(plan)["provider:openai"].verdict, items(plan)["provider:openai"].optional) == ("skipped", True)
    assert "provider:openai" not in plan.usual
    importing.apply(alice, here, data, ["provider:openai"])
    assert catalog.entry_of("openai").key == key("openai")  # type: ignore[union-attr]
    assert verdicts(importing.plan(alice, here, data))["provider:openai"] == "same"


def test_no_file_leads_a_key_that_is_kept_to_another_address(alice: Actor, here: Place) -> None:
    catalog.connect(alice, "anthropic", "sk-mine-0123456789")
    data = change(export(), "default", anthropicBaseUrl="https://elsewhere.example.com")
    data["providerProfiles"]["apiConfigs"]["default"].pop("apiKey")
    done = importing.apply(alice, here, raw(data))
    assert "another address" in items(done.plan)["profile:default"].why
    entry = catalog.entry_of("anthropic")
    assert entry is not None
    assert (entry.base_url, entry.key) == ("https://api.anthropic.com/v1", "sk-mine-0123456789")


def test_a_key_goes_to_no_address_but_its_own(alice: Actor, here: Place) -> None:
    catalog.connect(alice, "openai", "", "http://127.0.0.1:9/v1", "Mine")
    done = importing.apply(alice, here, raw(export()))
    assert "another address here" in items(done.plan)["provider:openai"].why
    assert catalog.entry_of("openai").key is None  # type: ignore[union-attr]


def test_two_keys_of_one_provider_are_told_and_the_current_profile_has_the_first_word(
    alice: Actor, here: Place
) -> None:
    data = export()
    data["providerProfiles"]["apiConfigs"]["Other"] = {**PROFILES["GPT"], "id": "o", "openAiNativeApiKey": key("other")}
    done = importing.apply(alice, here, raw(data))
    assert items(done.plan)["provider:openai"].why == "The key of Other is another: a provider has one."
    assert catalog.entry_of("openai").key == key("openai")  # type: ignore[union-attr]


def test_a_name_that_is_somebody_else_s_gets_a_word_more_and_one_s_own_is_changed(alice: Actor, here: Place) -> None:
    catalog.connect(alice, "openai", "sk-mine-0123456789")
    profiles.save(alice, here, "Gemini", "openai", "gpt-5")
    importing.apply(alice, here, raw(export()))
    assert {"Gemini", "Gemini (Roo)"} <= {one.name for one in profiles.own(alice)}
    count = len(profiles.own(alice))
    data = export()
    configs = data["providerProfiles"]["apiConfigs"]
    configs["Gemini 3"] = {**configs.pop("Gemini"), "apiModelId": "gemini-3-pro"}
    done = importing.apply(alice, here, raw(data))
    assert [one.key for one in done.items] == ["profile:Gemini 3"]
    assert items(done.plan)["profile:Gemini 3"].why == "It takes the place of what was imported before."
    own = {one.name: one for one in profiles.own(alice)}
    assert (own["Gemini 3"].model, len(own)) == ("gemini-3-pro", count)
    assert "Gemini (Roo)" not in own


def test_custom_modes_come_along_for_the_whole_server(alice: Actor, here: Place) -> None:
    data = export()
    data["globalSettings"] |= {
        "customModes": MODES,
        "customModePrompts": {"ask": {"customInstructions": "Be brief."}, "docs": {"roleDefinition": "no"}},
    }
    done = importing.apply(alice, here, raw(data))
    told = items(done.plan)
    assert (told["mode:docs"].verdict, told["mode:docs"].what) == ("taken", "docs, for the whole server: read, browser")
    assert "slug" in told["mode:no slug"].why
    assert told["mode:ask"].why == "It takes the place of the built-in mode."
    kept = {one.slug: one for one in custom_modes.list_all(alice)}
    assert set(kept) == {"docs", "ask"}
    assert kept["ask"].custom_instructions == "Be brief."
    again = verdicts(importing.plan(alice, here, raw(data)))
    assert (again["mode:docs"], again["mode:ask"]) == ("same", "same")


def test_a_custom_mode_of_the_file_can_be_the_current_one(alice: Actor, here: Place) -> None:
    data = export()
    data["globalSettings"] |= {"customModes": MODES[:1], "mode": "docs"}
    data["providerProfiles"]["modeApiConfigs"] = {"docs": "gem0000001"}
    done = importing.apply(alice, here, raw(data))
    assert items(done.plan)["current:mode"].what == "Docs writer"
    assert chosen.mode(alice, here) == "docs"
    assert importing.apply(alice, here, raw(data)).items == ()


def test_what_is_not_ticked_is_left_alone(alice: Actor, here: Place) -> None:
    done = importing.apply(alice, here, raw(export(mcpServers=SERVERS)), ["profile:Router", "profile:Cloud", "nothing"])
    assert [one.key for one in done.items] == ["profile:Router"]
    assert [one.name for one in profiles.own(alice)] == ["Router"]
    assert catalog.entry_of("openrouter") is None
    assert mcp.list_servers(alice, here, only_look=True) == []


def test_a_plan_that_is_not_what_was_shown_is_shown_again(alice: Actor, here: Place) -> None:
    data = raw(export())
    shown = importing.plan(alice, here, data)
    chosen.choose(alice, here, instructions="Something else meanwhile.")
    with pytest.raises(Conflict, match="changed since this was shown"):
        importing.apply(alice, here, data, stamp=shown.stamp)
    assert profiles.own(alice) == []
    importing.apply(alice, here, data, stamp=importing.plan(alice, here, data).stamp)


def test_it_is_done_whole_or_not_at_all(alice: Actor, here: Place) -> None:
    catalog.connect(alice, "groq", "sk-mine-0123456789")
    plan = importing.plan(alice, here, raw(export(mcpServers=SERVERS)))
    profiles.save(alice, here, "Studio", "groq", "openai/gpt-oss-120b")
    with pytest.raises(Conflict):
        importing.carry_out(alice, here, plan, plan.usual)
    assert [one.name for one in profiles.own(alice)] == ["Studio"]
    assert catalog.entry_of("openai") is None
    assert chosen.get(alice, here).instructions == ""
    assert mcp.list_servers(alice, here, only_look=True) == []


def test_two_at_once_leave_it_there_once(alice: Actor, here: Place) -> None:
    data = raw(export(mcpServers=SERVERS))
    begin, problems = threading.Barrier(3), []

    def take() -> None:
        begin.wait()
        try:
            importing.apply(alice, here, data)
        except Conflict as late:
            problems.append(late)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(problems) < 3
    assert len(profiles.own(alice)) == 7
    assert importing.plan(alice, here, data).count("taken", "changed") == 0


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        # The profiles alone, as they lie in the editor's own store.
        ({"currentApiConfigName": "a", "apiConfigs": {"a": {"apiProvider": "groq", "groqApiKey": key("a"), "apiModelId": "m"}}},
         {"provider:groq", "profile:a", "current:profile"}),
        # The ids of modes' profiles stood among the settings.
        ({"providerProfiles": {"currentApiConfigName": "a", "apiConfigs": {"a": {"id": "x", "apiProvider": "ollama",
          "ollamaModelId": "m"}}}, "globalSettings": {"modeApiConfigs": {"ask": "x"}}},
         {"profile:a", "current:linked", "current:profile"}),
        # A profile without an id, and no settings.
        ({"providerProfiles": {"currentApiConfigName": "a", "apiConfigs": {"a": {"apiProvider": "ollama",
          "ollamaModelId": "m", "modelTemperature": None}}}, "globalSettings": None}, {"profile:a", "current:profile"}),
        ({"mcpServers": {"a": {"command": "x"}}}, {"server:a"}),
        ({"mcpSettings": {"mcpServers": {"a": {"command": "x"}}}, "providerProfiles": None}, {"server:a"}),
        ({"customModes": MODES[:1]}, {"mode:docs"}),
        ({"globalSettings": {"alwaysAllowWrite": True}}, {"switches"}),
    ],
)  # fmt: skip
def test_files_of_older_versions_and_single_ones_are_read(
    place: Place, alice: Actor, data: dict[str, Any], keys: set[str]
) -> None:
    done = importing.apply(alice, place, raw(data))
    assert {one.key for one in done.items} == keys
    assert importing.apply(alice, place, raw(data)).items == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON: line 1, column 1"),
        (b"{", "no JSON: line 1"),
        (b'{"providerProfiles": {\n"apiConfigs": nothing}}', "line 2, column 15"),
        (b"[]", "no settings of Roo's"),
        (b"3", "no settings of Roo's"),
        (b'{"name": "package.json"}', "no settings of Roo's"),
        (b'{"providerProfiles": []}', "providerProfiles: "),
        (b'{"providerProfiles": {"apiConfigs": {"a": 3}}}', "providerProfiles.apiConfigs.a: "),
        (b'{"providerProfiles": {"currentApiConfigName": 3}}', "providerProfiles.currentApiConfigName: "),
        (b'{"globalSettings": "x"}', "globalSettings: "),
        (b'{"mcpServers": []}', "mcpServers: "),
        (b'{"globalSettings": {"a": "x\\u0000y"}}', "globalSettings.a: "),
        (b'{"globalSettings": {"a\\u0000": 1}}', "globalSettings: "),
        (b'{"globalSettings": ' + b"[" * 40 + b"]" * 40 + b"}", "globalSettings"),
        (b'{"globalSettings": ' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON"),
        (b'{"globalSettings": {"a": "' + b"x" * 1024 * 1024 + b'"}}', "at most 1024 KiB"),
        (b"\xff\xfe\x00", "no JSON"),
        (raw({"apiConfigs": {str(number): {} for number in range(301)}}), "providerProfiles.apiConfigs: "),
        (raw({"globalSettings": {"a": [{"b\0": 1}]}}), "globalSettings.a.0: "),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_told_with_the_place(place: Place, alice: Actor, data: bytes, words: str) -> None:
    before = stored()
    with pytest.raises(Problem) as told:
        importing.plan(alice, place, data)
    assert words in told.value.message
    assert told.value.status in (400, 413)
    assert stored() == before


def test_a_deep_file_of_many_values_takes_little_more_than_itself() -> None:
    name = "k" * 100
    data = b'{"globalSettings": ' + f'{{"{name}": '.encode() * 28 + b"[" + b"0," * 400_000 + b"0]" + b"}" * 29
    assert len(data) < importing.LARGEST
    tracemalloc.start()
    try:
        document.read(data)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * importing.LARGEST


def hostile() -> dict[str, Any]:
    """Names and values that mean harm."""
    good = {"apiProvider": "ollama", "ollamaModelId": "m"}
    names = (
        "../../etc/passwd",
        "__proto__",
        "constructor",
        "a\u202eb",
        "x" * 5000,
        "\x1b[31m",
        " ",
        "<script>alert(1)</script>",
    )
    configs: Mapping[str, Any] = {name: {"id": f"id {name}", **good} for name in names}
    return {
        "providerProfiles": {"currentApiConfigName": "__proto__", "apiConfigs": {
            **configs,
            "key": {"id": "k", "apiProvider": "groq", "groqApiKey": "two words\nX: y", "apiModelId": "m"},
            "model": {"id": "m", "apiProvider": "ollama", "ollamaModelId": "x" * 5000},
            "address": {"id": "a", "apiProvider": "openai", "openAiBaseUrl": "file:///etc/passwd", "openAiModelId": "m"},
            "user": {"id": "u", "apiProvider": "openai", "openAiBaseUrl": "https://a:b@c.example", "openAiModelId": "m"},
            "port": {"id": "p", "apiProvider": "openai", "openAiBaseUrl": "http://x:99999999", "openAiModelId": "m"},
            "bracket": {"id": "b", "apiProvider": "openai", "openAiBaseUrl": "http://[::1", "openAiModelId": "m"},
            "kind": {"id": "q", "apiProvider": {"toString": 1}, "apiModelId": ["m"]},
            "twice": {"id": "k", **good},
        }, "modeApiConfigs": {"__proto__": "k", "../..": "m"}},
        "globalSettings": {
            "__proto__": {"isAdmin": True}, "mode": "../../x", "customInstructions": "x" * 200_000,
            "autoApprovalEnabled": "yes", "allowedCommands": ["x" * 500], "deniedCommands": {"a": 1},
            "allowedMaxRequests": -3, "customModes": {"slug": "x"}, "customModePrompts": [1],
        },
        "mcpServers": {
            "../x": {"command": "true", "cwd": "../.."}, "": {"command": "x"}, "nul": {"command": ""},
            "more": {"command": "x", "timeout": 10**9}, "list": [], "name": {"command": ["sh", "-c", "x"]},
            "in": {"type": "streamable-http", "url": "file:///etc/passwd"},
            "head": {"type": "streamable-http", "url": "https://x.example", "headers": {"A b": "c"}},
            "${env:HOME}": {"command": "${env:OPENAI_API_KEY}"},
        },
    }  # fmt: skip


def test_hostile_values_do_nothing(place: Place, alice: Actor) -> None:
    done = importing.apply(alice, place, raw(hostile()))
    told = items(done.plan)
    assert {one.name for one in profiles.own(alice)} == {
        "../../etc/passwd", "__proto__", "constructor", "<script>alert(1)</script>",
    }  # fmt: skip
    assert {one.provider for one in profiles.own(alice)} == {"ollama"}
    assert told["setting:autoApprovalEnabled"].why == "It is written wrongly."
    assert "at most 200 commands" in told["setting:allowedCommands"].why
    assert auto_approve.get(alice, place) == auto_approve.Switches()
    assert chosen.get(alice, place).instructions == ""
    assert custom_modes.list_all(alice) == []
    assert mcp.list_servers(alice, place, only_look=True) == []
    assert all(one.why for one in done.plan.items if one.kind == "server")
    assert all(char.isprintable() for one in done.plan.items for char in one.name)


def test_nobody_is_told_a_secret(place: Place, alice: Actor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    data = raw(export(mcpServers=SERVERS))
    plan = importing.plan(alice, place, data)
    done = importing.apply(alice, place, data)
    told = [repr(plan), repr(done), importing.told(done, is_dry=False), caplog.text]
    with db.read() as conn:
        told += [str(row) for row in conn.execute(record.audit_rows.select())]
        told += [str(row) for row in conn.execute(record.events.select())]
    assert not [text for text in told if "NEVERSHOWN" in text or "hidden-header" in text]


def test_people_take_over_what_they_may_and_are_told_of_the_rest(place: Place, alice: Actor, bob: Actor) -> None:
    done = importing.apply(bob, place, raw(export(mcpServers=SERVERS, customModes=MODES)))
    told = items(done.plan)
    for one, grant in (
        ("provider:openai", "secrets:write"),
        ("server:clock", "mcp:write"),
        ("mode:docs", "settings:write"),
    ):
        assert (told[one].verdict, told[one].why) == ("skipped", f"It needs the grant {grant}.")
    assert len(profiles.own(bob)) == 7
    assert profiles.own(alice) == []
    assert auto_approve.get(bob, place).auto_approval_enabled
    assert not auto_approve.get(alice, place).auto_approval_enabled


def test_a_look_hides_no_word_from_anybody(place: Place, bob: Actor) -> None:
    """Only what the vault keeps is hidden: a file could name any word as a key."""
    data = change(export(), "GPT", openAiNativeApiKey="everybody")
    importing.apply(bob, place, raw(data))
    assert redact.text("everybody sees it") == "everybody sees it"


def test_the_file_of_the_first_start_is_taken_over_by_one_of_those_that_start(
    here: Place, alice: Actor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("file") / "export.json"
    file.write_bytes(raw(export(mcpServers=SERVERS)))
    begin, told = threading.Barrier(3), []

    def start() -> None:
        begin.wait()
        told.append(importing.at_first_start(file))

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["", "", f"Roo's settings in {file}: 20 taken over, 14 left out."]
    assert len(profiles.own(alice)) == 7
    assert importing.at_first_start(file) == ""


def test_strangers_and_agents_take_over_nothing(place: Place, alice: Actor, charlie: Actor) -> None:
    agent = Actor(id="agent:x", kind="agent", user=alice.user, name="Agent", grants=("*",))
    with pytest.raises(Denied):
        importing.plan(agent, place, raw(export()))
    with pytest.raises((Denied, NotFound)):
        importing.plan(charlie, place, raw(export()))


def test_a_server_gets_a_variable_only_by_hand(place: Place, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_TOKEN", key("environment"))
    data = raw(export(mcpServers=SERVERS))
    told = items(importing.plan(alice, place, data))["server:asking"]
    assert (told.asks, told.act, told.what) == (("HOME_TOKEN",), None, "python3 peer.py")
    importing.apply(alice, place, data, ["server:asking"])
    assert mcp.list_servers(alice, place, only_look=True) == []
    stamp = importing.plan(alice, place, data).stamp
    importing.apply(alice, place, data, ["server:asking"], stamp=stamp, values={"HOME_TOKEN": "given-by-hand"})
    [one] = mcp.list_servers(alice, place, only_look=True)
    assert (one.server.name, one.held) == ("asking", ("TOKEN",))


def test_what_is_beyond_the_limits_is_told(here: Place, alice: Actor) -> None:
    modes = [{"slug": f"m{number}", "name": "M", "roleDefinition": "r", "groups": []} for number in range(103)]
    settings = {"customModes": modes, **{f"setting{number}": 1 for number in range(304)}}
    found = items(importing.plan(alice, here, raw({"globalSettings": settings})))
    modes_left = found["setting:customModes:rest"]
    assert (modes_left.verdict, modes_left.why) == ("skipped", "An import takes 100 modes; 3 more are in the file.")
    assert found["setting:rest"].why.startswith("An import looks at 300 settings; 5 more are in the file")
    assert "mode:m99" in found
    assert "mode:m100" not in found


def test_a_file_that_waits_since_before_a_restart_goes_with_the_sweep(
    here: Place, alice: Actor, bob: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    importing.hold(alice, b"{}")
    secrets.hold("import:first-start", "done", "{}")
    pending.forget_old()
    assert importing.held(alice) == b"{}"
    late = ids.now() + pending.LIFE + 1
    monkeypatch.setattr(pending.ids, "now", lambda: late)
    importing.hold(bob, b"[]")
    pending.forget_old()
    with db.read() as conn:
        for table in (models.secrets, models.keys):
            left = conn.scalars(sa.select(table.c.scope).where(table.c.scope.startswith("held:import:")))
            assert sorted(left) == sorted(["held:import:first-start", f"held:import:{bob.user}"])
