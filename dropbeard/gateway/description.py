"""What the gateway says of itself and of its one model: metadata, configuration and index, as the protocol's JSON."""

from __future__ import annotations

from typing import Any, Final

from dropbeard import __version__
from dropbeard.gateway.config import GatewayConfig
from dropbeard.gateway.faults import Fault, Reason
from dropbeard.gateway.main_output import main_output
from dropbeard.gateway.rows import CHANNELS, INPUT
from dropbeard.gateway.tensors import shown
from dropbeard.types.group import Group

SERVER: Final = "dropbeard"
VERSION: Final = "1"
"""Of the model's interface. Which model version each owner ran stands in the certificate."""

EXTENSIONS: Final = ("binary_tensor_data", "classification", "model_configuration", "parameters", "statistics")

Json = dict[str, Any]


class Description:
    """The group as a model."""

    def __init__(self, group: Group, config: GatewayConfig) -> None:
        self.model = config.model or group.task.name
        self.output = main_output(group.task)
        self._group = group
        self._config = config
        self._raw = config.input == "raw"

    def check_model(self, model: str, version: str) -> None:
        """Fault unless it is ours; no version means any."""
        if model != self.model:
            raise Fault(Reason.NOT_FOUND, f"there is no model {shown(model)} here; the model is {self.model!r}")
        if version not in ("", VERSION):
            raise Fault(Reason.NOT_FOUND, f"{self.model} has no version {shown(version)}; it has {VERSION!r}")

    def server(self) -> Json:
        """Server metadata."""
        return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}

    def metadata(self) -> Json:
        """Model metadata. ``outputs`` holds the one that comes unasked: clients ask for all that they find there."""
        given = {"name": INPUT, "datatype": "UINT8" if self._raw else "BYTES", "shape": [-1, *self._dims()]}
        output = {"name": self.output.name, "datatype": self.output.datatype, "shape": [-1, *self.output.dims]}
        return {
            "name": self.model,
            "versions": [VERSION],
            "platform": SERVER,
            "inputs": [given],
            "outputs": [output],
        }

    def _dims(self) -> list[int]:
        return [self._config.height, self._config.width, CHANNELS] if self._raw else [1]

    def config(self) -> Json:
        """Triton's model configuration, as far as it means something here."""
        given = {
            "name": INPUT,
            "data_type": "TYPE_UINT8" if self._raw else "TYPE_STRING",
            "format": "FORMAT_NHWC" if self._raw else "FORMAT_NONE",
            "dims": self._dims(),
        }
        datatype, dims = f"TYPE_{self.output.datatype}", list(self.output.dims)
        return {
            "name": self.model,
            "platform": SERVER,
            "backend": SERVER,
            "version_policy": {"latest": {"num_versions": 1}},
            "max_batch_size": self._config.batch_max,
            "input": [given],
            "output": [{"name": self.output.name, "data_type": datatype, "dims": dims}],
            "parameters": {
                "dropbeard_group": {"string_value": self._group.id.hex()},
                "dropbeard_owners": {"string_value": ", ".join(owner.name for owner in self._group.owners)},
                "dropbeard_task": {"string_value": self._group.task.kind.name.lower()},
                "dropbeard_faults": {"string_value": str(self._group.f)},
            },
        }

    def index(self, is_ready: bool) -> list[Json]:
        """The repository's index: one model."""
        state, reason = ("READY", "") if is_ready else ("UNAVAILABLE", "the group is not reached")
        return [{"name": self.model, "version": VERSION, "state": state, "reason": reason}]
