"""A node's configuration: strict, without secrets, and it reads back as it was written."""

from __future__ import annotations

import msgspec
import pytest

from dropbeard.errors import ConfigInvalid
from dropbeard.types.node_config import EngineTable, KeysTable, NodeConfig, config_from_toml

CONFIG = NodeConfig(
    name="alice",
    genesis="genesis.toml",
    state="state",
    keys=KeysTable("node.key", "curve.key", "salt.key", "ALICE_PASSPHRASE"),
    engine=EngineTable("efficientnet-lite0"),
    listen="0.0.0.0",
)


def test_a_configuration_reads_back() -> None:
    assert config_from_toml(CONFIG.to_toml(), "alice.toml") == CONFIG


@pytest.mark.parametrize("rows", [((1, 100),), ((1, 2_080), (8, 3_290))])
def test_a_measured_service_time_reads_back(rows: tuple[tuple[int, int], ...]) -> None:
    engine = EngineTable("synthetic", backend="synthetic", service_time_us=rows)
    config = msgspec.structs.replace(CONFIG, engine=engine)
    assert config_from_toml(config.to_toml(), "alice.toml") == config


@pytest.mark.parametrize("rows", [(), ((0, 1),), ((2, 1), (1, 1)), ((1, -1),), ((1, 60_000_001),), ((1, 1), (1, 2))])
def test_a_service_time_that_does_not_ascend_is_refused(rows: tuple[tuple[int, int], ...]) -> None:
    engine = EngineTable("synthetic", backend="synthetic", service_time_us=rows)
    with pytest.raises(ConfigInvalid, match=r"engine.service_time_us needs rows \[inputs, microseconds\]"):
        config_from_toml(msgspec.structs.replace(CONFIG, engine=engine).to_toml(), "alice.toml")


def test_streams_are_for_backends_on_the_processor() -> None:
    for backend in ("onnx", "openvino"):
        engine = EngineTable("m", backend=backend, streams=2)
        config = msgspec.structs.replace(CONFIG, engine=engine)
        assert config_from_toml(config.to_toml(), "alice.toml") == config
    config = msgspec.structs.replace(CONFIG, engine=EngineTable("m", backend="tensorrt", streams=2))
    with pytest.raises(ConfigInvalid, match="engine.streams goes with the backends onnx and openvino"):
        config_from_toml(config.to_toml(), "alice.toml")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("threads = 1", "thread = 1", "did you mean `threads`"),
        ("threads = 1", "threads = 0", "engine.threads is 0"),
        ("threads = 1", "threads = 'one'", "Expected `int`"),
        ("streams = 1", "streams = 0", "engine.streams is 0"),
        ('backend = "onnx"', 'backend = "cuda"', "backend"),
        ('log_level = "info"', 'log_level = "loud"', "log_level"),
        ("device = 0", "device = 256", "engine.device is 256"),
        ('backend = "onnx"', 'backend = "oip"', "the backend oip needs engine.url"),
        ("device = 0", 'url = "http://host:8000"', "is for the backend oip alone"),
        ("device = 0", "service_time_us = [[1, 100]]", "for the backend synthetic alone"),
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
