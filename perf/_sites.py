"""Where nodes and the client stand in an emulated wide area, and how long a packet takes between any two places.

The cloud's figures are averages that IBM publishes for its VPC regions (cloud.ibm.com/docs/vpc, network latency between
regions, 27 July to 25 August 2024): round trips, of which half is taken for one way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

WITHIN_ONE_SITE_MS: Final = 0.1
"""One way, between machines of one site."""

CLOUD: Final = "IBM Cloud VPC, averages of 27 July to 25 August 2024"
ROUND_TRIPS_MS: Final = {
    ("Dallas", "Frankfurt"): 123,
    ("Dallas", "London"): 113,
    ("Dallas", "Washington DC"): 31,
    ("Frankfurt", "London"): 13,
    ("Frankfurt", "Madrid"): 29,
    ("Frankfurt", "Washington DC"): 91,
    ("London", "Madrid"): 27,
    ("London", "Sydney"): 261,
    ("London", "Tokyo"): 244,
    ("London", "Washington DC"): 75,
    ("Sydney", "Tokyo"): 115,
    ("Sydney", "Washington DC"): 214,
    ("Tokyo", "Washington DC"): 166,
}


@dataclass(frozen=True, slots=True)
class Sites:
    """``one_way_ms[a][b]`` between places; the nodes stand at the first ones, in order, the client at the last."""

    name: str
    source: str
    one_way_ms: tuple[tuple[float, ...], ...]

    @property
    def client(self) -> int:
        """The client's place."""
        return len(self.one_way_ms) - 1

    @property
    def nodes(self) -> range:
        """The places of nodes."""
        return range(self.client)


def even_sites(nodes: int, sites: int, one_way_ms: float) -> Sites:
    """Nodes dealt out over so many sites, the client at a place of its own: one delay between any two."""
    homes = [node % sites for node in range(nodes)] + [sites]
    return _of(f"{sites} sites, {one_way_ms:g} ms one way", "emulated", homes, lambda a, b: one_way_ms)


def cloud_sites(nodes: int, regions: Sequence[str]) -> Sites:
    """Nodes dealt out over regions of the cloud, the client in the first one."""
    homes = [node % len(regions) for node in range(nodes)] + [0]

    def one_way_ms(a: int, b: int) -> float:
        return ROUND_TRIPS_MS[min(regions[a], regions[b]), max(regions[a], regions[b])] / 2

    return _of(", ".join(regions), CLOUD, homes, one_way_ms)


def _of(name: str, source: str, homes: Sequence[int], between: Callable[[int, int], float]) -> Sites:
    rows = tuple(
        tuple(0.0 if a == b else WITHIN_ONE_SITE_MS if x == y else between(x, y) for b, y in enumerate(homes))
        for a, x in enumerate(homes)
    )
    return Sites(name, source, rows)
