"""The whole gallery for verifiers of any language: files, and the verdict that each must give of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dropbeard.types.certificates import Certificate
from dropbeard.types.entries import EntryKind
from dropbeard.types.genesis_file import genesis_from_toml, genesis_to_toml
from dropbeard.types.group import Group
from dropbeard.types.limits import GENESIS_BYTES_MAX, LABELS_MAX
from dropbeard.types.outputs import OutputKind
from dropbeard.types.succession import encode_successions
from dropbeard.types.task import Input
from tests.verification.building import CLASSES, GOOD, IMAGE, Plan, World, build, output, world
from tests.verification.epochs import CERTIFICATES, LINEAGE, SUCCESSIONS
from tests.verification.gallery import DEFECTS
from tests.verification.later_epochs import GOOD as ENDINGS
from tests.verification.later_epochs import SECOND, VERDICTS
from tests.verification.later_epochs import UNREADABLE as NO_SUCCESSIONS
from tests.verification.task_geneses import CLASSES as CLASSIFYING
from tests.verification.task_geneses import CLIENTS, NO_CLIENTS, NO_TASKS, TASKS, Task, genesis_of
from tests.verification.task_outputs import NO_OUTPUTS, OUTPUTS
from tests.verification.unreadable import NO_CERTIFICATES, UNREADABLE

Verdict = tuple[str, int | None]
VALID: Verdict = ("valid", None)
UNREADABLE_FILE: Verdict = ("unreadable", None)
WORLD = world()
GENESIS = genesis_to_toml(WORLD.group)


@dataclass(frozen=True)
class Exhibit:
    """What a verifier is given, and its verdict with the failed step."""

    name: str
    certificate: bytes
    verdict: Verdict
    genesis: bytes = GENESIS.encode()
    image: bytes | None = None
    successions: bytes | None = None


def _of_plans() -> list[Exhibit]:
    good = [Exhibit(name, build(WORLD, plan).encode(), VALID) for name, plan in GOOD.items()]
    seven = world(7)
    plan = Plan(base=(0, 1, 2, 3, 4), late=((5,), (6,)), links=2)
    linked = build(seven, plan).encode()
    votes = {
        "a tie": {0: output(3), 1: output(4), 2: output(5)},
        "a tie that the median breaks": {0: output(3, 30_000), 1: output(3, 30_001), 2: output(4, 50_000)},
        "two against one": {0: output(9), 1: output(3), 2: output(3)},
    }
    return [
        *good,
        Exhibit("seven owners, two supplements", linked, VALID, genesis_to_toml(seven.group).encode()),
        Exhibit("a genesis of another group", linked, ("invalid", 2)),
        *(Exhibit(name, build(WORLD, Plan(votes=given)).encode(), VALID) for name, given in votes.items()),
    ]


def _of_defects() -> list[Exhibit]:
    made = [Exhibit(name, make(WORLD).encode(), ("invalid", step)) for name, (step, make) in DEFECTS.items()]
    good = build(WORLD, Plan())
    broken = [Exhibit(name, change(good).encode(), UNREADABLE_FILE) for name, change in UNREADABLE.items()]
    others = [Exhibit(name, data, UNREADABLE_FILE) for name, data in NO_CERTIFICATES.items()]
    data = good.encode()
    cut = [Exhibit(f"{length} bytes of a certificate", data[:length], UNREADABLE_FILE) for length in (9, 300, 900)]
    return [*made, *broken, *others, *cut, Exhibit("a byte too many", data + b"\0", UNREADABLE_FILE)]


def _of_inputs() -> list[Exhibit]:
    data = build(WORLD, Plan()).encode()
    long = Input(IMAGE.kind, IMAGE.shape, bytes(range(251)) * 300)
    about_long = build(WORLD, Plan(image=long)).encode()
    return [
        Exhibit("the input is the one", data, VALID, image=IMAGE.data),
        Exhibit("the input is the one, of many chunks", about_long, VALID, image=long.data),
        Exhibit("the input is another", data, ("invalid", 10), image=IMAGE.data + b"\0"),
        Exhibit("the input is empty", data, ("invalid", 10), image=b""),
    ]


def _of_epochs() -> list[Exhibit]:
    group = LINEAGE.groups[0]
    genesis = genesis_to_toml(group).encode()
    all_of_them, first = (encode_successions(group.id, SUCCESSIONS[:count]) for count in (2, 1))

    def exhibit(name: str, of: Certificate, verdict: Verdict, successions: bytes | None) -> Exhibit:
        return Exhibit(name, of.encode(), verdict, genesis, successions=successions)

    by_epoch = {certificate.epoch: certificate for certificate in CERTIFICATES}
    latest, forged = by_epoch[max(by_epoch)], replace(SUCCESSIONS[0], signatures=SUCCESSIONS[1].signatures)
    shorn = replace(SUCCESSIONS[0], signatures=SUCCESSIONS[0].signatures[1:])
    spoiled = {
        "signatures of another epoch": encode_successions(group.id, [forged]),
        "a signature too few": encode_successions(group.id, [shorn]),
        "a gap": encode_successions(group.id, SUCCESSIONS[1:]),
        "cut short": all_of_them[:-1],
        "a byte too many": all_of_them + b"\0",
        "those of another group": encode_successions(WORLD.group.id, []),
        "a certificate in their place": latest.encode(),
    }
    return [
        *(exhibit(f"epoch {epoch}", made, VALID, all_of_them) for epoch, made in sorted(by_epoch.items())),
        exhibit("an epoch that nobody proved", latest, ("invalid", 3), first),
        exhibit("a later epoch without successions", latest, ("invalid", 3), None),
        exhibit("a defect of the form in an unknown epoch", _two_bases(latest), ("invalid", 1), None),
        exhibit("another group in an unknown epoch", replace(latest, group=WORLD.group.id), ("invalid", 2), None),
        *(exhibit(f"successions: {name}", latest, UNREADABLE_FILE, data) for name, data in spoiled.items()),
    ]


def _of_successions() -> list[Exhibit]:
    """The same from scratch, each with one thing in it that matters."""

    def exhibit(name: str, of: bytes, step: int | None, successions: bytes) -> Exhibit:
        return Exhibit(name, of, VALID if step is None else ("invalid", step), successions=successions)

    return [
        *(exhibit(f"successions: {name}", SECOND, None, data) for name, data in ENDINGS.items()),
        *(exhibit(f"a certificate {name}", of, step, data) for name, (of, data, step) in VERDICTS.items()),
        *(
            Exhibit(f"no successions: {name}", SECOND, UNREADABLE_FILE, successions=data)
            for name, data in NO_SUCCESSIONS.items()
        ),
    ]


def _two_bases(certificate: Certificate) -> Certificate:
    return replace(certificate, supplements=(certificate.base,))


def broken_geneses(group: Group) -> dict[str, str]:
    """Texts that are no genesis, by what is wrong with them."""
    text, owner, other = genesis_to_toml(group), group.owners[0], group.owners[1]
    bare = _without_id(text)
    return {
        "not TOML": "[[[",
        "empty": "",
        "another file": "[package]\nname = 'x'\n",
        "an id that is not its own": text.replace(group.id.hex(), "00" * 32),
        "a changed value": text.replace('name = "tested"', 'name = "other"'),
        "an unknown format": bare.replace("format = 1", "format = 2"),
        "f too large": bare.replace("f = 1", "f = 2").replace("answers = 3", "answers = 2"),
        "answers too few": bare.replace("answers = 3", "answers = 2"),
        "answers too many": bare.replace("answers = 3", "answers = 4"),
        "a number out of range": bare.replace("answers = 3", "answers = -3"),
        "a negative f": bare.replace("f = 1", "f = -1"),
        "a number that is true": bare.replace("f = 1", "f = true"),
        "a number that is a float": bare.replace("format = 1", "format = 1.0"),
        "a number as text": bare.replace("answers = 3", 'answers = "3"'),
        "a parameter below 0": bare.replace("near_us = 200000", "near_us = -1"),
        "a parameter over 64 bits": bare.replace("near_us = 200000", f"near_us = {1 << 64}"),
        "a number of thousands of digits": bare.replace("answers = 3", f"answers = 0x{'f' * 5_000}"),
        "a list in place of a text": bare.replace('name = "tested"', 'name = ["tested"]'),
        "an empty name": bare.replace('name = "tested"', 'name = ""'),
        "a name of an owner with a space before it": bare.replace('"owner 0"', '" owner 0"'),
        "a model's name that is too long": bare.replace('"model-0"', f'"{"m" * 65}"'),
        "a parameter missing": bare.replace("open_max", "opened_max"),
        "a key that nobody knows": bare.replace("answers = 3", "answers = 3\nquorum = 2"),
        "a key that stands in no table": "answers = 3\n" + bare,
        "a table that nobody knows": bare + "\n[other]\n",
        "no owners": bare[: bare.index("[[owner]]")] + bare[bare.index("[task]") :],
        "no task": bare[: bare.index("[task]")],
        "a task in a list": bare.replace("[task]", "[[task]]"),
        "one owner, and no list of them": bare.replace("[[owner]]", "[owner]", 1).replace("[[owner]]", "[owners]"),
        "a key twice": bare.replace("answers = 3", "answers = 3\nanswers = 3"),
        "a key that is no point": bare.replace(owner.node_key.hex(), "02" + "00" * 31 + "01"),
        "a key that is no hex": bare.replace(owner.node_key.hex(), "key"),
        "a key in capitals": bare.replace(owner.node_key.hex(), owner.node_key.hex().upper()),
        "a key that is too short": bare.replace(owner.owner_key.hex(), "02"),
        "a node key of two owners": bare.replace(other.node_key.hex(), owner.node_key.hex()),
        "an owner key of two owners": bare.replace(other.owner_key.hex(), owner.owner_key.hex()),
        "a CURVE key of two owners": bare.replace(other.curve_key.hex(), owner.curve_key.hex()),
        "a name of two owners": bare.replace('"owner 1"', '"owner 0"'),
        "an endpoint of two owners": bare.replace(other.endpoints.votes, owner.endpoints.lanes),
        "ids that do not begin with 0": bare.replace("id = 0", "id = 4"),
        "a file that is too long": bare + f"# {'x' * GENESIS_BYTES_MAX}\n",
    }


def _without_id(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.startswith('id = "'))


def rewritten_geneses() -> dict[str, str]:
    """The same genesis in other words of TOML."""
    return {
        "without its id": _without_id(GENESIS),
        "with comments": "# ours\n" + GENESIS.replace("[task]", "[task] # the task").replace("f = 1", "f = 1 # liars"),
        "with line ends of Windows": GENESIS.replace("\n", "\r\n"),
        "with strings in single quotes": GENESIS.replace('name = "tested"', "name = 'tested'"),
        "with escapes": GENESIS.replace('name = "tested"', r'name = "\u0074ested"'),
        "with spaces": GENESIS.replace(" = ", "  =\t").replace("[group]", "  [ group ]"),
        "with its labels in one line": GENESIS.replace('",\n  "', '", "'),
        "with marked numbers": GENESIS.replace("horizon_us = 600000000", "horizon_us = +600_000_000"),
    }


def _of_geneses() -> list[Exhibit]:
    data = build(WORLD, Plan()).encode()
    broken, rewritten = broken_geneses(WORLD.group), rewritten_geneses()
    many = "".join(f'"class {number}",\n' for number in range(CLASSES, LABELS_MAX))
    large = _without_id(GENESIS).replace("\n]", f"\n{many}]")
    return [
        Exhibit("a genesis of as many labels as there can be", data, ("invalid", 2), large.encode()),
        *(Exhibit(f"genesis: {name}", data, UNREADABLE_FILE, text.encode()) for name, text in broken.items()),
        *(Exhibit(f"genesis {name}", data, VALID, text.encode()) for name, text in rewritten.items()),
        Exhibit("genesis: no text", data, UNREADABLE_FILE, b"\xff" + GENESIS.encode()),
        Exhibit("genesis: a byte order mark", data, UNREADABLE_FILE, b"\xef\xbb\xbf" + GENESIS.encode()),
    ]


def _certified(name: str, text: str, outputs: dict[int, bytes], verdict: Verdict = VALID) -> Exhibit:
    """Three owners of the usual group answered, in a group that this text makes of them."""
    made = World(genesis_from_toml(text), WORLD.keys)
    return Exhibit(name, build(made, Plan(votes=outputs)).encode(), verdict, text.encode())


def _answer_of(text: str) -> bytes:
    """Some answer of the task: two classes, numbers that are 0, no boxes."""
    form = genesis_from_toml(text).task.form
    if form is None:
        return bytes.fromhex("000000000100010000000000")
    return bytes(2) if form.kind is OutputKind.BOXES else bytes(form.layout.size)


def _of_tasks() -> list[Exhibit]:
    data = build(WORLD, Plan()).encode()
    good = {name: genesis_of(task) for name, task in TASKS.items()}
    good["a shape in one line"] = good["a tensor"].replace("[\n  2,\n  1,\n]", "[ 2, +1 ] # rows, columns")
    expired = World(genesis_from_toml(genesis_of(TASKS["a vector"])), WORLD.keys)
    plan = Plan(kind=EntryKind.EXPIRED, opened=())
    return [
        *(_certified(f"task: {name}", text, dict.fromkeys(range(3), _answer_of(text))) for name, text in good.items()),
        *(
            Exhibit(f"no task: {name}", data, UNREADABLE_FILE, genesis_of(task).encode())
            for name, task in NO_TASKS.items()
        ),
        Exhibit("a vector that expired", build(expired, plan).encode(), VALID, good["a vector"].encode()),
        *(_answered(f"answer: {name}", *given, VALID) for name, given in OUTPUTS.items()),
        *(_answered(f"no answer: {name}", *given, ("invalid", 14)) for name, given in NO_OUTPUTS.items()),
    ]


def _answered(name: str, task: Task, given: bytes, verdict: Verdict) -> Exhibit:
    text = genesis_of(task)
    usual = _answer_of(text)
    return _certified(name, text, {0: usual, 1: given, 2: usual}, verdict)


def _of_clients() -> list[Exhibit]:
    data = build(WORLD, Plan()).encode()
    good = {name: genesis_of(CLASSIFYING, f"[clients]\n{rules}") for name, rules in CLIENTS.items()}
    bad = {name: genesis_of(CLASSIFYING, f"[clients]\n{rules}") for name, rules in NO_CLIENTS.items()}
    rules = f"\n[clients]\n{CLIENTS['a rate']}"
    bad["a list of tables"] = genesis_of(CLASSIFYING, f"[[clients]]\n{CLIENTS['a rate']}")
    bad["the table twice"] = genesis_of(CLASSIFYING, rules + rules)
    bad["the id of the group without rules"] = GENESIS + rules
    return [
        *(
            _certified(f"clients: {name}", text, dict.fromkeys(range(3), _answer_of(text)))
            for name, text in good.items()
        ),
        Exhibit(
            "clients: rules that another group has not", data, ("invalid", 2), (_without_id(GENESIS) + rules).encode()
        ),
        *(Exhibit(f"no clients: {name}", data, UNREADABLE_FILE, text.encode()) for name, text in bad.items()),
    ]


EXHIBITS = [
    *_of_plans(),
    *_of_defects(),
    *_of_inputs(),
    *_of_epochs(),
    *_of_successions(),
    *_of_geneses(),
    *_of_tasks(),
    *_of_clients(),
]
