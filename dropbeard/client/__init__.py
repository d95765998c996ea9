"""The ZeroMQ client binding: ask all nodes of a group, verify, return the agreed answer with its certificate."""

from dropbeard.client.answers import Answer, Grade, OwnerResult, Provisional, SavedCertificate
from dropbeard.client.async_client import AsyncClient
from dropbeard.client.client import Client
from dropbeard.client.options import Options

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Grade",
    "Options",
    "OwnerResult",
    "Provisional",
    "SavedCertificate",
]
