"""The page of a broker, in a real browser: its content, and that it stays right."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from support.broker_reports import at, client, in_group, report

from pubsub_broker.monitoring import page_view
from pubsub_broker.monitoring.status_page import StatusRoutes, policy_of
from pubsub_common.errors import PubSubError
from pubsub_common.net.http_server import HttpServer
from pubsub_common.protocol.messages import Latency, Status

HOST = "127.0.0.1"
# A topic with a hostile name.
EVIL = '<img src=x onerror="document.title=1">'


class Reports:
    """The broker behind the page: returns the report of the test. With ``each_s`` each
    answer is a second older and has this many more forwarded messages."""

    def __init__(self) -> None:
        self.status: Status | None = None
        self.each_s: int | None = None

    def get(self) -> Status:
        if self.status is None:
            raise PubSubError("it does not answer")
        if self.each_s is not None:
            self.status = msgspec.structs.replace(
                self.status,
                uptime_s=self.status.uptime_s + 1.0,
                forwarded=self.status.forwarded + self.each_s,
            )
        return self.status


USUAL = (
    client("publisher", "10.0.0.1:5556", "weather", EVIL),
    client("publisher", "10.0.0.2:5556", "news/sport", "toString"),
    client("subscriber", "10.0.0.3", "weather", weather=12),
    client("subscriber", "10.0.0.4", "#"),
)


@pytest.fixture
def reports() -> Reports:
    return Reports()


class Page:
    """The page in a browser."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser = browser
        self.address = address

    def open(self) -> None:
        self.browser.events.clear()
        self.browser.call("Page.navigate", url=self.address)
        self.browser.wait_for("Page.loadEventFired")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript condition holds; pytest's timeout is the bound."""
        self.browser.evaluate(
            f"""new Promise(done => {{
              const look = () => ({condition}) ? done(true) : setTimeout(look, 20);
              look();
            }})"""
        )

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.browser.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".map(each => each.textContent)"
        )
        return found

    def figure(self, name: str) -> str:
        names, values = self.texts("#figures dt"), self.texts("#figures dd")
        return dict(zip(names, values, strict=True))[name]

    def figure_is(self, name: str, value: str) -> None:
        """Wait until a figure has this value."""
        self.until(
            "[...document.querySelectorAll('#figures > div')].some(each => "
            f"each.firstChild.textContent === {json.dumps(name)} && "
            f"each.children[1].textContent === {json.dumps(value)})"
        )


@pytest.fixture
def page(browser: Any, reports: Reports) -> Iterator[Page]:
    browser.resize(1280, 900)
    browser.prefer("light")
    with HttpServer(HOST, 0, StatusRoutes(reports.get), "pubsub-broker") as server:
        yield Page(browser, f"http://{HOST}:{server.port}/")
        browser.call("Page.navigate", url="about:blank")


def show(page: Page, reports: Reports, status: Status) -> None:
    reports.status = status
    page.open()
    page.figure_is(
        "Publishers", str(sum(c.role == "publisher" for c in status.clients))
    )


def test_the_policy_names_the_style_and_the_script_and_no_others() -> None:
    policy = policy_of("<style>a</style><script>b</script>")

    assert policy.count("'sha256-") == 2
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")


def test_it_shows_the_clients_and_loads_nothing_from_elsewhere(
    page: Page, reports: Reports
) -> None:
    show(page, reports, report(*USUAL, forwarded=1234))

    assert page.texts("h1") == ["centralized broker"]
    assert page.texts(".publisher li b") == ["10.0.0.1:5556", "10.0.0.2:5556"]
    assert page.texts(".subscriber li b") == ["10.0.0.3", "10.0.0.4"]
    assert page.texts(".topic li b") == [EVIL, "news/sport", "toString", "weather"]
    assert len(page.texts("#figures > div")) == 8
    assert page.texts(".topic li:last-child span") == [
        "1 publisher, 2 subscribers",
        "12 events lost",
    ]
    assert page.figure("Messages forwarded/s") == "123.4 1,234 in total"
    assert page.figure("Events lost") == "12"
    assert page.browser.complaints() == []
    assert set(page.browser.requests()) == {page.address, f"{page.address}status.json"}


def test_lines_lead_from_publishers_over_topics_to_subscribers(
    page: Page, reports: Reports
) -> None:
    show(page, reports, report(*USUAL))

    # Four topics with a publisher each; the wildcard matches all, and weather.
    assert page.browser.evaluate("document.querySelectorAll('#links path').length") == 9
    # Only subscribers with losses are marked, for any name of a topic.
    assert len(page.texts("#links path.bad")) == 1


def test_a_topic_is_text_and_nothing_else(page: Page, reports: Reports) -> None:
    show(page, reports, report(*USUAL, expected=(client("publisher", "x", EVIL),)))

    assert page.browser.evaluate("document.images.length") == 0
    assert page.browser.evaluate("document.title") == "pubsub broker"
    assert any(EVIL in text for text in page.texts("#expected li"))


def test_it_follows_what_happens_and_tells_rates(page: Page, reports: Reports) -> None:
    show(page, reports, report(*USUAL, uptime_s=10.0, forwarded=100))
    assert page.figure("Messages forwarded/s") == "10 100 in total"

    more = client("subscriber", "10.0.0.3", "weather", weather=15)
    reports.status = report(*USUAL[:2], more, uptime_s=12.0, forwarded=300)
    # In one step, because the next report, the same again, has no news.
    page.until(
        "document.getElementById('figures').textContent.includes('forwarded/s100 300')"
        " && document.querySelector('.topic').textContent"
        ".includes('15 events lost, 3 of them just now')"
    )

    assert page.texts(".subscriber li b") == ["10.0.0.3"]


def test_a_tile_has_a_curve_as_soon_as_there_is_one(
    page: Page, reports: Reports
) -> None:
    curve = (
        "getComputedStyle([...document.querySelectorAll('#figures > div')]"
        ".find(each => each.textContent.startsWith('Messages forwarded'))"
        ".lastChild).visibility"
    )
    reports.each_s = 0
    reports.status = report()
    page.open()
    page.figure_is("Messages forwarded/s", "0 0 in total")
    assert page.browser.evaluate(curve) == "hidden"

    reports.each_s = 100
    page.until(f"{curve} === 'visible'")


def test_no_figure_is_unknown_after_the_first_refresh(
    page: Page, reports: Reports
) -> None:
    publisher = msgspec.structs.replace(USUAL[0], rates={"weather": 1.0})
    latency = Latency(count=9, p50_ns=1, p99_ns=1_310_000, max_ns=2_000_000)
    slow = msgspec.structs.replace(USUAL[3], latency=latency)
    for status in (
        report(publisher, slow),
        report(publisher, slow, model="decentralized"),
    ):
        show(page, reports, status)
        assert "\N{EN DASH}" not in page.texts("#figures dd")
    assert page.figure("Highest latency, p99") == "1.31 ms"


def test_it_tells_rates_of_topics_and_latencies_of_subscribers(
    page: Page, reports: Reports
) -> None:
    publisher = msgspec.structs.replace(USUAL[1], rates={"toString": 1234.56})
    latency = Latency(count=9, p50_ns=64_200, p99_ns=1_310_000, max_ns=-999)
    subscriber = msgspec.structs.replace(USUAL[3], latency=latency)
    show(page, reports, report(publisher, subscriber, model="decentralized"))

    assert page.texts(".topic li span") == [
        *("1 publisher, 1 subscriber", "0 events/s"),
        *("1 publisher, 1 subscriber", "1,234.6 events/s"),
    ]
    assert page.texts(".subscriber li span")[1] == (
        "latency p50 64.2 µs, p99 1.31 ms, max -999 ns of 9 events"
    )
    assert page.figure("Events published/s") == "1,234.6"
    assert page.figure("Highest latency, p99") == "1.31 ms"
    assert page.browser.complaints() == []

    reports.status = report(USUAL[1], USUAL[3])
    page.figure_is("Events published/s", "\N{EN DASH}")
    assert page.texts(".topic li span") == ["1 publisher, 1 subscriber"] * 2
    assert "latency" not in "".join(page.texts(".subscriber li span"))


def test_a_single_event_has_no_percentiles(page: Page, reports: Reports) -> None:
    latency = Latency(count=1, p50_ns=64_200, p99_ns=64_200, max_ns=64_200)
    subscriber = msgspec.structs.replace(USUAL[3], latency=latency)
    show(page, reports, report(USUAL[1], subscriber, model="decentralized"))

    assert page.texts(".subscriber li span")[1] == "latency 64.2 µs of 1 event"


def test_nothing_is_subtracted_from_another_brokers_counts(
    page: Page, reports: Reports
) -> None:
    show(page, reports, report(*USUAL, epoch=1, uptime_s=10.0, forwarded=100))

    reports.status = report(epoch=2, uptime_s=20.0, forwarded=900)
    page.figure_is("Messages forwarded/s", "45 900 in total")

    assert [text for text in page.texts(".none") if text] == [
        "There is no publisher.",
        "There is no topic.",
        "There is no subscriber.",
    ]


def test_it_calls_clients_by_their_title(
    page: Page, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_view, "client_title", lambda each: f"the {each.address}")
    expected = client("publisher", "10.0.0.9:5556", "weather")
    usual = report(*USUAL)
    show(page, reports, msgspec.structs.replace(usual, expected=[expected]))

    assert page.texts(".publisher li b") == ["the 10.0.0.1:5556", "the 10.0.0.2:5556"]
    assert page.texts(".subscriber li b") == ["the 10.0.0.3", "the 10.0.0.4"]
    assert page.texts("#expected li b") == ["the 10.0.0.9:5556"]


def test_it_says_when_the_broker_does_not_answer_and_when_it_does_again(
    page: Page, reports: Reports
) -> None:
    show(page, reports, report(*USUAL))

    reports.status = None
    page.until("document.getElementById('trouble').textContent.includes('last answer')")
    assert page.texts(".publisher li b") == ["10.0.0.1:5556", "10.0.0.2:5556"]

    reports.status = report()
    page.until("document.getElementById('trouble').textContent === ''")


def test_it_names_the_broker_and_the_clients(page: Page, reports: Reports) -> None:
    named = msgspec.structs.replace(USUAL[2], name="plot@lab:4711")
    status = report(*USUAL[:2], named, uptime_s=75.0)
    show(
        page,
        reports,
        msgspec.structs.replace(status, address="10.0.0.1:5555", version="0.1.0"),
    )

    assert page.texts("h1") == ["centralized broker 10.0.0.1:5555"]
    assert page.texts("#about") == ["version 0.1.0, up for 1 min 15 s"]
    assert page.texts(".subscriber li b") == ["plot@lab:4711"]
    assert page.texts(".subscriber li span")[0] == "10.0.0.3"


def test_clients_with_losses_come_first_and_then_slow_ones(
    page: Page, reports: Reports
) -> None:
    def latency(p99_ns: int) -> Latency:
        return Latency(count=9, p50_ns=1, p99_ns=p99_ns, max_ns=p99_ns)

    subscribers = [
        client("subscriber", "quick", "a"),
        msgspec.structs.replace(
            client("subscriber", "slow", "a"), latency=latency(10**9)
        ),
        msgspec.structs.replace(
            client("subscriber", "fair", "a"), latency=latency(10**6)
        ),
        client("subscriber", "lossy", "a", a=1),
    ]
    show(page, reports, report(*subscribers))

    assert page.texts(".subscriber li b") == ["lossy", "slow", "fair", "quick"]


def test_topics_and_clients_can_be_filtered(page: Page, reports: Reports) -> None:
    show(page, reports, report(*USUAL))
    found = "document.getElementById('found').textContent"

    page.browser.evaluate("document.activeElement.blur()")
    page.browser.press("/", 191, "/")
    assert page.browser.evaluate("document.activeElement.id") == "filter"
    for letter in "SPORT":
        page.browser.press(letter, ord(letter), letter)
    page.until(f"{found} === '1 topic and 2 clients match'")
    assert page.texts(".topic li b") == ["news/sport"]
    assert page.texts(".publisher li b") == ["10.0.0.2:5556"]
    assert page.texts(".subscriber li b") == ["10.0.0.4"]
    # The tiles cover all clients.
    assert page.figure("Topics") == "4"

    page.browser.click(".publisher li button")
    page.until(f"{found} === '2 topics and 1 client match'")
    assert page.texts(".subscriber li") == []
    assert page.texts(".subscriber .none") == ["No subscriber matches."]

    page.browser.click(".publisher li button")
    page.until(f"{found} === ''")
    assert len(page.texts(".topic li")) == 4
    assert page.browser.complaints() == []


def test_a_button_keeps_the_focus_while_the_page_changes(
    page: Page, reports: Reports
) -> None:
    reports.each_s = 1
    show(page, reports, report(*USUAL))
    page.browser.evaluate("document.querySelectorAll('.topic li button')[3].focus()")

    more = client("publisher", "10.0.0.9:5556", "new/topic")
    reports.status = report(*USUAL, more)
    page.until("document.querySelectorAll('.topic li').length === 5")

    assert page.browser.evaluate("document.activeElement.textContent") == "weather"


def test_it_can_be_paused(page: Page, reports: Reports) -> None:
    show(page, reports, report(*USUAL))
    page.browser.click("#pause")
    pressed = "document.getElementById('pause').getAttribute('aria-pressed')"
    assert page.browser.evaluate(pressed) == "true"

    reports.status = report(*USUAL[:1])
    page.browser.click("#pause")
    page.figure_is("Publishers", "1")


def group_report(**options: Any) -> Status:
    here, there = "10.0.9.1:5555", "10.0.9.2:5555"
    clients = [at(each, here, own=True) for each in USUAL[:3]] + [at(USUAL[3], there)]
    return in_group(report(*clients), here, there, "10.0.9.3:5555", **options)


def test_it_shows_the_group_and_where_the_clients_are(
    page: Page, reports: Reports
) -> None:
    show(page, reports, group_report(gone=("10.0.9.3:5555",)))

    assert page.texts("h1") == ["centralized broker of group lab"]
    assert page.texts("#brokers li") == [
        "10.0.9.1:55553 clientsversion 0.1.0this one",
        "10.0.9.2:55551 clientversion 0.1.0",
        "10.0.9.3:55550 clients to moveversion 0.1.0gone",
    ]
    assert page.texts(".subscriber li span") == [
        *("weather", "last seen 0.5 s ago", "lost 12 of weather"),
        *("#", "at 10.0.9.2:5555"),
    ]
    assert page.texts("#cut-off") == [""]
    assert page.browser.complaints() == []

    reports.status = group_report(cut_off_s=75.0)
    page.until("document.getElementById('cut-off').textContent.includes('1 min 15 s')")

    reports.status = report()
    page.until("document.getElementById('brokers').hidden")
    assert page.texts("h1") == ["centralized broker"]


def test_a_decentralized_broker_has_no_rate(page: Page, reports: Reports) -> None:
    show(page, reports, report(*USUAL, model="decentralized"))

    assert "Messages forwarded/s" not in page.texts("#figures dt")
    assert len(page.texts("#figures > div")) == 8
    assert "events do not pass through it" in page.texts("#about")[0]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_never_scrolls_sideways(page: Page, reports: Reports, width: int) -> None:
    page.browser.resize(width, 844, phone=width < 500)
    long = client("publisher", "255.255.255.255:65535", "x" * 255, "a/" * 100)
    show(page, reports, report(*USUAL, long))

    widths = page.browser.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1] <= width


def contrast(one: str, other: str) -> float:
    """By the rules of WCAG, of colours as a browser tells them."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    ("scheme", "background"),
    [("light", "rgb(255, 255, 255)"), ("dark", "rgb(19, 21, 24)")],
)
def test_it_can_be_read_in_light_and_dark(
    page: Page, reports: Reports, scheme: str, background: str
) -> None:
    page.browser.prefer(scheme)
    show(page, reports, report(*USUAL))

    colour: Callable[[str, str], str] = lambda selector, kind: page.browser.evaluate(  # noqa: E731
        f"getComputedStyle(document.querySelector({json.dumps(selector)})).{kind}"
    )
    assert colour("body", "backgroundColor") == background
    card = colour("li", "backgroundColor")
    for selector, ground in itertools.chain(
        ((each, card) for each in ("li b", "li span", "li span.bad", "dd.bad", "dt")),
        ((each, background) for each in ("h1", "#about")),
    ):
        assert contrast(colour(selector, "color"), ground) >= 4.5, selector
