"""The page of a night in a browser: it opens from disk, sorts, filters, enlarges."""

import json
import shutil

import pytest
from test_maxireport import SHOWN, lines, night

import maxireport


def part(name):
    return pytest.importorskip(f"selenium.webdriver{name}", reason="selenium is not installed")


webdriver = part("")
By, Keys = part(".common.by").By, part(".common.keys").Keys
Select, Wait = part(".support.select").Select, part(".support.wait").WebDriverWait
PROGRAMS = [shutil.which(name) for name in ("chromium", "chromedriver")]
pytestmark = pytest.mark.skipif(
    None in PROGRAMS, reason="Debian's chromium and chromium-driver are not installed"
)

FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
--disable-background-networking --disable-component-update --disable-sync
"""


# The elements whose words stand out too little from their ground, or are too small.
POOR = """
const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = (rgb) => {
  const [r, g, b] = rgb.map((c) => linear(c / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const [r, g, b, a] = parse(getComputedStyle(element).backgroundColor);
    if (a !== 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const says = (element) =>
  [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const poor = (element) => {
  const style = getComputedStyle(element);
  const both = [light(parse(style.color)), light(ground(element))].sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05) < 4.5 || parseFloat(style.fontSize) < 12;
};
return [...document.querySelectorAll("body *:not(script):not(svg *)")]
  .filter((element) => element.offsetHeight && says(element) && poor(element))
  .map((element) => element.outerHTML);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = PROGRAMS[0]
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(PROGRAMS[1])
    with webdriver.Chrome(options, service) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A page on disk, of 300 exposures, in 40 of which more was found, and of some that are odd."""
    folder = tmp_path_factory.mktemp("night")
    told = night(folder)
    for i in range(40):
        date = f"2026-01-02T{i // 4:02d}:{i % 4 * 15:02d}:00"
        shares = {"HP": 0.001 * (i % 7), "SP": 0.0001 * i}
        told += lines(f"exposure{i}.fits", folder, date=date, shares=shares, probability=0.01 * i)
    told += [line for i in range(260) for line in lines(f"more{i}.fits", folder)]
    log = folder / "night.log"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in told))
    assert maxireport.main([str(log), "-o", str(folder / "night.html")]) == 0
    return (folder / "night.html").as_uri()


@pytest.fixture
def page(browser, address):
    """The browser, with the page just opened in it; nothing may be wrong, and nobody asked."""
    size(browser, 1400, 900)
    browser.get_log("performance")
    browser.get(address)
    yield browser
    assert browser.get_log("browser") == []
    assert {url.partition(":")[0] for url in requested(browser)} <= {"file", "data"}


def requested(browser):
    """What the browser asked for since it was asked last."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    sent = [each for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [each["params"]["request"]["url"] for each in sent]


def size(browser, width, height):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def shown(page, name):
    """The cells of a column, in the rows that are shown."""
    return page.execute_script(
        """
        const headings = [...document.querySelectorAll("th")];
        const column = headings.findIndex((th) => th.innerText.includes(arguments[0]));
        const rows = [...document.querySelectorAll("tbody tr")].filter((row) => row.offsetHeight);
        return rows.map((row) => row.cells[column].innerText);
        """,
        name,
    )


def heading(page, name):
    return page.find_element(By.XPATH, f"//th[button[text()='{name}']]")


def fill(page, **values):
    """Set filters as a user does."""
    for name, value in values.items():
        field = page.find_element(By.NAME, name)
        if field.tag_name == "select":
            Select(field).select_by_value(value)
        else:
            field.send_keys(value)


def test_a_heading_sorts_and_sorts_back(page):
    button = heading(page, "SP").find_element(By.TAG_NAME, "button")
    button.click()
    assert heading(page, "SP").get_attribute("aria-sort") == "descending"
    values = [float(text) for text in shown(page, "SP") if text]
    assert len(values) == 39 and values == sorted(values, reverse=True)
    button.send_keys(Keys.ENTER)
    assert heading(page, "SP").get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in shown(page, "SP")[:39]] == values[::-1]
    assert not any(shown(page, "SP")[39:])


def test_names_sort_as_people_count(page):
    heading(page, "Name").find_element(By.TAG_NAME, "button").click()
    names = [name for name in shown(page, "Name") if name.startswith("exposure")]
    assert names == [f"exposure{i}.fits" for i in range(40)]
    assert len(page.find_elements(By.CSS_SELECTOR, "[aria-sort]")) == 1


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"name": "EXPOSURE3"}, ["exposure3.fits", *(f"exposure{i}.fits" for i in range(30, 40))]),
        ({"status": "failed", "name": "d.f"}, ["d.fits"]),
        ({"class": "TRL"}, ["c.fits"]),
        ({"class": "SP", "share": "0.38"}, ["exposure38.fits", "exposure39.fits"]),
        ({"share": "2", "class": "CR"}, ["b.fits", "c.fits"]),
        ({"share": "1.5"}, ["b.fits", "c.fits"]),
        ({"tracking": "0.5"}, ["b.fits"]),
    ],
)
def test_filters_leave_what_was_asked_for(page, filters, names):
    everything = shown(page, "Name")
    fill(page, **filters)
    assert shown(page, "Name") == names
    told = page.find_element(By.TAG_NAME, "output").text
    assert told == f"{len(names)} of {len(everything)} shown"
    page.find_element(By.CSS_SELECTOR, "[name=all]").click()
    assert shown(page, "Name") == everything


def test_a_picture_is_enlarged_and_the_keyboard_leads_on(page):
    link = page.find_element(By.CSS_SELECTOR, "a.picture")
    link.send_keys(Keys.ENTER)
    dialog = page.find_element(By.TAG_NAME, "dialog")
    image = dialog.find_element(By.TAG_NAME, "img")
    Wait(page, 10).until(lambda _: image.get_property("naturalWidth") == 120)
    first = image.get_attribute("src")
    assert dialog.get_attribute("open") and first == link.get_attribute("href")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert image.get_attribute("src") != first
    page.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert image.get_attribute("src") == first
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not dialog.get_attribute("open")
    assert page.switch_to.active_element == link


def test_what_is_hostile_does_nothing(page):
    assert page.execute_script("return window.hacked") is None
    assert SHOWN in shown(page, "Filter")
    assert not page.find_elements(By.CSS_SELECTOR, "img:not([src^='data:']):not(dialog img)")


@pytest.mark.parametrize("width", [1400, 400])
def test_all_words_can_be_read(page, width):
    """By the contrast that WCAG 2 asks for, at no less than 12 pixels, without moving sideways."""
    size(page, width, 900)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    poor = page.execute_script(POOR)
    assert poor == []


def test_all_that_is_used_can_be_reached_by_keyboard_and_has_a_name(page):
    controls = page.find_elements(By.CSS_SELECTOR, "main button, main input, main select, main a")
    assert len(controls) > 40
    for control in controls[:30]:
        assert control.accessible_name
        page.execute_script("arguments[0].focus()", control)
        assert page.switch_to.active_element == control
