"use strict";
/* What a page can do beyond being read: draw its figures, sort and copy tables, highlight a run, and be dark. */
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const views = new Map(); // of each figure that is drawn: name to Vega's view
  const chosen = { chosen_run: null, chosen_point: null };

  const GAP = 70; // pixels beside a panel: its axis, and the space to the next
  const [NARROWEST, WIDEST] = [0.8, 1.5]; // times its own width: how far a panel is stretched

  const isFolded = (spec) => Boolean(spec.facet || spec.concat);

  const panels = (spec) => {
    if (spec.concat) return spec.concat.length;
    const rows = spec.datasets?.[spec.data?.name] ?? [];
    return new Set(rows.map((row) => row[spec.facet.field])).size || 1;
  };

  /* Not what is drawn in pixels, as a diagram is. */
  const stretches = (part) =>
    typeof part.width === "number" && !/"x2?":\{"value":\d/.test(JSON.stringify(part));

  const columnsFor = (spec, width) => {
    const least = parts(spec).map((part) => (part.width ?? 300) * (stretches(part) ? NARROWEST : 1));
    const fitting = Math.max(1, Math.floor(width / (Math.max(...least) + GAP)));
    const most = Math.min(fitting, spec.columns ?? Infinity);
    const rows = Math.ceil(panels(spec) / most);
    return Math.ceil(panels(spec) / rows); // four are two and two, not three and one
  };

  const parts = (spec) => (spec.concat ? spec.concat : [spec.spec]);

  /* The definition as it fits a width: as many columns as there is room for, and panels that fill the row. */
  function fitted(definition, width) {
    const spec = structuredClone(definition);
    if (!isFolded(spec)) {
      return { ...spec, width: "container", autosize: { type: "fit-x", contains: "padding" } };
    }
    spec.columns = columnsFor(spec, width);
    const room = width / spec.columns - GAP;
    for (const part of parts(spec)) {
      if (stretches(part)) {
        part.width = Math.round(Math.max(160, Math.min(room, WIDEST * part.width)));
      }
    }
    return spec;
  }

  const definition = (figure) => JSON.parse(figure.querySelector("script").textContent);

  async function draw(figure) {
    const plot = figure.querySelector(".plot");
    const spec = definition(figure);
    const width = plot.clientWidth;
    views.get(figure.dataset.name)?.finalize();
    const { view } = await vegaEmbed(plot, fitted(spec, width), {
      actions: false,
      logLevel: 1, // errors: its warnings are of panels in which a layer has no marks
      defaultStyle: false,
      mode: "vega-lite",
      renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    views.set(figure.dataset.name, view);
    figure.dataset.columns = isFolded(spec) ? columnsFor(spec, width) : 0;
    name(plot, spec.description);
    plot.classList.add("drawn");
    view.addEventListener("click", (event, item) => {
      if (item?.datum?.run) choose(item.datum.run, item.datum.point ?? null);
    });
    await highlight(view);
  }

  /* For who cannot see it, a figure is its description. */
  function name(plot, description) {
    const svg = plot.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", description);
    for (const said of ["role", "aria-label", "aria-roledescription"]) plot.removeAttribute(said);
  }

  const pause = () =>
    new Promise((done) =>
      window.requestIdleCallback ? requestIdleCallback(done, { timeout: 100 }) : setTimeout(done),
    );

  /* One figure after the other, those in sight first, so that the page answers in between. */
  async function drawAll() {
    const waiting = all("figure");
    const near = new Set();
    const watch = new IntersectionObserver(
      (seen) => seen.forEach((s) => (s.isIntersecting ? near.add(s.target) : near.delete(s.target))),
      { rootMargin: "300px" },
    );
    waiting.forEach((figure) => watch.observe(figure));
    while (waiting.length) {
      await pause();
      const place = Math.max(0, waiting.findIndex((figure) => near.has(figure)));
      await draw(waiting.splice(place, 1)[0]);
    }
    watch.disconnect();
  }

  /* A figure whose number of columns no longer fits is drawn anew; the others stretch by themselves. */
  async function refit() {
    for (const figure of all("figure[data-columns]")) {
      const spec = definition(figure);
      const width = figure.querySelector(".plot").clientWidth;
      if (isFolded(spec) && columnsFor(spec, width) !== Number(figure.dataset.columns)) {
        await draw(figure);
      }
    }
  }

  function highlight(view) {
    const known = view.getState({ signals: (signal) => signal in chosen }).signals;
    for (const signal of Object.keys(known)) view.signal(signal, chosen[signal]);
    return view.runAsync();
  }

  function choose(run, point) {
    const same = chosen.chosen_run === run && chosen.chosen_point === point;
    const row = all("tr[data-run]").find((r) => run && r.dataset.run === run);
    chosen.chosen_run = same ? null : run;
    chosen.chosen_point = same ? null : (point ?? (row?.dataset.point || null));
    for (const r of all("tr[aria-selected]")) {
      const is = run ? r.dataset.run === run : r.dataset.point === point && !r.dataset.run;
      r.setAttribute("aria-selected", String(!same && is && (run ?? point) !== null));
    }
    const chip = document.getElementById("chosen");
    chip.hidden = !(chosen.chosen_run ?? chosen.chosen_point);
    chip.querySelector("span").textContent = chosen.chosen_run ?? chosen.chosen_point ?? "";
    return Promise.all([...views.values()].map(highlight));
  }

  const chooseRow = (row) => choose(row.dataset.run || null, row.dataset.point || null);

  function sort(header) {
    const up = header.getAttribute("aria-sort") !== "ascending";
    const place = header.cellIndex;
    for (const other of header.parentNode.children) {
      if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
    }
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    for (const body of header.closest("table").tBodies) {
      body.append(...[...body.rows].sort((a, b) => order(a.cells[place], b.cells[place], up)));
    }
  }

  const isBlank = (cell) => ["", "-", "nan"].includes(cell.textContent);

  /* Numbers by their value, words by the alphabet, what is not known last. */
  function order(a, b, up) {
    if (isBlank(a) || isBlank(b)) return isBlank(a) - isBlank(b);
    const [x, y] = [a, b].map((cell) => cell.dataset.number);
    const found = x && y ? Number(x) - Number(y) : a.textContent.localeCompare(b.textContent);
    return up ? found : -found;
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied");
    } catch {
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      tell(document.execCommand("copy") ? "Copied" : "This browser does not let a page copy");
      area.remove();
    }
  }

  function tell(words) {
    const toast = document.getElementById("toast");
    toast.textContent = words;
    toast.hidden = false;
    clearTimeout(tell.timer);
    tell.timer = setTimeout(() => (toast.hidden = true), 2000);
  }

  const cell = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  /* Every row that a figure is drawn of. */
  function csv(spec) {
    const rows = Object.values(spec.datasets ?? {}).flat();
    const names = [...new Set(rows.flatMap(Object.keys))];
    return [names, ...rows.map((row) => names.map((n) => row[n]))]
      .map((line) => line.map(cell).join(",") + "\r\n")
      .join("");
  }

  async function save(figure, kind) {
    const link = document.createElement("a");
    link.download = `${figure.dataset.name}.${kind}`;
    if (kind === "csv") {
      link.href = URL.createObjectURL(new Blob([csv(definition(figure))], { type: "text/csv" }));
    } else {
      const view = views.get(figure.dataset.name);
      view.background("#ffffff"); // in the dark, too: it leaves the page
      link.href = await view.toImageURL(kind, kind === "png" ? 2 : 1);
      view.background(null);
    }
    link.click();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const row = event.target.closest("tr[aria-selected]");
    if (button?.closest("th")) sort(button.closest("th"));
    else if (button?.closest(".copy")) {
      const kept = document.getElementById(`copies-${button.parentNode.dataset.of}`);
      copy(JSON.parse(kept.textContent)[button.dataset.as]);
    } else if (button?.closest(".save")) save(button.closest("figure"), button.dataset.as);
    else if (button?.closest("#chosen")) choose(null, null);
    else if (row) chooseRow(row);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose(null, null);
    if (event.target.matches("tr[aria-selected]") && ["Enter", " "].includes(event.key)) {
      event.preventDefault();
      chooseRow(event.target);
    }
  });

  let resized;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(refit, 200);
  });
  window.addEventListener("beforeprint", () => all("details").forEach((d) => (d.open = true)));

  const theme = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "")) === "dark";
  const label = () => (theme.textContent = dark() ? "Light" : "Dark");
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  theme.hidden = false;
  label();

  window.moeLab = { views, choose, ready: drawAll() };
})();
