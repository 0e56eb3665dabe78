"use strict";
// Without this script, and in print, the style sheet shows the pictures instead of the charts.
document.documentElement.classList.add("js");

// Charts are drawn when they come near the window. A click on a point leads to its run's row: the row's id stands in
// the point's customdata, or in the uid of a trace that is one run.
const CONFIG = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
const nearby = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearby.unobserve(target);
    const { data, layout } = JSON.parse(target.closest("figure").querySelector("script").textContent);
    // A finger on the chart should move the page.
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    Plotly.newPlot(target, data, layout, CONFIG);
    target.on("plotly_click", ({ points: [point] }) => {
      const row = document.getElementById(point.customdata ?? point.data.uid);
      if (row) location.hash = row.id;
    });
  }
}, { rootMargin: "400px" });
document.querySelectorAll(".interactive > div").forEach((chart) => nearby.observe(chart));

// A table that is wider than the window is introduced as such.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.previousElementSibling.hidden = target.scrollWidth <= target.clientWidth;
});
document.querySelectorAll(".scroll").forEach((box) => boxes.observe(box));

// A click on a heading sorts by that column: numbers by their value, what is not known last, a second click turns round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((heading, column) => {
    const button = heading.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const order = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row) => [row.cells[column].dataset.key, row]);
      rows.sort(([a], [b]) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        const x = Number(a), y = Number(b);
        return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y);
      });
      body.append(...rows.map(([, row]) => row));
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", order);
    });
  });
}
