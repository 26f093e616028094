"use strict";
// Curves answer the pointer, a finger and the arrow keys: label, time and regret of a point.
const phone = matchMedia("screen and (max-width: 40rem)");
for (const plot of document.querySelectorAll("[data-trace]")) {
  const { boxes, x, y, times, lines, unit } = JSON.parse(plot.dataset.trace);
  const dot = plot.querySelector(".dot"), said = plot.querySelector("output");
  const share = ([low, high, log], value) => {
    const on = log ? Math.log : Number;
    return Math.min(1, Math.max(0, (on(value) - on(low)) / (on(high) - on(low))));
  };
  const points = lines.flatMap(([label, values], line) => values.map((value, place) => {
    const time = times[place + times.length - values.length];
    return { label, line, time, value, x: share(x, time), y: 1 - share(y, value) };
  })).filter(point => point.value !== null);
  let shown = points[points.length - 1];

  const show = point => {
    const [left, top, width, height] = boxes[Number(phone.matches)];
    const across = 100 * (left + point.x * width), down = 100 * (top + point.y * height);
    shown = point;
    dot.style.left = said.style.left = `${across}%`;
    dot.style.top = said.style.top = `${down}%`;
    const below = down < 25 ? "1rem" : "calc(-100% - 1rem)";
    said.style.transform = `translate(-${across}%, ${below})`;  // so it never leaves the plot
    const time = point.time.toLocaleString("en", { maximumFractionDigits: 0 });
    said.textContent = `${point.label}: after ${time} ${unit}, regret ${point.value} points`;
    dot.hidden = said.hidden = false;
  };
  const hide = () => { dot.hidden = said.hidden = true; };
  const nearest = (across, down, among) => {
    const [left, top, width, height] = boxes[Number(phone.matches)];
    const far = point => Math.hypot(
      (left + point.x * width - across) * plot.clientWidth,
      (top + point.y * height - down) * plot.clientHeight);
    return among.reduce((best, point) => far(point) < far(best) ? point : best);
  };
  const point = event => {
    const box = plot.getBoundingClientRect();
    show(nearest((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, points));
  };
  if (!points.length) continue;
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", event => event.pointerType === "mouse" && hide());
  plot.addEventListener("focus", () => plot.matches(":focus-visible") && show(shown));
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", event => {
    const place = points.indexOf(shown), last = lines.length - 1;
    const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const over = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") return hide();
    if (!along && !over) return;
    event.preventDefault();
    if (along) {
      const next = points[place + along];
      return show(next && next.line === shown.line ? next : shown);
    }
    for (let line = shown.line + over; line >= 0 && line <= last; line += over) {
      const its = points.filter(point => point.line === line);
      if (!its.length) continue;
      const apart = point => Math.abs(point.x - shown.x);
      return show(its.reduce((best, point) => apart(point) < apart(best) ? point : best));
    }
  });
}
// Paper has no pointer: what is folded is printed open.
addEventListener("beforeprint", () => {
  for (const note of document.querySelectorAll(".note:not([open])")) note.open = note.dataset.print = true;
});
addEventListener("afterprint", () => {
  for (const note of document.querySelectorAll("[data-print]")) {
    note.open = false;
    delete note.dataset.print;
  }
});
