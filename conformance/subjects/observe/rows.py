"""The rows of the table: what the mock does, what each SDK has to show, and what it showed."""

import dataclasses
import json
import time

from mock import App, Bot, Refused, Unmet, until
from responder import TICKET, Responder

# The fault that makes a connection never answer pings. Where the mock does not know it, the row is
# pending.
NEVER_PONG = {"type": "noPong"}

ROBOT = "/v1.0/im/bot/messages/get"
CARD = "/v1.0/card/instances/callback"
GRAPH = "/v1.0/graph/api/invoke"
PYTHON, NODE = "python", "node"
# Seconds that a start, with an import of the SDK, may take on a busy machine.
START = 60
# Seconds after which Node's storm is ended.
STORM = 7.0


@dataclasses.dataclass
class Result:
    row: str
    sdk: str
    action: str
    expected: str
    observed: str
    # None where the table says nothing.
    same: bool | None


class Stage:
    """An app and a bot on it, for the time of a `with`."""

    def __init__(self, lab, sdk, extra=None, before=None):
        self.lab, self.sdk, self.extra = lab, sdk, extra
        self.app = App(lab.mock)
        if before:
            before(self.app)

    def __enter__(self):
        self.bot = Bot(self.sdk, self.app, self.lab.folder, self.extra)
        return self

    def __exit__(self, *_):
        self.bot.kill()

    def opened(self):
        """Waits for the bot's first connection."""
        until("the first connection", self.app.live, START)
        self.lab.note_versions(self.sdk, self.bot.versions())
        return self

    def first_open(self, patience=START):
        return until("the first open", self.app.opens, patience)[0]


def seconds(earlier, later):
    return (later - earlier) / 1000


def near(value, wanted, more, less=0.4):
    """Never early, and late by no more than a busy machine is."""
    return wanted - less <= value <= wanted + more


def frame(kind, topic, message_id, data="{}", **headers):
    return {
        "specVersion": "1.0",
        "type": kind,
        "headers": {
            "topic": topic,
            "contentType": "application/json",
            "messageId": message_id,
            "time": "1700000000000",
            **headers,
        },
        "data": data,
    }


def message(text):
    data = {"msgtype": "text", "text": {"content": text}, "msgId": "dingmock-msg"}
    return json.dumps(data | {"conversationType": "1", "senderStaffId": "user0001"})


def short(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else text[:157] + "..."


# ---- rows 1 to 11 and 13: one connection that stays -------------------------------------------


def steady(lab, sdk):
    with Stage(lab, sdk) as stage:
        stage.opened()
        app, python = stage.app, sdk == PYTHON
        barriers = iter(range(1000))

        def silent(message_id):
            """Whether a frame stays unanswered while a later one is answered."""
            barrier = f"barrier-{next(barriers)}"
            app.push(frame("SYSTEM", "ping", barrier, '{"opaque":"b"}'))
            app.ack(barrier)
            return not app.acks(message_id)

        def ping(row, action, sent, message_id):
            app.push(sent)
            ack = app.ack(message_id)
            if python:
                wanted = {"messageId": message_id, "contentType": "application/json"}
                same = json.loads(ack["data"]) == json.loads(sent["data"])
                expected = "ack, headers messageId+contentType, data equal as JSON"
            else:
                wanted = sent["headers"]
                same = ack["data"] == sent["data"]
                expected = "ack, all headers, data equal as bytes"
            same = same and ack["headers"] == wanted and ack["code"] == 200
            return Result(row, sdk, action, expected, short(ack), same)

        opens, rows = len(app.opens()), len(app.connections())
        observed = f"{opens} open, {rows} upgrade"
        yield Result("1", sdk, "open 200", "one upgrade", observed, (opens, rows) == (1, 1))

        opaque = '{"opaque": "op-123"}'
        sent = frame("SYSTEM", "ping", "p2", opaque)
        yield ping("2", "SYSTEM ping", sent, "p2")
        sent = frame("SYSTEM", "ping", "p3", opaque)
        del sent["specVersion"], sent["headers"]["time"]
        yield ping("3", "ping without specVersion and time", sent, "p3")
        sent = frame("SYSTEM", "ping", "p4", opaque, time=1700000000000)
        yield ping("4", "ping with numeric time", sent, "p4")

        for topic in ("CONNECTED", "REGISTERED", "KEEPALIVE"):
            app.push(frame("SYSTEM", topic, f"s-{topic}"))
            if python:
                ack = app.ack(f"s-{topic}")
                same = (ack["code"], json.loads(ack["data"])) == (200, {})
                yield Result("5", sdk, topic, "ack 200 data {}", short(ack), same)
            else:
                same = silent(f"s-{topic}")
                observed = "nothing" if same else "an ack"
                yield Result("5", sdk, topic, "nothing", observed, same)

        app.push(frame("CALLBACK", ROBOT, "r6", message("quiet")))
        ack = app.ack("r6")
        if python:
            expected = 'ack {"response": "OK"}, message empty'
            same = (ack["data"], ack["message"]) == ('{"response": "OK"}', "")
            yield Result("6", sdk, "robot CALLBACK", expected, short(ack), same)
        else:
            app.push(frame("CALLBACK", ROBOT, "r6-none", message("quiet without an ack")))
            until("the handler", lambda: stage.bot.handled()["r6-none"], 8)
            same = ack["data"] == '{"response":"OK"}' and silent("r6-none")
            expected = "ack only through socketCallBackResponse"
            observed = short(ack) + (", without the call none" if same else ", or without it")
            yield Result("6", sdk, "robot CALLBACK", expected, observed, same)

        content = {"cardPrivateData": {"actionIds": ["agree"], "params": {"by": "send"}}}
        data = {"type": "actionCallback", "outTrackId": "t", "userId": "u", "corpId": "c"}
        data |= {"content": json.dumps(content), "extension": "{}"}
        app.push(frame("CALLBACK", CARD, "c7", json.dumps(data)))
        ack = app.ack("c7")
        response = {"cardData": {"cardParamMap": {"pressed": "agree"}}}
        if python:
            expected, wanted = 'ack {"response": {...}}', {"response": response}
        else:
            expected, wanted = "send() gives no response wrapper", response
        same = json.loads(ack["data"]) == wanted
        yield Result("7", sdk, "card CALLBACK", expected, short(ack), same)

        app.push(frame("CALLBACK", "/v1.0/nobody/registered", "u8"))
        same = silent("u8")
        observed = "no ack" if same else "an ack"
        yield Result("8", sdk, "CALLBACK of an unregistered topic", "no ack", observed, same)

        event = {"eventId": "e9", "eventType": "chat_update_title", "eventBornTime": "1700000000000"}
        event |= {"eventCorpId": "c", "eventUnifiedAppId": "a"}
        payload = {"chatId": "c1", "title": "t"}
        app.push(frame("EVENT", "*", "e9", json.dumps(payload), **event))
        ack = app.ack("e9")
        if python:
            expected, same = "200, data = event payload", json.loads(ack["data"]) == payload
        else:
            expected, same = "200, status SUCCESS", json.loads(ack["data"])["status"] == "SUCCESS"
        yield Result("9", sdk, "EVENT", expected, short(ack), same and ack["code"] == 200)

        for _ in range(3):
            app.push(frame("CALLBACK", ROBOT, "d10", message("quiet")))
        until("three acks", lambda: len(app.acks("d10")) >= 3, 8)
        silent("d10")
        acks, runs = len(app.acks("d10")), stage.bot.handled()["d10"]
        expected = "three acks, handler ran three times"
        observed = f"{acks} acks, handler ran {runs} times"
        yield Result("10", sdk, "same messageId three times", expected, observed, acks == runs == 3)

        # Node's bot looks at the data of robot messages, and not at that of graph calls.
        app.push(frame("CALLBACK", ROBOT if python else GRAPH, "j11", "this is no JSON"))
        if python:
            expected, same = "no ack, link stays", silent("j11")
            observed = "no ack" if same else "an ack"
        else:
            expected, ack = "acked if the app does not parse", app.ack("j11")
            observed, same = short(ack), True
        stays = len(app.live()) == len(app.connections()) == 1
        observed += ", link stays" if stays else ", link lost"
        yield Result("11", sdk, "CALLBACK, data no JSON", expected, observed, same and stays)

        app.push(frame("STRANGE", "x", "t13"))
        same = silent("t13") and len(app.live()) == len(app.connections()) == 1
        expected = "log only" if python else "ignored"
        observed = "no ack, link stays" if same else "an ack, or the link was lost"
        yield Result("13", sdk, "unknown type", expected, observed, same)


# ---- what the mock can't show -----------------------------------------------------------------


def responder(lab, sdk):
    gateway = Responder()
    name = "DINGTALK_OPENAPI_ENDPOINT" if sdk == PYTHON else "WITNESS_OPENAPI"
    with Stage(lab, sdk, {name: gateway.url}):
        gateway.done.wait(START)
        seen = gateway.seen
    wanted = "tk%2Ba%2Fb%3Dc+d%26e%2541" if sdk == PYTHON else TICKET.replace(" ", "%20")
    expected = "ticket percent-encoded" if sdk == PYTHON else "ticket raw"
    query = seen.get("query", str(seen))
    yield Result("1", sdk, "odd ticket (own responder)", expected, query, query == wanted)
    pongs = seen.get("pongs", [])
    action, expected = "ws ping with/without payload (own responder)", "pong echo"
    observed = f"pongs {[pong.decode() for pong in pongs]}"
    yield Result("14", sdk, action, expected, observed, pongs == [b"abc", b""])
    close = int.from_bytes(seen.get("close", b"")[:2])
    observed = f"Close {close}"
    yield Result("17", sdk, "Close 1000 (own responder)", "Close echoed", observed, close == 1000)


# ---- rows 12 and 15 to 18: a connection that ends ----------------------------------------------


def reopened(stage, since, patience):
    """The connection after the first, and the seconds from `since` to its opening."""
    app = stage.app
    rows = until("the next connection", lambda: app.connections()[1:], patience)
    return rows[0], seconds(since, rows[0]["openedAt"])


def not_json(lab, sdk):
    with Stage(lab, sdk) as stage:
        stage.opened().app.push("this is no JSON {")
        action = "text frame that is no JSON"
        if sdk == NODE:
            code = stage.bot.process.wait(20)
            expected, observed = "process exit code 1", f"process exit code {code}"
            yield Result("12", sdk, action, expected, observed, code == 1)
            return
        first = until("the end", lambda: ended(stage.app), 20)
        _, gap = reopened(stage, first["closedAt"], 20)
        same = " 1011" in first["closeReason"] and near(gap, 3, 2)
        observed = f"{first['closeReason']}, reopen after {gap:.2f} s"
        yield Result("12", sdk, action, "Close 1011, reopen ~3 s", observed, same)


def ended(app):
    first = app.connections()[0]
    return first if first["closedAt"] is not None else None


def oversize(lab, sdk):
    with Stage(lab, sdk) as stage:
        app = stage.opened().app
        app.push(frame("CALLBACK", ROBOT, "big", message("quiet " + "x" * 1_100_000)))
        action = "1.1 MB CALLBACK"
        if sdk == NODE:
            ack = app.ack("big", 20)
            same = ack["code"] == 200 and len(app.connections()) == 1
            yield Result("15", sdk, action, "accepted, acked", short(ack), same)
            return
        first = until("the end", lambda: ended(app), 20)
        _, gap = reopened(stage, first["closedAt"], 30)
        same = " 1009" in first["closeReason"] and near(gap, 10, 2)
        observed = f"{short(first['closeReason'])}, reopen after {gap:.2f} s"
        yield Result("15", sdk, action, "Close 1009, reopen 10 s", observed, same)


def disconnect(lab, sdk):
    with Stage(lab, sdk) as stage:
        app = stage.opened().app
        app.post("connections/all/disconnect", {})
        notice = next(e for e in app.journal("frame-out") if "persistent connection" in e["body"])
        message_id = json.loads(notice["body"])["headers"]["messageId"]
        _, gap = reopened(stage, notice["at"], 30)
        first, acks = until("the end", lambda: ended(app), 20), app.acks(message_id)
        observed = f"{'ack' if acks else 'no ack'}, {first['closeReason']}, reopen {gap:.3f} s"
        observed += " after the notice"
        if sdk == PYTHON:
            expected = "ack + Close 1000 at once, reopen in ms"
            same = bool(acks) and " 1000" in first["closeReason"] and gap < 1
        else:
            expected = "silent, reopen 11 s after the notice"
            same = not acks and near(gap, 11, 2)
        yield Result("16", sdk, "disconnect, TCP close after 10 s", expected, observed, same)


def closed(how, row, action, wanted):
    """A row in which the mock ends the connection and the bot comes back."""

    def scenario(lab, sdk):
        with Stage(lab, sdk) as stage:
            app = stage.opened().app
            app.post("connections/all/cut", how)
            _, gap = reopened(stage, ended(app)["closedAt"], 30)
            after = wanted[sdk]
            same = near(gap, after, 0.9 if after < 1 else 1.5)
            expected = f"reopen {after:g} s" if after else "reopen at once"
            yield Result(row, sdk, action, expected, f"reopen after {gap:.3f} s", same)

    scenario.__name__ = f"closed_{action}".replace(" ", "_")
    return scenario


# ---- rows 19 to 21 and 23: no connection comes about -------------------------------------------


def refused(action, fault, row):
    """A row in which the open call fails, again and again."""

    def scenario(lab, sdk):
        with Stage(lab, sdk, before=lambda app: app.fault("open", fault)) as stage:
            stage.first_open()
            calls = until("three opens", lambda: stage.app.opens()[2:], 40)
            calls = stage.app.opens()[:3]
            gaps = [seconds(a["at"], b["at"]) for a, b in zip(calls, calls[1:])]
            every = 10 if sdk == PYTHON else 1
            same = all(near(gap, every, 1.5) for gap in gaps)
            observed = "retries after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s"
            yield Result(row, sdk, action, f"retry every {every} s", observed, same)

    scenario.__name__ = f"refused_{action}".replace(" ", "_")
    return scenario


def rejected(status):
    """Row 21: the upgrade is refused."""

    def scenario(lab, sdk):
        fault = {"type": "status", "status": status}
        action = f"upgrade -> {status}"
        with Stage(lab, sdk, before=lambda app: app.fault("upgrade", fault)) as stage:
            begin = stage.first_open()["at"]
            if sdk == PYTHON:
                until("three opens", lambda: stage.app.opens()[2:], 30)
                calls = stage.app.opens()[:3]
                gaps = [seconds(a["at"], b["at"]) for a, b in zip(calls, calls[1:])]
                tickets = {json.loads(call["answer"])["ticket"] for call in calls}
                same = all(near(gap, 3, 1.5) for gap in gaps) and len(tickets) == 3
                observed = "opens after " + ", ".join(f"{gap:.2f}" for gap in gaps) + " s"
                observed += f", {len(tickets)} tickets"
                expected = "new open after 3 s (new ticket each time)"
                yield Result("21", sdk, action, expected, observed, same)
                return
            time.sleep(STORM)
            stage.bot.kill()
            app = stage.app
            calls, refusals = app.opens(), len(app.refused_upgrades())
            times = ", ".join(f"{seconds(begin, call['at']):.1f}" for call in calls[:16])
            # One path would make one call a second. How fast they double depends on how long an
            # attempt takes.
            same = len(calls) >= 15 and len(calls) <= 2 * refusals + 1
            observed = f"{len(calls)} opens for {refusals} refusals, at {times} ... s"
            expected = f"doubling storm: two opens for each refusal (killed after {STORM:g} s)"
            yield Result("21", sdk, action, expected, observed, same)

    scenario.__name__ = f"rejected_{status}"
    return scenario


def after_the_storm(lab, sdk):
    """Beyond the table: upgrades are refused for 4 s and then let through, each ticket once."""
    fault = {"type": "status", "status": 503}
    action = "upgrade -> 503 for 4 s, then single-use tickets"
    with Stage(lab, sdk, before=lambda app: app.fault("upgrade", fault)) as stage:
        stage.first_open()
        time.sleep(4)
        app = stage.app
        app.forget_faults()
        refusals = len(app.refused_upgrades())
        time.sleep(4)
        late = app.refused_upgrades()[refusals:]
        used = sum("used already" in (call.get("diagnosis") or {}).get("problem", "") for call in late)
        live = len(app.live())
        for _ in range(20):
            app.post("messages", {"from": "user0001", "text": "quiet"})
        rows = app.get("deliveries?count=20&wait_ms=5000")
        acks = [row["ack"] for row in rows if row["ack"]]
        strayed = sum(ack["onOtherConnection"] for ack in acks)
        observed = f"{refusals} refused; then {live} connections stay open at a time, "
        observed += f"{used} refused for a used ticket; of 20 messages {len(acks)} acked, "
        observed += f"{strayed} of them on another connection than they came on"
        yield Result("21+", sdk, action, "(not in the table)", observed, None)


def empty_open(lab, sdk):
    yield from refused("open -> 200 {}", {"type": "empty"}, "20")(lab, sdk)


def hanging_open(lab, sdk):
    with Stage(lab, sdk, before=lambda app: app.fault("open", {"type": "hang"})) as stage:
        stage.first_open()
        time.sleep(20)
        opens, alive = len(stage.app.opens()), stage.bot.process.poll() is None
        observed = f"{opens} open in 20 s, the process {'lives' if alive else 'ended'}"
        expected = "hangs for ever (watched for 20 s)"
        yield Result("23", sdk, "open never answered", expected, observed, opens == 1 and alive)


# ---- row 22: pings without pongs ---------------------------------------------------------------


def half_open(keep_alive, hole):
    """Row 22: the bot's pings are never answered; with `hole` nothing is, not even a Close frame."""

    def scenario(lab, sdk):
        stage = Stage(lab, sdk, {"WITNESS_KEEP_ALIVE": "1"} if keep_alive else {})
        row = "22+" if hole else "22"
        action = "black hole" if hole else "never answer pings"
        if sdk == NODE:
            action += f", keepAlive {'on' if keep_alive else 'off'}"
        if not hole:
            try:
                stage.app.fault("connected", NEVER_PONG)
            except Refused:
                observed = f"PENDING: this mock does not know the fault {NEVER_PONG}"
                yield Result(row, sdk, action, "see 22+", observed, None)
                return
        with stage:
            app = stage.opened().app
            if hole:
                app.post("connections/all/cut", {"type": "blackhole"})
            begin = app.connections()[0]["openedAt"]
            if sdk == NODE and not keep_alive:
                time.sleep(25)
                rows = len(app.connections())
                observed = f"{rows} connection in 25 s"
                yield Result(row, sdk, action, "nothing", observed, rows == 1)
                return
            _, gap = reopened(stage, begin, 75)
            first = ended(app)
            lasted = seconds(first["openedAt"], first["closedAt"])
            observed = f"ended after {lasted:.2f} s ({first['closeReason'][:60]}), "
            observed += f"reopen after {gap:.2f} s"
            if sdk == NODE:
                expected, after = "TCP drop 16 s, reopen 17 s", 17
                same = near(lasted, 16, 2)
            elif hole:
                expected, after = "the same and 10 s for the answer to Close: reopen 60 s", 60
                same = near(lasted, 50, 2)
            else:
                expected, after = "Close 1011 at 40 s, reopen 50 s", 50
                same = near(lasted, 40, 2) and " 1011" in first["closeReason"]
            yield Result(row, sdk, action, expected, observed, same and near(gap, after, 3))

    scenario.__name__ = f"half_open_{'hole' if hole else 'pings'}"
    return scenario


def scenarios():
    """Each with its SDK, long ones first, so that they overlap."""
    one_second = {PYTHON: 10, NODE: 1}
    both = [
        hanging_open,
        disconnect,
        *(refused(f"open -> {s}", {"type": "status", "status": s}, "19") for s in (401, 400)),
        empty_open,
        oversize,
        closed({"type": "rst"}, "18", "RST", one_second),
        closed({"type": "fin"}, "18", "FIN", one_second),
        rejected(403),
        rejected(503),
        not_json,
        steady,
        responder,
        *(
            closed({"type": "close", "code": c, "reason": ""}, "17", f"Close {c}", {PYTHON: 0, NODE: 1})
            for c in (1000, 1001)
        ),
    ]
    pings = [(False, PYTHON), (True, NODE), (False, NODE)]
    jobs = [(half_open(alive, hole), sdk) for hole in (True, False) for alive, sdk in pings]
    jobs += [(scenario, sdk) for scenario in both for sdk in (PYTHON, NODE)]
    return jobs + [(after_the_storm, NODE)]


def play(lab, scenario, sdk):
    """The results of one scenario; what did not come is a result too."""
    results = []
    try:
        results.extend(scenario(lab, sdk))
    except (Unmet, Refused, OSError, LookupError, ValueError) as error:
        name = scenario.__name__
        results.append(Result("?", sdk, name, "", f"{type(error).__name__}: {error}", False))
    return results
