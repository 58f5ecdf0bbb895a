// Charts, the confidence slider, sortable tables, copy buttons. Texts enter the page through textContent only.
const tip = document.getElementById("tip");

function tooltip(handler, event, item, value) {
  if (value == null || value === "") { tip.hidden = true; return; }
  tip.replaceChildren();
  for (const [name, text] of Object.entries(typeof value === "object" ? value : { "": value })) {
    const row = document.createElement("div");
    const key = document.createElement("b");
    key.textContent = name;
    row.append(key, " ", String(text));
    tip.append(row);
  }
  tip.hidden = false;
  const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const y = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
  tip.style.left = `${Math.max(4, x)}px`;
  tip.style.top = `${Math.max(4, y)}px`;
}

const font = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const text = { labelColor: "var(--muted)", titleColor: "var(--muted)", labelFontSize: 11, titleFontSize: 11, titleFontWeight: 500, labelFont: font, titleFont: font };
const config = {
  font, background: null, view: { stroke: null },
  axis: { ...text, gridColor: "var(--line)", domainColor: "var(--line)", tickColor: "var(--line)", titlePadding: 10 },
  legend: { ...text, labelColor: "var(--fg)", symbolStrokeWidth: 0 },
};

async function draw(chart) {
  const spec = JSON.parse(chart.nextElementSibling.textContent);
  const made = await vegaEmbed(chart, spec, { mode: "vega-lite", renderer: "svg", actions: false, ast: true, tooltip, config });
  chart.view = made.view;
  return spec;
}

function percent(share, digits) {
  return `${(100 * share).toFixed(digits)} %`;
}

function slide(figure, spec) {
  const input = figure.querySelector("input[type=range]");
  const output = figure.querySelector("output");
  const bins = spec.data.values;
  const total = bins.reduce((sum, bin) => sum + bin.n, 0);
  const update = () => {
    const cut = input.value / 100;
    const kept = bins.filter((bin) => bin.from >= cut - 1e-9);
    const [n, gold, right] = ["n", "gold", "right"].map((key) => kept.reduce((sum, bin) => sum + bin[key], 0));
    const known = gold ? `; ${percent(right / gold, 1)} right, on ${gold.toLocaleString("en")} gold rows` : "; none with gold";
    output.textContent = `≥ ${percent(cut, 0)}: ${n.toLocaleString("en")} labels stay (${percent(n / total, 1)})${known}`;
    figure.querySelector(".chart").view.signal("cut", cut).run();
  };
  input.addEventListener("input", update);
  update();
}

function sort(table, button) {
  const head = button.closest("th");
  const place = Number(button.dataset.sort);
  const number = button.dataset.kind === "num";
  const down = head.getAttribute("aria-sort") === "none" ? number : head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (body) => body.rows[0].cells[place].dataset.value;
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === "" || y === "") return (x === "") - (y === "");
    const order = number ? Number(x) - Number(y) : x.localeCompare(y);
    return down ? -order : order;
  };
  table.append(...[...table.tBodies].sort(compare));
}

document.querySelectorAll("table.lfs").forEach((table) => {
  table.querySelectorAll("thead button").forEach((button) => button.addEventListener("click", () => sort(table, button)));
});

document.querySelectorAll("button.copy").forEach((button) => {
  button.addEventListener("click", async () => {
    const code = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
});

for (const chart of document.querySelectorAll(".chart")) {
  const spec = await draw(chart);
  const figure = chart.closest("figure");
  if (figure.querySelector("input[type=range]")) slide(figure, spec);
}
document.documentElement.dataset.ready = "yes";
