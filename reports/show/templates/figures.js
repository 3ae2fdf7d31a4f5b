// Figures that answer: what a point is, on hover and by the arrow keys; which implementations are shown; a closer look.
// All numbers and words are in the page; nothing is computed here. Without it the figures are still there.
{
  const rules = document.head.appendChild(document.createElement("style"));
  const tip = document.body.appendChild(document.createElement("div"));
  const dialog = document.body.appendChild(document.createElement("dialog"));
  const bar = document.querySelector(".bar");
  const gone = new Set(); // tags of implementations that are hidden
  let lit = ""; // the tag that is set off from the others
  let on = null; // the mark that is touched
  tip.id = "tip";
  tip.setAttribute("role", "status");
  tip.setAttribute("aria-label", "Value");
  tip.hidden = true;
  dialog.setAttribute("aria-label", "A closer look");

  const tagOf = (element) => [...(element?.classList ?? [])].find((name) => /^i\d+$/.test(name)) ?? "";
  const marksOf = (svg) => [...svg.querySelectorAll("circle.mark")].filter((mark) => !gone.has(tagOf(mark)));

  function restyle() {
    rules.textContent = [
      ...[...gone].map((tag) => `svg .${tag}:not(.entry) { visibility: hidden } svg .${tag}.entry { opacity: 0.4 }`),
      lit ? `svg g[class^="i"]:not(.${lit}):not(.entry) { opacity: 0.25 }` : "",
    ].join("\n");
    for (const chip of bar.children) chip.setAttribute("aria-pressed", String(!gone.has(chip.dataset.tag)));
  }

  function light(tag) {
    if (tag === lit) return;
    lit = tag;
    restyle();
  }

  function toggle(tag) {
    if (!gone.delete(tag)) gone.add(tag);
    lit = "";
    touch(null);
    restyle();
  }

  // Show what a mark is, and set off the marks of the same input in every figure.
  function touch(mark) {
    if (mark === on) return;
    on = mark;
    document.querySelectorAll(".mark.on, .mark.same").forEach((other) => other.classList.remove("on", "same"));
    tip.hidden = !mark;
    light(tagOf(mark));
    if (!mark) return;
    if (mark.dataset.input)
      for (const other of document.querySelectorAll(".mark"))
        other.classList.toggle("same", other.dataset.input === mark.dataset.input);
    mark.classList.add("on");
    tip.textContent = mark.dataset.words;
    (mark.closest("dialog") ?? document.body).append(tip); // above a dialog nothing else is shown
    const at = mark.getBoundingClientRect();
    const left = Math.min(at.right + 8, innerWidth - tip.offsetWidth - 8);
    const above = at.top - tip.offsetHeight - 8;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above < 8 ? at.bottom + 8 : above}px`;
  }

  const place = (svg, event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());

  function nearest(svg, event) {
    const { x, y } = place(svg, event);
    let found = null;
    let least = 34; // half a cell of the widest table of cells
    for (const mark of marksOf(svg)) {
      const distance = Math.hypot(mark.cx.baseVal.value - x, mark.cy.baseVal.value - y);
      if (distance < least) [found, least] = [mark, distance];
    }
    return found;
  }

  // Zoom about a point, or move; the whole figure is the farthest that it goes.
  function look(svg, factor, x, y, right = 0, down = 0) {
    svg.dataset.whole ??= svg.getAttribute("viewBox");
    const [left, top, width, height] = svg.dataset.whole.split(/[ ,]+/).map(Number);
    const now = svg.viewBox.baseVal;
    const w = Math.min(width, Math.max(width / 16, now.width * factor));
    const h = (w * height) / width;
    const within = (value, least, room) => Math.min(Math.max(value, least), least + Math.max(0, room));
    const newLeft = within(x - ((x - now.x) * w) / now.width + right, left, width - w);
    const newTop = within(y - ((y - now.y) * h) / now.height + down, top, height - h);
    svg.setAttribute("viewBox", `${newLeft} ${newTop} ${w} ${h}`);
    touch(null);
  }

  function key(event, svg) {
    const marks = marksOf(svg);
    const same = on ? marks.filter((mark) => mark.dataset.input && mark.dataset.input === on.dataset.input) : [];
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    const middle = svg.viewBox.baseVal;
    const zoom = { "+": 0.7, "-": 1 / 0.7, 0: Infinity }[event.key];
    if (step && marks.length) {
      const among = event.key.endsWith("t") || same.length < 2 ? marks : same;
      const index = among.indexOf(on);
      touch(among[(index < 0 && step < 0 ? 0 : index) + step] ?? among.at(step < 0 ? -1 : 0));
    } else if (event.key === "Escape" && on) {
      touch(null);
    } else if (zoom) {
      look(svg, zoom, middle.x + middle.width / 2, middle.y + middle.height / 2);
    } else {
      return;
    }
    event.preventDefault();
  }

  for (const figure of document.querySelectorAll("figure")) {
    const box = figure.querySelector(".scroll");
    const svg = box.querySelector("svg");
    const button = figure.querySelector(".enlarge");
    let from = null; // where a drag is
    box.addEventListener("keydown", (event) => key(event, svg));
    box.addEventListener("blur", () => touch(null));
    svg.addEventListener("pointermove", (event) => {
      const entry = event.target.closest(".entry");
      if (from) {
        const to = place(svg, event);
        look(svg, 1, 0, 0, from.x - to.x, from.y - to.y);
      } else if (entry) {
        touch(null);
        light(tagOf(entry));
      } else {
        touch(nearest(svg, event));
      }
    });
    svg.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "touch") return; // a finger leaves at once, and what it touched is to be read
      touch(null);
      light("");
    });
    svg.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") touch(nearest(svg, event));
      const whole = Number(svg.dataset.whole?.split(/[ ,]+/)[2]);
      if (!(svg.viewBox.baseVal.width < whole - 0.01) || event.button || event.target.closest(".entry")) return;
      from = place(svg, event);
      svg.setPointerCapture(event.pointerId);
    });
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (from = null));
    svg.addEventListener("click", (event) => {
      const entry = event.target.closest(".entry");
      if (entry) toggle(tagOf(entry));
    });
    svg.addEventListener("dblclick", (event) => {
      const { x, y } = place(svg, event);
      look(svg, event.shiftKey ? Infinity : 0.5, x, y);
    });
    const wheel = (event) => {
      if (!event.ctrlKey && !dialog.open) return;
      event.preventDefault();
      const { x, y } = place(svg, event);
      look(svg, event.deltaY < 0 ? 0.8 : 1.25, x, y);
    };
    svg.addEventListener("wheel", wheel, { passive: false });
    button.hidden = false;
    button.addEventListener("click", () => {
      dialog.replaceChildren(box);
      dialog.showModal();
      box.focus();
      dialog.onclose = () => {
        touch(null);
        look(svg, Infinity, 0, 0);
        figure.prepend(box);
        button.focus();
      };
    });
  }
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

  bar.hidden = !document.querySelector("figure");
  document.querySelectorAll(".hint").forEach((hint) => (hint.hidden = bar.hidden));
  for (const chip of bar.children) {
    chip.addEventListener("click", () => toggle(chip.dataset.tag));
    for (const [event, tag] of Object.entries({ pointerenter: chip.dataset.tag, focus: chip.dataset.tag, pointerleave: "", blur: "" }))
      chip.addEventListener(event, () => light(tag));
  }
}
