"""The ZeroMQ client binding: ask all nodes of a group, verify, return the agreed answer with its certificate."""

from dropbeard.client.answers import Answer, Grade, OwnerResult, SavedCertificate
from dropbeard.client.client import Client

__all__ = ["Answer", "Client", "Grade", "OwnerResult", "SavedCertificate"]
