// Draws each plot in the colours of the page, and again when the page turns dark or light.
const specs = JSON.parse(document.getElementById("specs").textContent);
const night = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = getComputedStyle(document.body).fontFamily;
  return {
    background: null,
    font,
    view: { stroke: null },
    axis: {
      domain: false, ticks: false, gridColor: colour("--line"), labelColor: colour("--quiet"), labelFont: font,
      labelFontSize: 12, labelPadding: 8, labelLimit: innerWidth < 600 ? 116 : 240,
    },
  };
}

async function draw() {
  const config = theme();
  for (const place of document.querySelectorAll(".plot")) {
    await vegaEmbed(place, specs[place.dataset.spec], { actions: false, renderer: "svg", config });
  }
  document.documentElement.dataset.drawn = document.querySelectorAll(".plot svg").length;
}

night.addEventListener("change", draw);
draw();
