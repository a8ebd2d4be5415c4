// The map: dots or thumbnails on one canvas, drawn anew only when something has changed.
(() => {
  const data = JSON.parse(document.getElementById("collection").textContent);
  const $ = (id) => document.getElementById(id);
  const canvas = $("map"), context = canvas.getContext("2d", { alpha: false });
  const count = data.names.length;
  // More thumbnails than this on the screen, and they are dots.
  const MOST_THUMBNAILS = 600, SMALLEST_THUMBNAIL = 22, TURN = 450;
  const dark = matchMedia("(prefers-color-scheme: dark)"), still = matchMedia("(prefers-reduced-motion: reduce)");
  const lower = data.names.map((name) => name.toLowerCase());
  const doubtful = new Uint8Array(count);
  for (const index of Object.keys(data.suspects)) doubtful[index] = 1;
  const X = new Float32Array(count), Y = new Float32Array(count), from = [new Float32Array(count), new Float32Array(count)];
  const shown = new Uint8Array(count).fill(1), lit = new Uint8Array(count).fill(1);
  const state = { map: 0, scale: 1, x: 0, y: 0, width: 1, height: 1, ratio: 1, hover: -1, pinned: -1, turning: 0, query: "", focus: -1, dim: false };
  const sheets = data.sheets.map(() => null);
  const stampOf = makeStamps();
  let colours = {}, wanted = false, picture = null;

  // --- drawing -----------------------------------------------------------------------------------------------------
  const readColours = () => {
    const style = getComputedStyle(document.documentElement), of = (name) => style.getPropertyValue(name).trim();
    colours = { paper: of("--raised"), ink: of("--ink"), muted: of("--muted"), accent: of("--accent"), rule: of("--rule"), list: data.colours[dark.matches ? "dark" : "light"] };
    colours.rgb = [...colours.list, colours.muted].map(rgb);
    const [red, green, blue] = rgb(colours.paper);
    colours.packed = new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
  };
  const rgbOf = (label) => colours.rgb[data.labelled ? label % colours.list.length : colours.list.length];
  const colourOf = (label) => (data.labelled ? colours.list[label % colours.list.length] : colours.muted);
  const shapeOf = (label) => Math.floor(label / colours.list.length) % data.shapes;

  const dots = (indices, r) => {
    if (!canvas.width || !canvas.height) return;
    if (!picture || picture.width !== canvas.width || picture.height !== canvas.height) picture = context.createImageData(canvas.width, canvas.height);
    new Uint32Array(picture.data.buffer).fill(colours.packed);
    for (const pass of state.dim ? [0, 1] : [1]) {
      for (const i of indices) {
        if (state.dim && lit[i] !== pass) continue;
        mixDot(picture, stampOf(shapeOf(data.labels[i]), r), (X[i] * state.scale + state.x) * state.ratio, (Y[i] * state.scale + state.y) * state.ratio, rgbOf(data.labels[i]), pass ? 0.85 : 0.13);
      }
    }
    context.putImageData(picture, 0, 0);
  };
  const hasThumbnail = (i) => data.sizes[2 * i] > 0 && sheets[Math.floor(i / data.cells)];
  const thumbnail = (target, i, x, y, box) => {
    const w = data.sizes[2 * i], h = data.sizes[2 * i + 1], cell = i % data.cells, scale = box / Math.max(w, h);
    const left = (cell % data.columns) * data.side, top = Math.floor(cell / data.columns) * data.side;
    target.drawImage(sheets[Math.floor(i / data.cells)], left, top, w, h, x - (w * scale) / 2, y - (h * scale) / 2, w * scale, h * scale);
  };
  const place = (i) => [X[i] * state.scale + state.x, Y[i] * state.scale + state.y];
  const inView = () => {
    const found = [], margin = 40;
    for (let i = 0; i < count; i++) {
      if (!shown[i]) continue;
      const x = X[i] * state.scale + state.x, y = Y[i] * state.scale + state.y;
      if (x > -margin && y > -margin && x < state.width + margin && y < state.height + margin) found.push(i);
    }
    return found;
  };
  const boxFor = (number) => {
    const room = Math.sqrt((state.width * state.height) / Math.max(1, number)) * 0.62;
    return number <= MOST_THUMBNAILS && room >= SMALLEST_THUMBNAIL && state.scale > 1.6 * fitScale() ? Math.min(room, data.side * 0.8, 120) : 0;
  };
  const fitScale = () => Math.min(state.width, state.height * 1.15) * 0.92;
  const radius = () => Math.min(7, Math.max(1.9, 105 / Math.sqrt(count)) * Math.pow(state.scale / fitScale(), 0.35));

  const draw = (now) => {
    wanted = false;
    if (state.turning) turn(now);
    const visible = inView(), box = boxFor(visible.length), r = radius() * state.ratio;
    state.box = box;
    dots(box ? visible.filter((i) => !hasThumbnail(i)) : visible, r);
    for (const i of box ? visible : []) {
      if (!hasThumbnail(i)) continue;
      context.globalAlpha = state.dim && !lit[i] ? 0.13 : 1;
      framed(i, (X[i] * state.scale + state.x) * state.ratio, (Y[i] * state.scale + state.y) * state.ratio, box * state.ratio);
    }
    context.globalAlpha = 1;
    rings(visible, box, r);
    if (state.turning) redraw();
  };
  const framed = (i, x, y, box) => {
    const scale = box / Math.max(data.sizes[2 * i], data.sizes[2 * i + 1]), edge = 2 * state.ratio;
    const w = data.sizes[2 * i] * scale, h = data.sizes[2 * i + 1] * scale;
    context.fillStyle = colourOf(data.labels[i]);
    context.fillRect(x - w / 2 - edge, y - h / 2 - edge, w + 2 * edge, h + 2 * edge);
    thumbnail(context, i, x, y, box);
  };
  const rings = (visible, box, r) => {
    context.lineWidth = 1.5 * state.ratio;
    context.strokeStyle = colours.ink;
    for (const i of visible) if (doubtful[i] && (!state.dim || lit[i])) ring(i, box ? box * 0.62 : r / state.ratio + 3.5);
    const chosen = state.pinned >= 0 ? state.pinned : state.hover;
    if (chosen < 0 || !shown[chosen]) return;
    context.strokeStyle = colours.accent;
    const [x, y] = place(chosen);
    if (box && hasThumbnail(chosen)) framed(chosen, x * state.ratio, y * state.ratio, box * state.ratio);
    for (let j = 0; j < data.k; j++) {
      const other = data.neighbours[chosen * data.k + j], [u, v] = place(other);
      if (!shown[other]) continue;
      context.lineWidth = state.ratio;
      context.beginPath(); context.moveTo(x * state.ratio, y * state.ratio); context.lineTo(u * state.ratio, v * state.ratio); context.stroke();
    }
    context.lineWidth = 2.5 * state.ratio;
    ring(chosen, box ? box * 0.66 : r / state.ratio + 5);
  };
  const ring = (i, size) => {
    const [x, y] = place(i);
    context.beginPath(); context.arc(x * state.ratio, y * state.ratio, size * state.ratio, 0, 2 * Math.PI); context.stroke();
  };
  const redraw = () => { if (!wanted) { wanted = true; requestAnimationFrame(draw); } };

  // --- where we look -----------------------------------------------------------------------------------------------
  const whole = () => {
    state.scale = fitScale();
    state.x = (state.width - state.scale) / 2; state.y = (state.height - state.scale) / 2;
    redraw();
  };
  const zoom = (factor, x = state.width / 2, y = state.height / 2) => {
    const scale = Math.min(Math.max(state.scale * factor, fitScale() * 0.5), fitScale() * 400);
    state.x = x - ((x - state.x) * scale) / state.scale; state.y = y - ((y - state.y) * scale) / state.scale;
    state.scale = scale;
    redraw();
  };
  const centre = (i) => {
    state.scale = Math.max(state.scale, fitScale() * Math.min(12, Math.sqrt(count / 60) + 1));
    state.x = state.width / 2 - X[i] * state.scale; state.y = state.height / 2 - Y[i] * state.scale;
  };
  const turnTo = (index) => {
    state.map = index;
    from[0].set(X); from[1].set(Y);
    state.turning = still.matches ? -1 : performance.now();
    redraw();
  };
  const turn = (now) => {
    const xy = data.maps[state.map].xy, part = state.turning < 0 ? 1 : Math.min(1, Math.max(0, (now - state.turning) / TURN));
    const eased = part * part * (3 - 2 * part);
    for (let i = 0; i < count; i++) {
      X[i] = from[0][i] + (xy[2 * i] - from[0][i]) * eased; Y[i] = from[1][i] + (xy[2 * i + 1] - from[1][i]) * eased;
    }
    if (part === 1) state.turning = 0;
  };
  const nearestTo = (x, y, reach) => {
    let best = -1, least = reach * reach;
    for (let i = 0; i < count; i++) {
      if (!shown[i] || (state.dim && !lit[i])) continue;
      const dx = X[i] * state.scale + state.x - x, dy = Y[i] * state.scale + state.y - y, distance = dx * dx + dy * dy;
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  };

  // --- the picture looked at ---------------------------------------------------------------------------------------
  const element = (tag, text, name) => { const made = document.createElement(tag); if (text) made.textContent = text; if (name) made.className = name; return made; };
  const paint = (target, i, side) => {
    const size = Math.round(side * Math.min(2, devicePixelRatio || 1));
    target.width = target.height = size;
    if (hasThumbnail(i)) thumbnail(target.getContext("2d"), i, size / 2, size / 2, size);
  };
  const percent = (share) => `${Math.round(100 * share)} %`;
  const about = (i) => {
    const lines = [], doubt = data.suspects[i];
    if (data.labelled) lines.push([`${data.classes[data.labels[i]]}${data.splits.length && data.splits[i] ? `, ${data.splits[i]}` : ""}; of its ${data.counted} neighbours, ${percent(data.agreement[i])} are of its class`, "sub"]);
    if (doubt) lines.push([`rather ${data.classes[doubt.as]} (${percent(doubt.p)}) than ${data.classes[data.labels[i]]} (${percent(doubt.own)})`, "sub doubt"]);
    return lines;
  };
  const look = (i) => {
    const panel = $("seen");
    if (i < 0) return;
    const large = element("canvas", "", "large"), list = element("ul");
    panel.replaceChildren(large, element("bdi", data.names[i], "name"), ...about(i).map(([text, name]) => element("p", text, name)), element("p", "Nearest, with cosines:", "sub"), list);
    paint(large, i, 192);
    for (let j = 0; j < data.k; j++) {
      const other = data.neighbours[i * data.k + j], item = element("li"), button = element("button"), small = element("canvas");
      button.type = "button";
      button.title = data.labelled ? `${data.names[other]} (${data.classes[data.labels[other]]})` : data.names[other];
      if (data.labels[other] !== data.labels[i]) button.classList.add("other");
      button.append(small, data.cosines[i * data.k + j].toFixed(2));
      button.setAttribute("aria-label", `${button.title}, cosine ${data.cosines[i * data.k + j]}`);
      button.addEventListener("click", () => pin(other, false));
      item.append(button); list.append(item);
      paint(small, other, 66);
    }
  };
  const pin = (i, move = true) => {
    state.pinned = i;
    if (i >= 0) { if (!shown[i]) show(data.labels[i]); if (move) centre(i); else bring(i); look(i); }
    redraw();
  };
  const bring = (i) => {
    const [x, y] = place(i);
    if (x < 0 || y < 0 || x > state.width || y > state.height) { state.x += state.width / 2 - x; state.y += state.height / 2 - y; }
  };
  const hover = (i) => {
    if (i === state.hover) return;
    state.hover = i;
    if (state.pinned < 0 && i >= 0) look(i);
    redraw();
  };

  // --- what is shown -----------------------------------------------------------------------------------------------
  const show = (label) => { const box = document.querySelector(`#classes input[data-class="${label}"]`); if (box) box.checked = true; filter(); };
  const filter = () => {
    const on = new Set([...document.querySelectorAll("#classes input:checked")].map((box) => Number(box.dataset.class)));
    const only = $("doubtful") && $("doubtful").checked, query = state.query;
    let matches = 0;
    for (let i = 0; i < count; i++) {
      shown[i] = !data.labelled || on.has(data.labels[i]) ? 1 : 0;
      lit[i] = (!query || lower[i].includes(query)) && (!only || doubtful[i]) && (state.focus < 0 || data.labels[i] === state.focus) ? 1 : 0;
      matches += lit[i] & shown[i];
    }
    state.dim = Boolean(query || only || state.focus >= 0);
    $("matches").textContent = query || only ? `${matches.toLocaleString("en")} of ${count.toLocaleString("en")}` : "";
    redraw();
  };
  const nextMatch = () => {
    for (let step = 1; step <= count; step++) {
      const i = (Math.max(state.pinned, -1) + step) % count;
      if (lit[i] && shown[i]) return pin(i);
    }
  };
  const listClasses = () => {
    const numbers = new Map();
    for (const label of data.labels) numbers.set(label, (numbers.get(label) || 0) + 1);
    data.classes.forEach((name, label) => {
      const item = element("li"), row = element("label"), box = element("input"), mark = element("canvas"), text = element("bdi", name, "name");
      box.type = "checkbox"; box.checked = true; box.dataset.class = label; text.title = name; mark.dataset.mark = label;
      box.addEventListener("change", filter);
      const focus = (on) => () => { state.focus = on ? label : -1; filter(); };
      row.addEventListener("pointerenter", focus(true)); row.addEventListener("pointerleave", focus(false));
      box.addEventListener("focus", () => { if (box.matches(":focus-visible")) focus(true)(); }); box.addEventListener("blur", focus(false));
      row.append(box, mark, text, element("span", (numbers.get(label) || 0).toLocaleString("en"), "sub"));
      item.append(row); $("classes").querySelector("ul").append(item);
    });
  };
  const paintMarks = () => {
    for (const mark of document.querySelectorAll("[data-mark]")) {
      mark.width = mark.height = 32;
      const target = mark.getContext("2d"), label = Number(mark.dataset.mark);
      target.fillStyle = colourOf(label);
      drawShape(target, shapeOf(label), 16, 16, 10);
    }
  };
  const paintThumbnails = () => { for (const each of document.querySelectorAll("[data-thumbnail]")) paint(each, Number(each.dataset.thumbnail), each.clientWidth || 160); };

  // --- hands -------------------------------------------------------------------------------------------------------
  const fingers = new Map();
  let moved = 0;
  const spot = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, spot(event)); moved = 0; try { canvas.setPointerCapture(event.pointerId); } catch { /* no such pointer any more */ } });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = spot(event), before = fingers.get(event.pointerId);
    if (!before) return hover(nearestTo(x, y, state.box ? state.box * 0.6 : 14));
    const others = [...fingers].filter(([id]) => id !== event.pointerId);
    if (others.length) {
      const [u, v] = others[0][1];
      zoom(Math.hypot(x - u, y - v) / Math.max(1, Math.hypot(before[0] - u, before[1] - v)), (x + u) / 2, (y + v) / 2);
    } else { state.x += x - before[0]; state.y += y - before[1]; }
    moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
    if (moved > 5) canvas.classList.add("dragging");
    fingers.set(event.pointerId, [x, y]);
    redraw();
  });
  const release = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    canvas.classList.remove("dragging");
    if (event.type === "pointerup" && moved <= 5) pin(nearestTo(...spot(event), state.box ? state.box * 0.6 : 18), false);
  };
  canvas.addEventListener("pointerup", release); canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hover(-1));
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...spot(event)); }, { passive: false });
  const keys = {
    ArrowLeft: () => { state.x += 60; }, ArrowRight: () => { state.x -= 60; }, ArrowUp: () => { state.y += 60; }, ArrowDown: () => { state.y -= 60; },
    "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: whole, Escape: () => pin(-1),
    Enter: () => pin(nearestTo(state.width / 2, state.height / 2, 1e6), false),
  };
  canvas.addEventListener("keydown", (event) => { if (keys[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keys[event.key](); redraw(); } });
  $("closer").addEventListener("click", () => zoom(1.6)); $("farther").addEventListener("click", () => zoom(1 / 1.6)); $("whole").addEventListener("click", whole);
  $("search").addEventListener("input", (event) => { state.query = event.target.value.trim().toLowerCase(); filter(); });
  $("search").addEventListener("keydown", (event) => { if (event.key === "Enter") nextMatch(); });
  if ($("doubtful")) $("doubtful").addEventListener("change", filter);
  for (const [id, on] of [["all", true], ["none", false]]) $(id).addEventListener("click", () => { for (const box of document.querySelectorAll("#classes input")) box.checked = on; filter(); });
  for (const button of document.querySelectorAll("[data-find]")) button.addEventListener("click", () => { pin(Number(button.dataset.find)); canvas.scrollIntoView({ block: "center" }); canvas.focus({ preventScroll: true }); });

  // --- beginning ---------------------------------------------------------------------------------------------------
  data.maps.forEach((map, index) => {
    const label = element("label"), radio = element("input");
    radio.type = "radio"; radio.name = "map"; radio.checked = index === 0;
    radio.addEventListener("change", () => turnTo(index));
    label.append(radio, ` ${map.name}`); $("maps").append(label);
  });
  listClasses();
  readColours(); paintMarks();
  dark.addEventListener("change", () => { readColours(); paintMarks(); redraw(); });
  for (let i = 0; i < count; i++) { X[i] = data.maps[0].xy[2 * i]; Y[i] = data.maps[0].xy[2 * i + 1]; }
  let first = true;
  new ResizeObserver(() => {
    const box = canvas.getBoundingClientRect(), middle = [(state.width / 2 - state.x) / state.scale, (state.height / 2 - state.y) / state.scale];
    state.ratio = Math.min(2, devicePixelRatio || 1); state.width = box.width; state.height = box.height;
    canvas.width = Math.round(box.width * state.ratio); canvas.height = Math.round(box.height * state.ratio);
    if (first) whole(); else { state.x = state.width / 2 - middle[0] * state.scale; state.y = state.height / 2 - middle[1] * state.scale; }
    first = false; draw(performance.now());
  }).observe(canvas);
  data.sheets.forEach((source, index) => {
    const image = new Image();
    // A bitmap stays decoded; a browser may decode an image anew in the middle of a movement.
    image.onload = async () => { sheets[index] = await createImageBitmap(image); paintThumbnails(); redraw(); };
    image.src = source;
  });
})();
