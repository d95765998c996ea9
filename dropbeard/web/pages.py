"""The pages, rendered: what is known becomes HTML. Every text that is put in is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2s
from importlib import resources
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dropbeard.storage.files import DISCLOSED
from dropbeard.types.group import Group
from dropbeard.types.ids import OwnerId
from dropbeard.types.status import NodeStatus
from dropbeard.verification.aggregate import plurality
from dropbeard.verification.browser.page import verifier_script
from dropbeard.verification.certificate import Verified
from dropbeard.verification.lineage import Lineage
from dropbeard.web import charts
from dropbeard.web.archive import Read
from dropbeard.web.disagreement import Compared
from dropbeard.web.explorer import Report, label_of, time_of
from dropbeard.web.live import DASH, Live
from dropbeard.web.timeline import Timeline

PAGES: Final = (("/", "Node"), ("/group", "Group"), ("/models", "Models"), ("/certificates", "Certificates"))
DISCLOSED_SHOWN: Final = 25
HEAT: Final = (0.0, 0.05, 0.15, 0.4)
"""Shares of disagreement above which a cell is shaded one step more."""

STATIC: Final = {
    "style.css": "text/css; charset=utf-8",
    "live.js": "text/javascript; charset=utf-8",
    "explorer.js": "text/javascript; charset=utf-8",
    "verify.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

BOX: Final = {
    "width": charts.WIDTH,
    "height": charts.HEIGHT,
    "left": charts.LEFT,
    "right": charts.RIGHT,
    "top": charts.TOP,
    "bottom": charts.BOTTOM,
    "middle": (charts.TOP + charts.BOTTOM) // 2,
}

_TEMPLATES: Final = Environment(
    loader=PackageLoader("dropbeard.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    auto_reload=False,
)


@dataclass(frozen=True, slots=True)
class Known:
    """All that a page is made of. ``owner`` names the node also while it does not answer."""

    owner: str
    group: Group
    live: Live
    status: NodeStatus | None
    read: Read


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """An owner of the group; ``place`` is the node's own number for it, None when the node does not name it."""

    id: OwnerId
    name: str
    endpoint: str
    place: int | None


@dataclass(frozen=True, slots=True)
class DisclosedRow:
    """A disclosed certificate in the list."""

    request: str
    label: str
    margin: str
    height: int
    time: str


@lru_cache(maxsize=len(STATIC))
def static_file(name: str) -> bytes:
    """A file that pages refer to."""
    if name == "verify.js":
        return verifier_script().encode()
    return (resources.files("dropbeard.web") / "static" / name).read_bytes()


def static_address(name: str) -> str:
    """Its address: another one when the file is another, so that it can be kept."""
    return f"/static/{name}?{blake2s(static_file(name), digest_size=6).hexdigest()}"


def node_page(known: Known) -> str:
    """My node."""
    return _page("node.html", PAGES[0][1], known, charts=charts.CHARTS, box=BOX, status=known.status)


def group_page(known: Known) -> str:
    """The group, and who disagrees with whom."""
    current = known.read.lineage.groups[-1]
    named = [] if known.status is None else [model.owner for model in known.status.chain.models]
    owners = [
        OwnerRow(owner.id, owner.name, owner.endpoints.clients, _place(named, owner.name)) for owner in current.owners
    ]
    refused, matrix = known.read.refused, known.read.disagreement
    found = {"owners": owners, "matrix": matrix, "refused": refused, "directory": DISCLOSED, "cell": _cell}
    return _page("group.html", PAGES[1][1], known, **found)


def _place(named: Sequence[str], owner: str) -> int | None:
    return named.index(owner) if owner in named else None


def _cell(compared: Compared | None) -> Markup:
    """A cell of the matrix: the share, and of how many."""
    share = None if compared is None else compared.share
    if compared is None or share is None:
        return Markup('<td class="n">{}</td>').format(DASH)
    heat = sum(share > step for step in HEAT)
    text = f"{100 * share:.0f} %" if share in (0, 1) or share >= 0.1 else f"{100 * share:.1f} %"
    cell = Markup('<td class="n heat-{}">{}<small>{} of {}</small></td>')
    return cell.format(heat, text, compared.differ, compared.both)


def models_page(known: Known) -> str:
    """Versions in force by height."""
    found = known.read.timeline
    timeline = found if isinstance(found, Timeline) else None
    replayed = 0 if timeline is None else timeline.height
    height = replayed if known.status is None else max(replayed, known.status.chain.height)
    lanes = () if timeline is None else charts.lanes(timeline, height)
    return _page("models.html", PAGES[2][1], known, timeline=timeline, lanes=lanes, height=height, reason=found)


def certificates_page(known: Known, report: Report | None = None) -> str:
    """The explorer: a form, a report where one was asked for, and what clients disclosed."""
    lineage = known.read.lineage
    total = len(known.read.certificates)
    rows = [_disclosed(one, lineage) for one in known.read.certificates[:DISCLOSED_SHOWN]]
    found = {"report": report, "disclosed": rows, "total": total, "directory": DISCLOSED}
    return _page("certificates.html", PAGES[3][1], known, **found)


def _disclosed(verified: Verified, lineage: Lineage) -> DisclosedRow:
    decision = plurality(verified)
    label = label_of(decision, lineage) if verified.answers else "expired"
    margin = str(decision.margin) if verified.answers else DASH
    return DisclosedRow(verified.request.hex(), label, margin, int(verified.height), time_of(verified))


def message_page(known: Known, title: str, message: str) -> str:
    """A page that says why there is nothing to show."""
    return _page("message.html", title, known, message=message)


def _page(template: str, title: str, known: Known, **values: Any) -> str:
    now = known.live

    def live(key: str) -> Markup:
        return Markup('<span data-live="{}">{}</span>').format(key, now.texts.get(key, DASH))

    def state(key: str) -> Markup:
        text, kind = now.texts.get(key, DASH), now.states.get(key, "none")
        return Markup('<span class="state" data-live="{}" data-state="{}">{}</span>').format(key, kind, text)

    shared = {"title": title, "owner": known.owner, "group": known.group, "pages": PAGES, "static": static_address}
    return _TEMPLATES.get_template(template).render(now=now, live=live, state=state, **shared, **values)
