"""The built book opens from disk in Chromium, with no network, no error, and its formulas rendered."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def pages(root):
    html = root / "_build" / "html"
    found = sorted(path for path in html.glob("chapters/*.html"))
    assert found, f"{html}: the book is not built; run make book"
    return found


@pytest.fixture(scope="module")
def browser():
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield instance
        instance.close()


def test_every_page_reads_offline(browser, pages, root):
    shots = root / "_build" / "screenshots"
    shots.mkdir(exist_ok=True)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    faults, formulas = [], {}
    for path in pages:
        page = context.new_page()
        page.on(
            "console", lambda m, p=path: m.type in ("error", "warning") and faults.append((p.name, m.text))
        )
        page.on("pageerror", lambda error, p=path: faults.append((p.name, str(error))))
        page.on("requestfailed", lambda request, p=path: faults.append((p.name, request.url)))
        page.on(
            "request",
            lambda request, p=path: (
                request.url.startswith(("file:", "data:", "blob:")) or faults.append((p.name, request.url))
            ),
        )
        page.goto(path.as_uri(), wait_until="load")
        page.evaluate("window.MathJax ? MathJax.startup.promise : null")
        sources = page.locator(".math").count()
        formulas[path.stem] = (sources, page.locator(".math mjx-container").count())
        assert page.locator("mjx-merror").count() == 0, f"{path.name}: a formula does not parse"
        assert page.locator("img:not([alt])").count() == 0, f"{path.name}: a picture without alt text"
        broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")
        assert broken == [], f"{path.name}: pictures that do not load"
        page.screenshot(path=shots / f"{path.stem}.png", full_page=True)
        page.close()
    context.close()
    assert faults == []
    assert formulas["linear_proof"][0] > 30
    assert all(rendered == sources for sources, rendered in formulas.values()), formulas


def test_search_works_from_disk(browser, pages):
    page = browser.new_context(offline=True).new_page()
    page.goto(pages[0].parents[1].joinpath("search.html").as_uri() + "?q=Gibbs")
    page.wait_for_selector("#search-results li")
    assert "From synthetic data to parameters" in page.locator("#search-results").inner_text()
    page.close()
