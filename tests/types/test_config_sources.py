"""Where each value of a configuration came from."""

from __future__ import annotations

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.config_sources import sourced_config, variables
from tests.types.test_node_config import CONFIG

TEXT = CONFIG.to_toml()


def line(key: str) -> str:
    lines = TEXT.splitlines()
    return f"line {1 + next(i for i, text in enumerate(lines) if text.startswith(f'{key} = '))}"


def test_the_environment_comes_before_the_file_and_the_file_before_the_default() -> None:
    found = sourced_config(TEXT, "a.toml", {"DROPBEARD_ENGINE_THREADS": "3", "DROPBEARD_STATE": "/var/lib/x"})
    assert (found.config.engine.threads, found.config.state) == (3, "/var/lib/x")
    sources = found.sources
    assert sources["engine.threads"] == "environment DROPBEARD_ENGINE_THREADS"
    assert sources["state"] == "environment DROPBEARD_STATE"
    assert sources["engine.model"] == line("model")
    assert sources["keys.node"] == line("node")
    assert sources["engine.url"] == "default"
    assert set(sources) >= {"name", "record", "metrics_port", "keys.salt", "engine.backend"}
    assert found.unknown == ()


def test_without_the_environment_the_file_is_what_it_was() -> None:
    assert sourced_config(TEXT, "a.toml", {"PATH": "/bin", "DROPBEARD_STATE": ""}).config == CONFIG


def test_names_keys_and_lists_stand_in_the_file_alone() -> None:
    assert {"DROPBEARD_NAME", "DROPBEARD_KEYS_NODE", "DROPBEARD_CLIENT_NETWORKS", "DROPBEARD_ENGINE"}.isdisjoint(
        variables()
    )


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("DROPBEARD_RECORD", "many", "DROPBEARD_RECORD: Expected `int`"),
        ("DROPBEARD_LOG_LEVEL", "loud", "one of debug, info, warning, error"),
        ("DROPBEARD_RECORD", "-1", "record is -1"),
        ("DROPBEARD_METRICS_PORT", "70000", "metrics_port is 70000"),
        ("DROPBEARD_METRICS_PORT", "9" * 5_000, "DROPBEARD_METRICS_PORT"),
    ],
)
def test_a_wrong_variable_is_a_line_that_names_it(name: str, value: str, part: str) -> None:
    with pytest.raises(ConfigInvalid) as wrong:
        sourced_config(TEXT, "a.toml", {name: value})
    assert part in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_a_variable_that_means_nothing_is_named_with_the_nearest() -> None:
    unknown = sourced_config(TEXT, "a.toml", {"DROPBEARD_STAT": "x", "DROPBEARD_CACHE": "y"}).unknown
    assert unknown == ("DROPBEARD_STAT means nothing; did you mean DROPBEARD_STATE?",)


def test_a_table_that_is_no_table_is_the_files_fault() -> None:
    text = TEXT[: TEXT.index("[engine]")].replace('name = "alice"', 'name = "alice"\nengine = 5')
    with pytest.raises(ConfigInvalid, match=r"a\.toml, line 2: Expected `object`"):
        sourced_config(text, "a.toml", {"DROPBEARD_ENGINE_THREADS": "3"})
