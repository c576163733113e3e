"""The page of `openlineage-dagster graph` in a real browser: Debian's Chromium, without a window.

`python tests-integration/test_graph_page.py docs/images` makes the pictures of docs/graph.md.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import pytest

pytest.importorskip("igraph", reason="pages are laid out by igraph: pip install igraph")
pytest.importorskip(
    "playwright.sync_api", reason="pages are tried in a browser: pip install playwright"
)

from playwright.sync_api import Browser, Page, expect

from graph_pages import (
    CHROMIUM,
    GRAPH,
    Json,
    chromium,
    dataset,
    opened,
    page_of,
    painted,
    pipelines,
    run,
)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="pages are tried in a browser: apt-get install chromium, or name one with CHROMIUM",
)

# ---------------------------------------------------------------- events


def shop() -> list[Json]:
    """A small shop's assets, in every state."""
    orders = dataset(
        "raw/orders",
        about="Orders as the web shop takes them.",
        id="bigint",
        customer_id="bigint",
        day="date",
        sku="text",
        quantity="int",
    )
    customers = dataset("raw/customers", id="bigint", name="text", email="text", country="text")
    products = dataset("raw/products", sku="text", price="numeric")
    prices = dataset("supplier_prices", "erp", about="A price list that the ERP system keeps.")
    stock = dataset("stock", "erp")
    sales = dataset(
        "staging/sales",
        made_of={
            "order_id": [("raw/orders", "id")],
            "customer_id": [("raw/orders", "customer_id")],
            "amount": [("raw/orders", "quantity"), ("raw/products", "price")],
        },
        order_id="bigint",
        customer_id="bigint",
        day="date",
        amount="numeric",
    )
    refunds = dataset(
        "staging/refunds",
        order_id="bigint",
        amount="numeric",
        made_of={"order_id": [("raw/orders", "id")]},
    )
    balance = dataset(
        "staging/balance",
        made_of={
            "amount": [("staging/sales", "amount"), ("staging/refunds", "amount")],
            "customer_id": [("staging/sales", "customer_id")],
        },
        customer_id="bigint",
        day="date",
        amount="numeric",
    )
    revenue = dataset(
        "marts/revenue",
        about="Revenue by customer and day.",
        made_of={
            "customer": [("raw/customers", "name")],
            "revenue": [("staging/balance", "amount")],
        },
        customer="text",
        day="date",
        revenue="numeric",
    )
    forecast = dataset(
        "marts/forecast",
        day="date",
        expected="numeric",
        made_of={"expected": [("marts/revenue", "revenue")]},
    )
    report = dataset("marts/monthly_report")
    segments = dataset(
        "marts/customer_segments",
        customer="text",
        segment="text",
        made_of={"customer": [("raw/customers", "name")]},
    )
    export = dataset("exports/finance/quarterly_revenue_for_the_tax_office", "s3://shop-exports")
    assets = [
        run("raw/orders", [], [orders], minute=1),
        run("raw/customers", [], [customers], minute=2),
        run("raw/products", [prices, stock], [products], minute=3),
        run("staging/sales", [orders, products], [sales], minute=4),
        run("staging/refunds", [orders], [refunds], minute=5),
        run("staging/balance", [sales, refunds], [balance], minute=6),
        run("marts/revenue", [balance, customers], [revenue], minute=7),
        run("marts/revenue__checks", [revenue], minute=8, kind="CHECK"),
        run("marts/forecast", [revenue], [forecast], minute=9, state="FAIL"),
        run("marts/monthly_report", [forecast, revenue], [report], minute=10, state="ABORT"),
        run("marts/customer_segments", [customers, revenue], [segments], minute=11, state="START"),
        run("exports/quarterly_revenue", [revenue], [export], minute=12),
    ]
    steps = [
        run("nightly", minute=20, kind="JOB", state="FAIL"),
        run("nightly.revenue", minute=21, kind="STEP", parent="nightly"),
        run("nightly.forecast", minute=22, kind="STEP", parent="nightly", state="FAIL"),
    ]
    return assets + steps


# ---------------------------------------------------------------- pages


def names(page: Page, selector: str = "node") -> list[str]:
    """What is drawn, by its first line; jobs are called after it too."""
    found = page.evaluate(f"{GRAPH}.$({json.dumps(selector)}).map(each => each.data('label'))")
    return sorted(label.split("\n")[0] for label in found)


def rendered_at(page: Page, name: str, kind: str = "dataset") -> tuple[float, float]:
    """Tell where on the page a node is drawn."""
    place = page.evaluate(
        f"""{GRAPH}.nodes('.{kind}')
        .filter(each => each.data('label').split('\\n')[0] === {json.dumps(name)})
        .renderedPosition()"""
    )
    corner = page.locator("#graph").bounding_box()
    assert corner is not None
    return corner["x"] + place["x"], corner["y"] + place["y"]


def click_node(page: Page, name: str, kind: str = "dataset") -> None:
    """Click where a node is drawn."""
    page.mouse.click(*rendered_at(page, name, kind))


def current(page: Page) -> list[str]:
    return names(page, "node.current")


def take_screenshots(browser: Browser, folder: Path) -> None:
    """Make the pictures of the documentation.

    Args:
        browser: shows the page.
        folder: where to; made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary:
        path = page_of(shop(), Path(temporary))
        for scheme in ("light", "dark"):
            with opened(browser, path, color_scheme=scheme) as page:
                page.screenshot(path=folder / f"graph-{scheme}.png")
                page.locator("#search").fill("revenue")
                page.locator("#search").press("Enter")
                page.locator(".columns button", has_text="revenue").click()
                painted(page)
                page.screenshot(path=folder / f"graph-columns-{scheme}.png")


# ---------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def shop_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(shop(), tmp_path_factory.mktemp("shop"))


@pytest.fixture
def page(browser: Browser, shop_page: Path) -> Iterator[Page]:
    with opened(browser, shop_page) as page:
        yield page


ALL_DATASETS = sorted(
    {each["name"] for event in shop() for each in (*event["inputs"], *event["outputs"])}
    - {"exports/finance/quarterly_revenue_for_the_tax_office"}
    | {"…enue_for_the_tax_office"}
)


def test_datasets_and_the_jobs_between_them_are_drawn(page: Page) -> None:
    assert page.title() == "Lineage of events.jsonl"
    shown = names(page, "node.dataset")
    assert [each for each in shown if not each.startswith("…")] == [
        each for each in ALL_DATASETS if not each.startswith("…")
    ]
    assert len(shown) == len(ALL_DATASETS)
    assert len(names(page, "node.job")) == 12
    assert "nightly" not in names(page)


def test_states_are_said_in_words(page: Page) -> None:
    texts = page.locator("#states li").all_inner_texts()
    assert texts == [
        "13 datasets", "12 jobs", "Complete 9", "Failed 1", "Aborted 1", "Running 1",
    ]  # fmt: skip
    assert names(page, "node.fail") == ["marts/forecast"]
    page.get_by_role("button", name="Failed 1").click()
    assert set(names(page, "node.lit")) == {"marts/forecast"}
    page.get_by_role("button", name="Failed 1").click()
    assert names(page, ".faded") == []


def test_jobs_are_hidden_and_all_of_them_shown(page: Page) -> None:
    page.locator("#views label", has_text="Datasets").first.click()
    assert names(page, "node.job") == []
    edges = page.evaluate(f"{GRAPH}.edges().length")
    assert edges == 15
    # The state of what is written is that of its writer now.
    assert names(page, "node.fail") == ["marts/forecast"]
    page.locator("#views label", has_text="All jobs").click()
    assert {"nightly", "nightly.revenue", "nightly.forecast"} <= set(names(page, "node.job"))
    page.keyboard.press("j")
    assert names(page, "node.job") == []


def test_search_finds_datasets_jobs_and_columns(page: Page) -> None:
    page.keyboard.press("/")
    search = page.get_by_role("combobox")
    expect(search).to_be_focused()
    search.fill("REVENUE")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("marts/revenue")
    search.fill("quantity raw")
    expect(options).to_have_count(1)
    expect(options).to_contain_text("quantity in raw/orders")
    search.press("Enter")
    expect(page.locator("#panel h2")).to_have_text("raw/orders")
    expect(page.locator("#panel h2")).to_be_focused()
    expect(page.get_by_role("button", name="quantity", exact=False).first).to_have_attribute(
        "aria-pressed", "true"
    )


def test_search_goes_by_arrow_keys_and_says_where_nothing_is_found(page: Page) -> None:
    search = page.locator("#search")
    search.fill("staging")
    second = page.get_by_role("option").nth(1).locator("span").inner_text()
    search.press("ArrowDown")
    search.press("Enter")
    expect(page.locator("#panel h2")).to_have_text(second)
    search.fill("no such thing")
    expect(page.locator("#results")).to_have_text("Nothing found")
    search.press("Escape")
    expect(page.locator("#results")).to_be_hidden()


def test_a_click_shows_what_is_known_of_a_dataset(page: Page) -> None:
    click_node(page, "raw/orders")
    panel = page.locator("#panel")
    expect(panel.locator("h2")).to_have_text("raw/orders")
    expect(panel).to_contain_text("Orders as the web shop takes them.")
    expect(panel.locator(".state")).to_have_text("Complete")
    expect(panel).to_contain_text("1 Feb 2026, 06:01")
    cells = [row.split() for row in panel.locator(".columns tr").all_inner_texts()]
    assert [row[0] for row in cells[1:]] == ["id", "customer_id", "day", "sku", "quantity"]
    assert [row[-1] for row in cells[1:]] == ["bigint", "bigint", "date", "text", "int"]
    assert "Written by (1)" in panel.inner_text()
    assert "Read by (2)" in panel.inner_text()
    panel.get_by_role("button", name="staging/refunds").click()
    expect(panel.locator("h2")).to_have_text("staging/refunds")
    expect(panel).to_contain_text("Job")
    page.get_by_role("button", name="Close details").click()
    expect(panel).to_be_hidden()
    assert names(page, ".faded") == []


MADE_OF_QUANTITY = {
    "raw/orders": "quantity",
    "staging/sales": "amount",
    "staging/balance": "amount",
    "marts/revenue": "revenue",
    "marts/forecast": "expected",
}


@pytest.mark.parametrize("hides_jobs", [False, True])
def test_a_column_is_followed_up_and_down_the_graph(page: Page, hides_jobs: bool) -> None:
    if hides_jobs:
        page.keyboard.press("j")
    click_node(page, "staging/balance")
    amount = page.locator(".columns button", has_text="amount")
    amount.click()
    expect(amount).to_be_focused()
    lit = page.evaluate(f"{GRAPH}.nodes('.dataset.lit').map(each => each.data('label'))")
    others = {"raw/products": "price", "staging/refunds": "amount"}
    assert dict(label.split("\n") for label in lit) == {**MADE_OF_QUANTITY, **others}
    edges = page.evaluate(
        f"{GRAPH}.edges('.lit').map(each => each.source().data('label').split('\\n')[0] + '>' "
        f"+ each.target().data('label').split('\\n')[0])"
    )
    assert len(edges) == (6 if hides_jobs else 10)
    expect(page.locator("#panel")).to_contain_text("amount is made of (2)")
    expect(page.locator("#panel")).to_contain_text("marts/revenue · revenue")
    page.get_by_role("button", name="marts/revenue · revenue").click()
    expect(page.locator("#panel h2")).to_have_text("marts/revenue")
    assert set(names(page, "node.dataset.lit")) == {*MADE_OF_QUANTITY, *others}
    page.locator(".columns button", has_text="revenue").click()
    assert names(page, "node.dataset.faded") == [] or "erp" not in names(page, "node.faded")


def test_arrow_keys_walk_along_the_lineage(page: Page) -> None:
    page.locator("#graph").focus()
    page.keyboard.press("ArrowRight")
    click_node(page, "raw/products")
    page.keyboard.press("Escape")
    page.locator("#graph").focus()
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        walked += current(page)
    assert walked == [
        "staging/sales", "staging/sales", "staging/balance", "staging/balance", "staging/balance",
    ]  # fmt: skip
    expect(page.locator("#said")).to_have_text(
        "staging/balance, job of type ASSET, namespace shop, Complete, 2 upstream, 1 downstream"
    )
    page.keyboard.press("ArrowLeft")
    one = current(page)
    page.keyboard.press("ArrowDown" if one == ["staging/sales"] else "ArrowUp")
    assert sorted(one + current(page)) == ["staging/refunds", "staging/sales"]
    page.keyboard.press("Enter")
    expect(page.locator("#panel h2")).to_be_focused()
    expect(page.locator("#panel h2")).to_have_text(current(page)[0])
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    expect(page.locator("#graph")).to_be_focused()


def test_tab_comes_to_everything_and_out_of_the_graph(page: Page) -> None:
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.type"))
    for each in ("search", "view-jobs", "theme", "help", "graph", "zoom-in", "fit"):
        assert each in reached
    assert reached.index("graph") < reached.index("zoom-in")


def test_keys_zoom_and_fit(page: Page) -> None:
    zoom = f"{GRAPH}.zoom()"
    fitted = page.evaluate(zoom)
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert page.evaluate(zoom) > 1.5 * fitted
    page.keyboard.press("-")
    assert page.evaluate(zoom) < 1.5 * fitted
    page.keyboard.press("0")
    assert page.evaluate(zoom) == pytest.approx(fitted)
    page.get_by_role("button", name="Zoom in").click()
    assert page.evaluate(zoom) > fitted
    page.get_by_role("button", name="Fit all").click()
    page.mouse.move(500, 400)
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"{zoom} > {fitted * 1.01}")


@pytest.mark.parametrize("node", ["staging/balance", None])
def test_dragging_moves_all_wherever_it_begins(page: Page, node: str | None) -> None:
    corner = page.locator("#graph").bounding_box()
    assert corner is not None
    x, y = rendered_at(page, node) if node else (corner["x"] + 5, corner["y"] + 5)
    before = page.evaluate(f"{GRAPH}.pan()")
    places = page.evaluate(f"{GRAPH}.nodes().map(each => each.position())")

    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y + 40, steps=10)
    page.mouse.up()

    after = page.evaluate(f"{GRAPH}.pan()")
    # It begins when the pointer has gone so far that it is no click.
    assert 40 <= after["x"] - before["x"] <= 50
    assert 30 <= after["y"] - before["y"] <= 40
    assert page.evaluate(f"{GRAPH}.nodes().map(each => each.position())") == places
    assert current(page) == []


def test_only_what_is_upstream_or_downstream_is_shown(page: Page) -> None:
    click_node(page, "staging/balance")
    page.get_by_role("button", name="Upstream").click()
    upstream = {"raw/orders", "raw/products", "staging/sales", "staging/refunds"}
    assert set(names(page, "node.dataset")) == {
        *upstream, "staging/balance", "stock", "supplier_prices",
    }  # fmt: skip
    expect(page.locator("#focus")).to_contain_text("Only what is upstream of staging/balance")
    expect(page.locator("#states li").first).to_have_text("7 datasets")
    page.keyboard.press("d")
    assert upstream.isdisjoint(names(page, "node.dataset"))
    assert "marts/monthly_report" in names(page)
    page.get_by_role("button", name="Show all").click()
    assert len(names(page, "node.dataset")) == len(ALL_DATASETS)


def test_namespaces_are_hidden_and_shown(page: Page) -> None:
    page.locator("#namespaces summary").click()
    page.get_by_role("checkbox", name="erp").uncheck()
    assert {"stock", "supplier_prices"}.isdisjoint(names(page))
    expect(page.locator("#namespace-count")).to_have_text("2 of 3")
    page.keyboard.press("Escape")
    page.locator("#search").fill("supplier_prices")
    page.locator("#search").press("Enter")
    expect(page.locator("#panel h2")).to_have_text("supplier_prices")
    assert "supplier_prices" in names(page)


def test_whatever_can_be_pressed_has_a_name(page: Page) -> None:
    click_node(page, "marts/revenue")
    page.locator("#namespaces summary").click()
    tree = page.locator("body").aria_snapshot()
    pressable = re.findall(
        r"^ *- (?:button|radio|checkbox|combobox|application)\b(.*)", tree, re.MULTILINE
    )
    assert len(pressable) > 20
    assert [each for each in pressable if not each.startswith(' "')] == []


def colours(page: Page) -> dict[str, tuple[float, ...]]:
    """The colours of the style sheet, as they are now: red, green and blue of 255."""
    found = page.evaluate(
        """() => {
          const probe = document.body.appendChild(document.createElement("i"));
          const rules = [...document.styleSheets].flatMap(sheet => [...sheet.cssRules]);
          const sheet = rules.find(rule => rule.selectorText === ":root").style;
          return [...sheet].filter(name => name.startsWith("--")).map(name => {
            probe.style.color = `var(${name})`;
            return [name, getComputedStyle(probe).color];
          });
        }"""
    )
    return {name[2:]: tuple(map(float, re.findall(r"[\d.]+", value))) for name, value in found}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """As WCAG has it: from 1 to 21."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in (each / 255 for each in colour[:3])
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_can_be_read(
    browser: Browser, shop_page: Path, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, shop_page, color_scheme=scheme) as page:
        found = colours(page)
        for ground in ("surface", "ground", "job", "tint"):
            assert contrast(found["text"], found[ground]) >= 7
            assert contrast(found["quiet"], found[ground]) >= 4.5
        for state in ("complete", "fail", "abort", "running"):
            assert contrast(found[state], found["surface"]) >= 4.5
            assert contrast(found[state], found["job"]) >= 3
            assert contrast(found["on-state"], found[state]) >= 4.5
        assert contrast(found["quiet-line"], found["ground"]) >= 2.5
        is_dark = contrast(found["ground"], (255, 255, 255)) > 10
        assert is_dark == (scheme == "dark")
        drawn = f"{GRAPH}.nodes('.dataset')[0].style('background-color')"
        before = page.evaluate(drawn)
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(drawn) != before
        assert colours(page)["text"] != found["text"]


HOSTILE = [
    '</script><script>document.title="broken"</script>',
    '<img src=x onerror=document.title="broken">',
    "<!-- <script>",
    "line\nbreak",
    "''\"`${document.title='broken'}",
]


def test_hostile_names_are_text(browser: Browser, tmp_path: Path) -> None:
    events = [
        run(
            text,
            outputs=[dataset(text, text, {text: [(text, text)]}, text, **{text: text})],
            namespace=text,
            kind=text,
            minute=minute,
        )
        for minute, text in enumerate(HOSTILE)
    ]
    with opened(browser, page_of(events, tmp_path)) as page:
        expect(page.locator("script")).to_have_count(3)
        page.locator("#namespaces summary").click()
        for text in HOSTILE:
            page.locator("#search").fill(text.split()[0])
            page.locator("#search").press("Enter")
            heading = page.locator("#panel h2").text_content()
            assert heading in HOSTILE
            page.locator("#columns button").first.click()
            page.keyboard.press("u")
            page.keyboard.press("a")
        expect(page.locator("script")).to_have_count(3)
        expect(page.locator("img:not([src^='data:image/svg+xml'])")).to_have_count(0)
        assert page.title() == "Lineage of events.jsonl"


def test_thousands_of_nodes_are_drawn(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_of(pipelines(3000), tmp_path)) as page:
        assert len(names(page, "node.dataset")) == 3000
        page.locator("#search").fill("pipeline_042 layer_3/table_3")
        page.locator("#search").press("Enter")
        expect(page.locator("#panel h2")).to_have_text("pipeline_042/layer_3/table_3")
        page.keyboard.press("b")
        assert 10 < len(names(page, "node.dataset")) < 40
        page.keyboard.press("a")
        page.keyboard.press("j")
        painted(page)
        assert len(names(page)) == 6000
        assert page.evaluate(f"{GRAPH}.edges().length") == 7800


COUNT_ARROWS = """
  void (() => {
    const { fill } = CanvasRenderingContext2D.prototype;
    window.filled_ = 0;
    CanvasRenderingContext2D.prototype.fill = function (...given) {
      window.filled_ += 1;
      fill.apply(this, given);
    };
  })()"""


def test_thousands_of_nodes_are_not_drawn_anew_while_they_are_dragged(
    browser: Browser, tmp_path: Path
) -> None:
    with opened(browser, page_of(pipelines(3000), tmp_path)) as page:
        edges = page.evaluate(f"{GRAPH}.edges().length")
        assert edges == 4800
        before = page.evaluate(f"{GRAPH}.pan().x")
        page.mouse.move(600, 300)
        page.mouse.down()
        page.mouse.move(610, 300)
        painted(page)
        page.evaluate(COUNT_ARROWS)
        for step in range(1, 61):
            page.mouse.move(610 + 5 * step, 300 + step)
            painted(page)
        assert page.evaluate(f"{GRAPH}.pan().x") >= before + 300
        # Each edge has an arrow, which is filled whenever it is drawn.
        assert page.evaluate("window.filled_") < 2 * edges
        page.mouse.up()


def test_the_pictures_of_the_documentation_are_small(browser: Browser, tmp_path: Path) -> None:
    take_screenshots(browser, tmp_path)
    sizes = {file.name: file.stat().st_size for file in tmp_path.iterdir()}
    assert sizes.keys() == {
        "graph-light.png", "graph-dark.png", "graph-columns-light.png", "graph-columns-dark.png",
    }  # fmt: skip
    assert max(sizes.values()) < 200_000


if __name__ == "__main__":
    with chromium() as started:
        take_screenshots(started, Path(sys.argv[1]))
