"""A node's configuration: strict, without secrets, and it reads back as it was written."""

from __future__ import annotations

import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.node_config import EngineTable, KeysTable, NodeConfig, config_from_toml

CONFIG = NodeConfig(
    name="alice",
    genesis="genesis.toml",
    state="state",
    keys=KeysTable("node.key", "curve.key", "salt.key", "ALICE_PASSPHRASE"),
    engine=EngineTable("ipc://engine.sock", "efficientnet-lite0"),
    listen="0.0.0.0",
)


def test_a_configuration_reads_back() -> None:
    assert config_from_toml(CONFIG.to_toml(), "alice.toml") == CONFIG


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("threads = 1", "thread = 1", "did you mean `threads`"),
        ("threads = 1", "threads = 0", "engine.threads is 0"),
        ("threads = 1", "threads = 'one'", "Expected `int`"),
        ('backend = "onnx"', 'backend = "cuda"', "backend"),
        ('log_level = "info"', 'log_level = "loud"', "log_level"),
        ('listen = "0.0.0.0"', 'listen = "not an address"', "listen"),
        ('state = "state"\n', "", "missing required field `state`"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_file_and_key(old: str, new: str, part: str) -> None:
    text = CONFIG.to_toml()
    assert old in text
    with pytest.raises(ConfigInvalid) as wrong:
        config_from_toml(text.replace(old, new), "alice.toml")
    assert part in str(wrong.value)
    assert "alice.toml" in str(wrong.value)
    assert "\n" not in str(wrong.value)
