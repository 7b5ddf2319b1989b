// Read-outs, filter and order. Everything is visible without this script.
(() => {
  "use strict";
  const NS = "http://www.w3.org/2000/svg";

  // The height of a step path at x, read from the path itself ("M40 200H51V199...").
  const heightAt = (path, x) => {
    let y = null;
    for (const [, kind, a, b] of path.getAttribute("d").matchAll(/([MHV])([\d.]+)(?: ([\d.]+))?/g)) {
      if (kind === "M") { if (+a > x) return null; y = +b; }
      else if (kind === "H") { if (+a >= x) return y; }
      else y = +a;
    }
    return null;
  };

  const readOut = (svg) => {
    const lines = [...svg.querySelectorAll("path.line")];
    if (!lines.length) return;
    const [left, right, lastDay, bottom, top, high] =
      lines[0].dataset.scale.split(" ").map(Number);
    const hair = document.createElementNS(NS, "line");
    hair.setAttribute("class", "hair");
    hair.setAttribute("y1", top); hair.setAttribute("y2", bottom);
    const said = document.createElement("p");
    said.className = "readout"; said.hidden = true;
    svg.append(hair); svg.after(said);
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
      const inside = at.x >= left && at.x <= right;
      hair.style.visibility = inside ? "visible" : "hidden";
      said.hidden = !inside;
      if (!inside) return;
      hair.setAttribute("x1", at.x); hair.setAttribute("x2", at.x);
      const day = Math.round((at.x - left) / (right - left) * lastDay);
      const values = lines.map((line) => {
        const y = heightAt(line, at.x);
        if (y === null) return null;
        const share = (bottom - y) / (bottom - top) * high;
        return `${line.dataset.name} ${(share * 100).toFixed(1)}%`;
      }).filter(Boolean);
      said.textContent = `Day ${day}: ${values.join(", ")}`;
    });
    svg.addEventListener("pointerleave", () => {
      hair.style.visibility = "hidden"; said.hidden = true;
    });
  };

  // The tools over the cards of the deaths: which cause, only those to review, in which order.
  const tools = (holder) => {
    const first = [...holder.children];
    const form = document.createElement("form");
    form.className = "tools";
    form.innerHTML = `<label>Cause <select name="cause"><option value="">all</option></select></label>
      <label><input type="checkbox" name="review"> awaiting review only</label>
      <label>Order <select name="order"><option value="">review first</option>
        <option value="day">day of death</option></select></label><output></output>`;
    for (const cause of [...new Set(first.map((card) => card.dataset.cause))].sort())
      form.elements.cause.add(new Option(cause));
    holder.before(form);
    const apply = () => {
      const data = new FormData(form);
      const order = data.get("order") === "day"
        ? [...first].sort((a, b) => a.dataset.day - b.dataset.day) : first;
      holder.replaceChildren(...order);
      let shown = 0;
      for (const card of first) {
        card.hidden = Boolean((data.get("cause") && card.dataset.cause !== data.get("cause")) ||
          (data.get("review") && card.dataset.review !== "1"));
        shown += card.hidden ? 0 : 1;
      }
      form.querySelector("output").textContent = `${shown} of ${first.length}`;
    };
    form.addEventListener("input", apply);
    apply();
  };

  document.querySelectorAll("svg").forEach(readOut);
  document.querySelectorAll("#cards").forEach(tools);
})();
