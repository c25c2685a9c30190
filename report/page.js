// Draw the charts and mark tables that scroll sideways; repeat when the screen or the colour scheme changes.
const specs = {};
const night = matchMedia("(prefers-color-scheme: dark)");

// The style sheet colours text and lines, so one drawing serves paper, light and dark screens.
function config(place) {
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: { domain: false, ticks: false, labelFontSize: 12, labelPadding: 8, titleFontSize: 12, titleFontWeight: "normal" },
    axisY: { labelLimit: Math.round(Math.min(400, place.clientWidth * 0.36)) },
  };
}

// A chart that fails must not affect the others; its numbers are in the table below it.
async function drawOne(place) {
  try {
    const text = document.getElementById(`spec-${place.dataset.spec}`).textContent;
    specs[place.dataset.spec] = JSON.parse(text);
    const tooltip = { theme: night.matches ? "dark" : "light" };
    await vegaEmbed(place, specs[place.dataset.spec], { actions: false, renderer: "svg", config: config(place), tooltip });
  } catch (problem) {
    const sentence = document.createElement("p");
    sentence.className = "problem";
    sentence.textContent = `This chart cannot be drawn (${String(problem.message || problem).slice(0, 160)}).`;
    place.replaceChildren(sentence);
  }
}

function markEdges() {
  for (const frame of document.querySelectorAll(".frame")) {
    const inner = frame.firstElementChild;
    const hidden = inner.scrollWidth - inner.clientWidth;
    frame.classList.toggle("cut-left", inner.scrollLeft > 1);
    frame.classList.toggle("cut-right", inner.scrollLeft < hidden - 1);
    frame.classList.toggle("scrolls", hidden > 1);
    if (hidden > 1) inner.tabIndex = 0;
    else inner.removeAttribute("tabindex");
  }
}

async function draw() {
  for (const place of document.querySelectorAll(".plot")) await drawOne(place);
  markEdges();
  document.documentElement.dataset.drawn = document.querySelectorAll(".plot svg").length;
}

for (const frame of document.querySelectorAll(".frame")) {
  frame.firstElementChild.addEventListener("scroll", markEdges, { passive: true });
}
for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", markEdges);
night.addEventListener("change", draw);
addEventListener("resize", markEdges);
draw();
