// The scatter of the gallery: dragging across it narrows the gallery to that part. Its cells are links without this.
"use strict";

(() => {
  let begun = null;

  // A point of the window in the units of the drawing.
  const placeIn = (plot, event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    const { left, top, width, height } = plot.dataset;
    return {
      x: Math.min(1, Math.max(0, (point.x - Number(left)) / Number(width))),
      y: Math.min(1, Math.max(0, (point.y - Number(top)) / Number(height))),
    };
  };

  const valueAt = (bounds, share) => {
    const [low, high] = bounds.split(" ").map(Number);
    return Number((low * (high / low) ** share).toPrecision(4));
  };

  const drawBrush = (plot, from, to) => {
    const brush = plot.querySelector(".scatter-brush");
    const { left, top, width, height } = plot.dataset;
    brush.setAttribute("x", Number(left) + Math.min(from.x, to.x) * width);
    brush.setAttribute("y", Number(top) + Math.min(from.y, to.y) * height);
    brush.setAttribute("width", Math.abs(to.x - from.x) * width);
    brush.setAttribute("height", Math.abs(to.y - from.y) * height);
    brush.removeAttribute("hidden");
  };

  const isDrag = (from, to) => Math.abs(to.x - from.x) > 0.02 && Math.abs(to.y - from.y) > 0.02;

  const goTo = (plot, from, to) => {
    const state = new URLSearchParams(window.location.search);
    state.delete("cursor");
    state.set("min_density", valueAt(plot.dataset.density, Math.min(from.x, to.x)));
    state.set("max_density", valueAt(plot.dataset.density, Math.max(from.x, to.x)));
    state.set("min_max_activation", valueAt(plot.dataset.activation, 1 - Math.max(from.y, to.y)));
    state.set("max_max_activation", valueAt(plot.dataset.activation, 1 - Math.min(from.y, to.y)));
    window.location.assign(`${plot.dataset.gallery}?${state}`);
  };

  document.addEventListener("pointerdown", (event) => {
    const plot = event.target.closest?.(".scatter-plot");
    if (!plot || event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls
    begun = { plot, from: placeIn(plot, event) };
  });
  document.addEventListener("pointermove", (event) => {
    if (begun) drawBrush(begun.plot, begun.from, placeIn(begun.plot, event));
  });
  document.addEventListener("pointerup", (event) => {
    if (!begun) return;
    const { plot, from } = begun;
    begun = null;
    plot.querySelector(".scatter-brush").setAttribute("hidden", "");
    const to = placeIn(plot, event);
    if (isDrag(from, to)) goTo(plot, from, to);
  });
  // Dragging begins on a cell often, and a link is what browsers would drag.
  document.addEventListener("dragstart", (event) => {
    if (event.target.closest?.(".scatter-plot")) event.preventDefault();
  });
})();
