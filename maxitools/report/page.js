"use strict";
(() => {
  const table = document.querySelector("table");
  const body = table.tBodies[0];
  const headings = [...table.querySelectorAll("th[data-key]")];
  const place = (key) => headings.findIndex((th) => th.dataset.key === key) + 1;
  const rows = [...body.rows];

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  };

  // Sorting: a heading is a button; what has no value comes last either way.
  const order = new Intl.Collator(undefined, { numeric: true });
  const sort = (th) => {
    const column = headings.indexOf(th) + 1;
    const number = th.classList.contains("n");
    const first = number ? "descending" : "ascending";
    const second = number ? "ascending" : "descending";
    const direction = th.getAttribute("aria-sort") === first ? second : first;
    const sign = direction === "ascending" ? 1 : -1;
    const keys = new Map(rows.map((row) => [row, number ? value(row, column) : row.cells[column].textContent]));
    const empty = (key) => key === null || key === "";
    rows.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (empty(x) || empty(y)) return empty(x) - empty(y);
      return sign * (number ? x - y : order.compare(x, y));
    });
    headings.forEach((each) => each.removeAttribute("aria-sort"));
    th.setAttribute("aria-sort", direction);
    body.append(...rows);
  };
  for (const th of headings) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...th.childNodes);
    button.addEventListener("click", () => sort(th));
    th.append(button);
  }

  // Filtering: a row is shown where all that is asked holds.
  const form = document.querySelector(".filters");
  const asked = form.elements;
  const share = (row) => {
    const columns = asked.class.value
      ? [place(asked.class.value)]
      : headings.flatMap((th, i) => (th.dataset.key.toUpperCase() === th.dataset.key ? [i + 1] : []));
    return Math.max(...columns.map((column) => value(row, column) ?? 0), 0);
  };
  const filter = () => {
    const name = asked.name.value.toLowerCase();
    const least = asked.share.value === "" ? null : Number(asked.share.value) / 100;
    const tracking = asked.tracking.value === "" ? null : Number(asked.tracking.value);
    let shown = 0;
    for (const row of rows) {
      const cells = row.cells;
      const good =
        cells[place("name")].textContent.toLowerCase().includes(name) &&
        (!asked.status.value || cells[place("status")].textContent === asked.status.value) &&
        (!asked.class.value || share(row) > 0) &&
        (least === null || share(row) >= least) &&
        (tracking === null || (value(row, place("tracking")) ?? -1) >= tracking);
      row.hidden = !good;
      shown += good;
    }
    form.querySelector("output").value = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("change", filter);
  asked.all.addEventListener("click", () => {
    form.reset();
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();

  // Enlarging: a picture opens above the page, and the arrow keys lead to the next one shown.
  const dialog = document.querySelector("dialog");
  let open = null;
  const show = (link) => {
    open = link;
    const image = dialog.querySelector("img");
    image.src = link.href;
    image.alt = link.firstElementChild.alt;
    dialog.querySelector("a").href = link.href;
    dialog.querySelector("span").textContent = image.alt;
    if (!dialog.open) dialog.showModal();
  };
  const step = (by) => {
    const links = [...body.querySelectorAll("tr:not([hidden]) .picture")];
    const next = links[links.indexOf(open) + by];
    if (next) show(next);
  };
  body.addEventListener("click", (event) => {
    const link = event.target.closest(".picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link);
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.querySelector("[name=before]").addEventListener("click", () => step(-1));
  dialog.querySelector("[name=after]").addEventListener("click", () => step(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => open && open.focus());
})();
