from tests.visitor import Browser, is_whole
def test_x(browser: Browser) -> None:
    page = browser.get("/settings/instructions")
    assert is_whole(page), page.text
