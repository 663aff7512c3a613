(() => {
  const box = document.currentScript.previousElementSibling;
  const { axes, low, high, groups, colours, dots } = JSON.parse(box.querySelector("script").textContent);
  const said = box.querySelector("figcaption"), sound = new Audio();
  const shapes = ["M-4-4h8v8h-8z", "M0-5L5 4H-5z", "M0-5L5 0 0 5-5 0z", "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"];
  const make = (name, about, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in about) made.setAttribute(key, about[key]);
    return parent.appendChild(made);
  };
  const canvas = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const about = { viewBox: "0 0 420 396", tabindex: 0, role: "application", fill: "currentColor", "font-size": 15 };
  for (const key in about) canvas.setAttribute(key, about[key]);
  canvas.setAttribute("aria-label", box.querySelector("img").alt);
  canvas.style.cssText = "width:100%;max-width:34rem;touch-action:pan-y;cursor:grab;user-select:none";
  box.querySelector("img").replaceWith(canvas);

  const edges = [];
  for (let corner = 0; corner < 8; corner++)
    for (let axis = 0; axis < 3; axis++) if (!(corner & (1 << axis))) edges.push([corner, corner | (1 << axis)]);
  const corner = (n) => [0, 1, 2].map((axis) => (n & (1 << axis) ? 1 : -1));
  const lines = edges.map(() => make("line", { stroke: "currentColor", "stroke-opacity": 0.25 }, canvas));
  const names = axes.map((name) => {
    const text = make("text", { "text-anchor": "middle" }, canvas);
    text.textContent = `high ${name}`;
    return text;
  });
  groups.forEach((name, n) => {
    const key = make("g", { transform: `translate(${14 + 105 * n} 14)` }, canvas);
    make("path", { d: shapes[n % 4], fill: colours[n % 4] }, key);
    make("text", { x: 9, y: 4.5 }, key).textContent = name;
  });
  const marks = dots.map((dot, n) => {
    const look = { d: shapes[dot.group % 4], fill: colours[dot.group % 4], "data-dot": n, style: "cursor:pointer" };
    return make("path", look, make("g", {}, canvas));
  });

  let turned = 0.6, tipped = 0.35, chosen = -1;
  const place = ([x, y, z]) => {
    const across = x * Math.cos(turned) - y * Math.sin(turned), away = x * Math.sin(turned) + y * Math.cos(turned);
    const up = z * Math.cos(tipped) - away * Math.sin(tipped);
    return [210 + 118 * across, 222 - 118 * up, away * Math.cos(tipped) + z * Math.sin(tipped)];
  };
  const draw = () => {
    edges.forEach((pair, n) => {
      const [[x1, y1], [x2, y2]] = pair.map((end) => place(corner(end)));
      for (const [key, value] of Object.entries({ x1, y1, x2, y2 })) lines[n].setAttribute(key, value.toFixed(1));
    });
    names.forEach((text, axis) => {
      const [x, y] = place([0, 1, 2].map((other) => (other === axis ? 1.15 : -1)));
      text.setAttribute("x", Math.max(60, Math.min(360, x)).toFixed(1));
      text.setAttribute("y", (y + 5).toFixed(1));
    });
    dots.forEach((dot, n) => {
      const [x, y, away] = place(dot.at.map((value) => (2 * (value - low)) / (high - low) - 1));
      const size = n === chosen ? 2 : 1 - 0.15 * away;
      marks[n].parentNode.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${size.toFixed(2)})`);
      marks[n].setAttribute("fill-opacity", n === chosen ? 1 : (0.7 - 0.2 * away).toFixed(2));
    });
  };
  const play = (n) => {
    chosen = (n + dots.length) % dots.length;
    said.textContent = dots[chosen].caption;
    sound.src = "data:audio/mpeg;base64," + dots[chosen].sound;
    sound.play();
    draw();
  };

  let from = null, moved = 0;
  canvas.addEventListener("pointerdown", (event) => ((from = event), (moved = 0)));
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    turned += (event.clientX - from.clientX) / 120;
    tipped = Math.max(-0.2, Math.min(1.57, tipped + (event.clientY - from.clientY) / 120));
    moved += Math.abs(event.clientX - from.clientX) + Math.abs(event.clientY - from.clientY);
    from = event;
    draw();
  });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) canvas.addEventListener(end, () => (from = null));
  canvas.addEventListener("click", (event) => {
    if (event.target.dataset.dot && moved < 6) play(+event.target.dataset.dot);
  });
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: -0.15, ArrowRight: 0.15 }, steps = { ArrowUp: -1, ArrowDown: 1, Enter: 0, " ": 0 };
    if (event.key in turns) turned += turns[event.key];
    else if (event.key in steps) play(Math.max(chosen, 0) + steps[event.key]);
    else return;
    event.preventDefault();
    draw();
  });
  draw();
})()
