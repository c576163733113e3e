"use strict";

// Draws the data in the element #data, whose form drawing.py defines. Text in the data becomes text
// of the page, never markup.
(() => {
  const data = JSON.parse(byId("data").textContent);
  const isNarrow = new Set(data.narrow);
  const nodes = data.nodes.map((node, number) => ({
    ...node,
    number,
    width: isNarrow.has(number) ? data.narrow_width : data.width,
    type: "columns" in node ? "dataset" : "job",
    namespaceName: data.namespaces[node.namespace],
    upstream: [],
    downstream: [],
  }));
  for (const [source, target] of data.flow) {
    nodes[source].downstream.push(target);
    nodes[target].upstream.push(source);
  }

  const STATES = {
    COMPLETE: { word: "Complete", style: "complete", glyph: "M4.5 8.3l2.4 2.4 4.6-5" },
    FAIL: { word: "Failed", style: "fail", glyph: "M5.2 5.2l5.6 5.6m0-5.6l-5.6 5.6" },
    ABORT: { word: "Aborted", style: "abort", glyph: "M4.6 8h6.8" },
    RUNNING: { word: "Running", style: "running", glyph: "M6.4 5v6l4.6-3z" },
    NONE: { word: "No run", style: "none", glyph: "M8 8h.01" },
  };

  // A dataset has the state of the latest run that writes it.
  const runOf = (node) => {
    if (node.type === "job") return node.run;
    const runs = node.upstream.map((job) => nodes[job].run).filter(Boolean);
    return runs.reduce((latest, run) => (!latest || run.at > latest.at ? run : latest), null);
  };
  for (const node of nodes) {
    node.latest = runOf(node);
    node.state = STATES[node.latest?.state ?? "NONE"];
  }

  const LARGE = 2000; // nodes: a larger page shows datasets alone at first
  const LONGEST_LIST = 60;
  const VIEW_NAMES = { datasets: "Datasets", jobs: "Datasets and jobs", all: "All jobs" };

  // What the user has chosen.
  const chosen = {
    view: nodes.length > LARGE ? "datasets" : "jobs",
    hiddenNamespaces: new Set(),
    focus: null, // {node, upstream, downstream}: only these are shown
    state: null, // nodes in this state are highlighted
    node: null, // its details are shown
    column: null, // of that node
  };
  let current = null; // the node that has the keyboard focus

  // ---------------------------------------------------------------- small things

  function byId(id) {
    return document.getElementById(id);
  }

  function element(tag, properties = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role") made.setAttribute(name, value);
      else made[name] = value;
    }
    made.append(...children.filter((child) => child !== null));
    return made;
  }

  function say(text) {
    byId("said").textContent = text;
  }

  function count(number, thing) {
    return `${number.toLocaleString()} ${thing}${number === 1 ? "" : "s"}`;
  }

  // Colours come from the style sheet, for the current light or dark theme.
  const probe = element("span", { hidden: true });
  document.body.append(probe);
  function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  function icon(state) {
    const filled = state === STATES.RUNNING;
    const ring = state === STATES.NONE;
    const stroke = colour(ring ? state.style : "on-state");
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 16 16">` +
      `<circle cx="8" cy="8" r="7" fill="${ring ? "none" : colour(state.style)}" ` +
      `stroke="${colour(state.style)}" ${ring ? 'stroke-dasharray="2 2"' : ""}/>` +
      `<path d="${state.glyph}" fill="${filled ? stroke : "none"}" stroke="${stroke}" ` +
      `stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
    return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
  }

  function tableIcon() {
    const svg =
      `<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 16 16">` +
      `<path d="M2 3.5h12v9.5h-12zM2 6.5h12M6.3 6.5v6.5" fill="none" ` +
      `stroke="${colour("quiet")}" stroke-width="1.2" stroke-linejoin="round"/></svg>`;
    return `data:image/svg+xml;utf8,${encodeURIComponent(svg)}`;
  }

  function iconImage(state) {
    return element("img", { src: icon(state), alt: "", width: 16, height: 16 });
  }

  // ---------------------------------------------------------------- lines and labels

  const FONT = 'system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, sans-serif';
  const FONT_SIZE = 14;
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.font = `${FONT_SIZE}px ${FONT}`;
  const BESIDE_NAME = 42;

  const characterWidths = new Map();

  function widthOf(character) {
    let width = characterWidths.get(character);
    if (width === undefined) {
      width = canvas.measureText(character).width;
      characterWidths.set(character, width);
    }
    return width;
  }

  // The end of a name says most: folders and schemas come first in asset keys and tables.
  function shortened(text, room) {
    const characters = [...text];
    let left = room;
    let first = characters.length;
    while (first > 0 && left >= widthOf(characters[first - 1])) {
      first -= 1;
      left -= widthOf(characters[first]);
    }
    if (first === 0) return text;
    while (first < characters.length && left < widthOf("…")) {
      left += widthOf(characters[first]);
      first += 1;
    }
    return first < characters.length ? `…${characters.slice(first).join("")}` : "";
  }

  function labelOf(node, columns) {
    const below = columns?.join(", ") ?? (data.namespaces.length > 1 ? node.namespaceName : "");
    return [node.name, below]
      .map((line) => shortened(line.replace(/\s/g, " "), data.width - BESIDE_NAME))
      .filter(Boolean)
      .join("\n");
  }

  // A line leaves a box at one side and enters the next at the other side. Between layers it curves
  // from one height to the other; past the boxes of a layer it is level, as the layout says.
  function controlPoints(source, target, from, to, route) {
    const direction = Math.sign(to.x - from.x);
    if (!route.length || !direction) return null;
    const start = { x: from.x + (direction * source.width) / 2, y: from.y };
    const end = { x: to.x - (direction * target.width) / 2, y: to.y };
    const points = [];
    for (let index = 0; index < route.length; index += 4) {
      const [left, top, right, bottom] = route.slice(index, index + 4);
      if (top === bottom) continue;
      const middle = (left + right) / 2;
      if (points.length || left !== start.x) points.push({ x: left, y: top });
      points.push({ x: middle, y: top }, { x: middle, y: bottom });
      if (right !== end.x) points.push({ x: right, y: bottom });
    }
    if (!points.length) return null;
    // Cytoscape takes them as distances from the straight line, at fractions of its length.
    const [dx, dy] = [end.x - start.x, end.y - start.y];
    const length = Math.hypot(dx, dy);
    return {
      weights: points.map(
        ({ x, y }) => ((x - start.x) * dx + (y - start.y) * dy) / (length * length),
      ),
      distances: points.map(({ x, y }) => ((y - start.y) * dx - (x - start.x) * dy) / length),
    };
  }

  // ---------------------------------------------------------------- the graph

  const cy = cytoscape({
    container: byId("graph"),
    style: styleSheet(),
    layout: { name: "preset" },
    autoungrabify: true,
    autounselectify: true,
    boxSelectionEnabled: false,
    minZoom: 0.01,
    maxZoom: 3,
    textureOnViewport: nodes.length > LARGE,
    hideEdgesOnViewport: false,
  });

  function styleSheet() {
    const states = Object.values(STATES).map((state) => ({
      selector: `node.${state.style}`,
      style: { "background-image": icon(state), "border-color": colour(state.style) },
    }));
    return [
      {
        selector: "node",
        style: {
          shape: "round-rectangle",
          width: data.width,
          height: data.height,
          "background-color": colour("surface"),
          "background-image-containment": "inside",
          "background-width": 18,
          "background-height": 18,
          "background-position-x": 10,
          "background-position-y": "50%",
          "background-image-smoothing": "yes",
          "border-width": 1.5,
          label: "data(label)",
          color: colour("text"),
          "font-family": FONT,
          "font-size": FONT_SIZE,
          "line-height": 1.2,
          "text-wrap": "wrap",
          "text-max-width": 1000,
          "text-justification": "left",
          "text-valign": "center",
          "text-halign": "right",
          "text-margin-x": 34 - data.width,
          "min-zoomed-font-size": 5,
        },
      },
      {
        selector: "node.dataset",
        style: { "background-image": tableIcon(), "border-color": colour("quiet-line") },
      },
      {
        selector: "node.job",
        style: { "corner-radius": data.height / 2, "background-color": colour("job") },
      },
      {
        selector: "node.unnamed",
        style: {
          shape: "ellipse",
          label: "",
          width: data.narrow_width,
          height: data.narrow_width,
          "background-position-x": "50%",
        },
      },
      ...states,
      {
        selector: "edge",
        style: {
          width: 1.5,
          "line-color": colour("edge"),
          "target-arrow-color": colour("edge"),
          "target-arrow-shape": "triangle",
          "arrow-scale": 0.9,
          "curve-style": "straight",
          "source-endpoint": "50% 0%",
          "target-endpoint": "-50% 0%",
        },
      },
      {
        selector: "edge.back",
        style: { "source-endpoint": "-50% 0%", "target-endpoint": "50% 0%" },
      },
      {
        selector: "edge.curved",
        style: {
          "curve-style": "unbundled-bezier",
          "edge-distances": "endpoints",
          "control-point-weights": "data(weights)",
          "control-point-distances": "data(distances)",
        },
      },
      {
        selector: "edge.loop",
        style: {
          "curve-style": "bezier",
          "loop-direction": "0deg",
          "source-endpoint": "outside-to-node",
          "target-endpoint": "outside-to-node",
        },
      },
      {
        selector: "edge.parent",
        style: { "line-style": "dashed", "target-arrow-shape": "none" },
      },
      { selector: ".faded", style: { opacity: 0.2 } },
      {
        selector: "edge.lit",
        style: {
          width: 2.5,
          "line-color": colour("accent"),
          "target-arrow-color": colour("accent"),
          "z-index": 2,
        },
      },
      { selector: "node.lit", style: { "border-width": 2 } },
      {
        selector: "node.chosen",
        style: {
          "background-color": colour("tint"),
          "border-color": colour("accent"),
          "border-width": 2.5,
        },
      },
      {
        selector: "node.current",
        style: {
          "outline-width": 3,
          "outline-color": colour("accent"),
          "outline-offset": 3,
        },
      },
    ];
  }

  function reachable(number, direction) {
    const found = new Set([number]);
    for (const each of found) for (const next of nodes[each][direction]) found.add(next);
    return found;
  }

  function shownNodes() {
    const { focus, hiddenNamespaces } = chosen;
    const around = focus && new Set([focus.node]);
    for (const direction of ["upstream", "downstream"]) {
      if (focus?.[direction]) for (const each of reachable(focus.node, direction)) around.add(each);
    }
    return data.views[chosen.view].nodes.filter(
      ([number]) =>
        !hiddenNamespaces.has(nodes[number].namespace) && (!around || around.has(number)),
    );
  }

  let drawings = 0;

  function draw() {
    drawings += 1;
    const drawing = drawings;
    const places = new Map(shownNodes().map(([number, x, y]) => [number, { x, y }]));
    cy.batch(() => {
      cy.elements().remove();
      cy.add([...places].map(([number, position]) => drawnAs(nodes[number], position)));
    });
    byId("nothing").hidden = places.size > 0;
    if (current !== null && !places.has(current)) current = null;
    fit();
    showFocus();
    showStates();
    byId("graph").setAttribute(
      "aria-label",
      `Lineage: ${count(cy.nodes(".dataset").length, "dataset")}, ` +
        `${count(cy.nodes(".job").length, "job")}`,
    );
    light();
    const addLines = () => {
      if (drawing !== drawings) return;
      cy.batch(() => cy.add(linesBetween(places)));
      light();
    };
    if (places.size > LARGE) afterPainting(addLines);
    else addLines();
  }

  function afterPainting(action) {
    requestAnimationFrame(() => setTimeout(action));
  }

  function drawnAs(node, position) {
    return {
      group: "nodes",
      data: { id: `n${node.number}`, label: labelOf(node) },
      position,
      // Dragging a node moves the page: nodes themselves do not move.
      pannable: true,
      classes: [
        node.type,
        ...(showsState(node) ? [node.state.style] : []),
        ...(isNarrow.has(node.number) ? ["unnamed"] : []),
      ],
    };
  }

  function linesBetween(places) {
    const { edges, parents } = data.views[chosen.view];
    return edges.flatMap(([source, target, route], index) => {
      const [from, to] = [places.get(source), places.get(target)];
      if (!from || !to) return [];
      const controls = controlPoints(nodes[source], nodes[target], from, to, route);
      const classes = [
        ...(controls ? ["curved"] : []),
        ...(from === to ? ["loop"] : []),
        ...(to.x < from.x ? ["back"] : []),
        ...(index >= edges.length - parents ? ["parent"] : []),
      ];
      const ends = { source: `n${source}`, target: `n${target}` };
      return [
        { group: "edges", data: { id: `e${source}-${target}`, ...ends, ...controls }, classes },
      ];
    });
  }

  // Where jobs are shown, they have the state, and datasets do not repeat it.
  function showsState(node) {
    return node.type === "job" || chosen.view === "datasets";
  }

  function drawnNode(number) {
    return number === null ? cy.collection() : cy.getElementById(`n${number}`);
  }

  // Highlights what belongs to the choice, and dims everything else.
  function light() {
    const columns = chosen.column === null ? null : columnPath(chosen.node, chosen.column);
    let lit = null;
    if (columns) lit = columns.nodes;
    else if (chosen.node !== null) {
      lit = reachable(chosen.node, "upstream");
      for (const each of reachable(chosen.node, "downstream")) lit.add(each);
    } else if (chosen.state) {
      const inState = nodes.filter((node) => node.state === chosen.state && showsState(node));
      lit = new Set(inState.flatMap((node) => [node.number, ...node.downstream]));
    }
    cy.batch(() => {
      cy.elements().removeClass("lit faded chosen current");
      cy.nodes("[?columns]").forEach((each) => {
        each.data({ columns: false, label: labelOf(nodes[numberOf(each)]) });
      });
      if (lit) {
        cy.nodes().forEach((each) => {
          each.addClass(lit.has(numberOf(each)) ? "lit" : "faded");
        });
        cy.edges().forEach((each) => {
          const ends = [numberOf(each.source()), numberOf(each.target())];
          const isOn = columns
            ? columns.edges.has(ends.join()) || columns.edges.has(`direct ${ends.join()}`)
            : chosen.node !== null && ends.every((end) => lit.has(end));
          each.addClass(isOn ? "lit" : "faded");
        });
      }
      columns?.names.forEach((names, number) => {
        drawnNode(number).data({ columns: true, label: labelOf(nodes[number], [...names]) });
      });
      drawnNode(chosen.node).addClass("chosen");
      drawnNode(current).addClass("current");
    });
  }

  function numberOf(drawn) {
    return Number(drawn.id().slice(1));
  }

  // ---------------------------------------------------------------- columns

  const columnKey = (node, column) => JSON.stringify([node, column]);
  const madeOf = new Map();
  const goesInto = new Map();
  for (const [source, sourceColumn, target, targetColumn] of data.columns) {
    const [from, to] = [
      [source, sourceColumn],
      [target, targetColumn],
    ];
    add(madeOf, columnKey(...to), from);
    add(goesInto, columnKey(...from), to);
  }

  function add(map, key, value) {
    if (map.has(key)) map.get(key).push(value);
    else map.set(key, [value]);
  }

  // All columns upstream and downstream of one, and the nodes on the way.
  function columnPath(node, column) {
    const names = new Map([[node, new Set([column])]]);
    const path = { names, nodes: new Set([node]), edges: new Set() };
    for (const map of [madeOf, goesInto]) {
      const seen = new Set([columnKey(node, column)]);
      const next = [[node, column]];
      while (next.length) {
        const at = next.pop();
        for (const to of map.get(columnKey(...at)) ?? []) {
          const [source, target] = map === madeOf ? [to[0], at[0]] : [at[0], to[0]];
          connect(path, source, target);
          if (!names.has(to[0])) names.set(to[0], new Set());
          names.get(to[0]).add(to[1]);
          if (!seen.has(columnKey(...to))) {
            seen.add(columnKey(...to));
            next.push(to);
          }
        }
      }
    }
    return path;
  }

  function connect(path, source, target) {
    path.nodes.add(source).add(target);
    path.edges.add(`direct ${source},${target}`);
    for (const job of nodes[target].upstream) {
      if (nodes[job].upstream.includes(source)) {
        path.nodes.add(job);
        path.edges.add(`${source},${job}`).add(`${job},${target}`);
      }
    }
  }

  // ---------------------------------------------------------------- where the window looks

  const PADDING = 46;
  const MOST_FITTED_ZOOM = 1.1;

  function fit() {
    fitTo(cy.nodes(), 0);
  }

  // Cytoscape's own fit measures every line and label, which takes seconds with thousands of them.
  function fitTo(drawn, leastZoom) {
    if (drawn.empty()) return;
    const x = drawn.map((each) => each.position("x"));
    const y = drawn.map((each) => each.position("y"));
    const [left, right] = [min(x) - data.width / 2, max(x) + data.width / 2];
    const [top, bottom] = [min(y) - data.height / 2, max(y) + data.height / 2];
    const zoom = Math.min(
      (cy.width() - 2 * PADDING) / (right - left),
      (cy.height() - 2 * PADDING) / (bottom - top),
      MOST_FITTED_ZOOM,
    );
    if (zoom < leastZoom) return;
    cy.viewport({
      zoom,
      pan: {
        x: (cy.width() - zoom * (left + right)) / 2,
        y: (cy.height() - zoom * (top + bottom)) / 2,
      },
    });
  }

  function min(numbers) {
    return numbers.reduce((least, number) => Math.min(least, number));
  }

  function max(numbers) {
    return numbers.reduce((most, number) => Math.max(most, number));
  }

  function zoomBy(factor) {
    cy.zoom({
      level: cy.zoom() * factor,
      renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 },
    });
  }

  const READABLE_ZOOM = 0.5;

  function bringIntoView(number) {
    const drawn = drawnNode(number);
    if (drawn.empty()) return;
    const box = drawn.renderedBoundingBox();
    const isVisible = box.x1 >= 0 && box.y1 >= 0 && box.x2 <= cy.width() && box.y2 <= cy.height();
    if (isVisible && cy.zoom() >= READABLE_ZOOM) return;
    cy.zoom(Math.max(cy.zoom(), READABLE_ZOOM + 0.3));
    cy.center(drawn);
  }

  // ---------------------------------------------------------------- moving by keys

  function described(node) {
    const kind =
      node.type === "dataset" ? "dataset" : `job${node.kind ? ` of type ${node.kind}` : ""}`;
    return (
      `${node.name}, ${kind}, namespace ${node.namespaceName}, ${node.state.word}, ` +
      `${node.upstream.length} upstream, ${node.downstream.length} downstream`
    );
  }

  function goTo(number) {
    drawnNode(current).removeClass("current");
    current = number;
    drawnNode(current).addClass("current");
    bringIntoView(number);
    say(described(nodes[number]));
  }

  function neighbour(key) {
    const here = drawnNode(current);
    if (here.empty()) return cy.nodes().min((each) => each.position("x") + each.position("y")).ele;
    const { x, y } = here.position();
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const beside = key === "ArrowRight" ? here.outgoers("node") : here.incomers("node");
      return beside.min((each) => Math.abs(each.position("y") - y)).ele;
    }
    const sign = key === "ArrowDown" ? 1 : -1;
    return cy
      .nodes()
      .filter((each) => sign * (each.position("y") - y) > 1)
      .min((each) => sign * (each.position("y") - y) + 3 * Math.abs(each.position("x") - x)).ele;
  }

  byId("graph").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      const next = neighbour(event.key);
      if (next) goTo(numberOf(next));
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      if (current !== null) choose(current, { movesFocus: true });
      event.preventDefault();
    }
  });

  byId("graph").addEventListener("focus", () => {
    if (!byId("graph").matches(":focus-visible") || cy.nodes().empty()) return;
    goTo(current ?? chosen.node ?? numberOf(neighbour("ArrowRight")));
  });

  const SHORTCUTS = {
    "/": () => byId("search").focus(),
    "+": () => zoomBy(1.3),
    "=": () => zoomBy(1.3),
    "-": () => zoomBy(1 / 1.3),
    0: fit,
    "?": () => byId("keys").showModal(),
    j: () => show(chosen.view === "datasets" ? "jobs" : "datasets"),
    u: () => focusOn(true, false),
    d: () => focusOn(false, true),
    b: () => focusOn(true, true),
    a: showAll,
    Escape: stepBack,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (byId("keys").open) return;
    const isTyping = event.target === byId("search");
    if (isTyping || !Object.hasOwn(SHORTCUTS, event.key)) return;
    SHORTCUTS[event.key]();
    event.preventDefault();
  });

  function stepBack() {
    const menu = byId("namespaces");
    if (menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (chosen.node !== null) unchoose();
    else if (chosen.state) emphasise(null);
    else if (chosen.focus) showAll();
  }

  // ---------------------------------------------------------------- upstream and downstream

  function focusOn(upstream, downstream) {
    const node = chosen.node ?? current;
    if (node === null) return;
    chosen.focus = { node, upstream, downstream };
    draw();
    say(byId("focus").firstElementChild.textContent);
  }

  function showAll() {
    if (!chosen.focus) return;
    chosen.focus = null;
    draw();
    say("All is shown");
  }

  function showFocus() {
    const { focus } = chosen;
    byId("focus").hidden = !focus;
    if (!focus) return;
    const ways = [focus.upstream && "upstream", focus.downstream && "downstream"].filter(Boolean);
    byId("focus").firstElementChild.textContent =
      `Only what is ${ways.join(" and ")} of ${nodes[focus.node].name}`;
  }

  byId("focus").querySelector("button").addEventListener("click", showAll);

  // ---------------------------------------------------------------- details

  function choose(number, { column = null, movesFocus = false } = {}) {
    // If the node is hidden, show it: undo what hides it.
    let changes = false;
    const node = nodes[number];
    const isIn = (view) => data.views[view].nodes.some(([each]) => each === number);
    if (!isIn(chosen.view)) {
      chosen.view = isIn("jobs") ? "jobs" : "all";
      byId(`view-${chosen.view}`).checked = true;
      changes = true;
    }
    changes = chosen.hiddenNamespaces.delete(node.namespace) || changes;
    if (chosen.focus && drawnNode(number).empty()) {
      chosen.focus = null;
      changes = true;
    }
    Object.assign(chosen, { node: number, column, state: null });
    current = number;
    showPanel();
    if (changes) {
      showNamespaces();
      draw();
    } else {
      light();
      showStates();
    }
    bringIntoView(number);
    if (movesFocus) byId("panel-name").focus();
    say(described(node));
  }

  function unchoose() {
    Object.assign(chosen, { node: null, column: null });
    const hadFocus = byId("panel").contains(document.activeElement);
    byId("panel").hidden = true;
    cy.resize();
    light();
    if (hadFocus) byId("graph").focus();
  }

  function showPanel() {
    const node = nodes[chosen.node];
    byId("panel-content").replaceChildren(
      element("h2", { id: "panel-name", tabIndex: -1 }, node.name),
      element(
        "p",
        {},
        element("span", { className: "badge" }, node.type === "dataset" ? "Dataset" : "Job"),
        ...(node.kind ? [element("span", { className: "badge" }, node.kind)] : []),
        element("span", { className: "quiet" }, node.namespaceName),
      ),
      stateLine(node),
      ...(node.about ? [element("p", { className: "about" }, node.about)] : []),
      element(
        "div",
        { className: "row", role: "group", "aria-label": "Show only" },
        focusButton("Upstream", true, false),
        focusButton("Downstream", false, true),
        focusButton("Both", true, true),
      ),
      ...(node.type === "dataset" ? [columnTable(node)] : []),
      ...neighbourLists(node),
    );
    byId("panel").hidden = false;
    byId("panel").scrollTop = 0;
    cy.resize();
  }

  function stateLine(node) {
    const when = node.latest?.at ? new Date(node.latest.at) : null;
    const time =
      when &&
      element(
        "time",
        { className: "quiet", dateTime: node.latest.at, title: node.latest.at },
        when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
      );
    return element(
      "p",
      { className: "latest" },
      element(
        "span",
        { className: `state state-${node.state.style}` },
        iconImage(node.state),
        node.state.word,
      ),
      time,
      node.type === "job" && node.latest
        ? element("small", { className: "quiet" }, `Run ${node.latest.id}`)
        : null,
    );
  }

  function focusButton(text, upstream, downstream) {
    return element(
      "button",
      { type: "button", onclick: () => focusOn(upstream, downstream) },
      text,
    );
  }

  function nodeButton(number, note, column) {
    const node = nodes[number];
    return element(
      "li",
      {},
      element(
        "button",
        { type: "button", onclick: () => choose(number, { column, movesFocus: true }) },
        iconImage(node.state),
        column ? `${node.name} · ${column}` : node.name,
        element("small", {}, note ?? node.state.word),
      ),
    );
  }

  function list(title, items) {
    if (!items.length) return [];
    const rest = items.length - LONGEST_LIST;
    return [
      element("h3", {}, `${title} (${items.length.toLocaleString()})`),
      element(
        "ul",
        { className: "nodes" },
        ...items.slice(0, LONGEST_LIST).map((make) => make()),
        ...(rest > 0 ? [element("li", { className: "quiet" }, `and ${rest} more`)] : []),
      ),
    ];
  }

  function neighbourLists(node) {
    const buttons = (numbers) => numbers.map((each) => () => nodeButton(each));
    const [before, after] =
      node.type === "dataset" ? ["Written by", "Read by"] : ["Reads", "Writes"];
    const parts = nodes.filter((each) => each.parent === node.number).map((each) => each.number);
    return [
      ...list(before, buttons(node.upstream)),
      ...list(after, buttons(node.downstream)),
      ...(node.type === "job" && node.parent !== null
        ? list("Part of", buttons([node.parent]))
        : []),
      ...(node.type === "job" ? list("Its parts", buttons(parts)) : []),
    ];
  }

  function columnTable(node) {
    const known = new Map(node.columns.map((column) => [column[0], column]));
    // Lineage may name a column that the schema lacks.
    for (const [source, sourceColumn, target, targetColumn] of data.columns) {
      for (const [number, column] of [
        [source, sourceColumn],
        [target, targetColumn],
      ]) {
        if (number === node.number && !known.has(column)) known.set(column, [column, "", ""]);
      }
    }
    const section = element("section", { id: "columns" });
    if (!known.size) {
      section.append(element("p", { className: "quiet" }, "No columns are known."));
      return section;
    }
    const rows = [...known.values()].map(([name, type, about]) => {
      const lineage =
        (madeOf.get(columnKey(node.number, name)) ?? []).length +
        (goesInto.get(columnKey(node.number, name)) ?? []).length;
      return element(
        "tr",
        {},
        element(
          "td",
          {},
          element(
            "button",
            {
              type: "button",
              "aria-pressed": String(chosen.column === name),
              onclick: () => chooseColumn(chosen.column === name ? null : name),
            },
            name,
            ...(lineage ? [element("small", { title: "It has lineage" }, "⇄")] : []),
          ),
          ...(about ? [element("small", {}, about)] : []),
        ),
        element("td", {}, type),
      );
    });
    section.append(
      element("h3", {}, `Columns (${known.size})`),
      element(
        "table",
        { className: "columns" },
        element(
          "tr",
          {},
          element("th", { scope: "col" }, "Name"),
          element("th", { scope: "col" }, "Type"),
        ),
        ...rows,
      ),
      ...columnLists(node),
    );
    return section;
  }

  function columnLists(node) {
    if (chosen.column === null) return [];
    const key = columnKey(node.number, chosen.column);
    const buttons = (columns) =>
      (columns ?? []).map(
        ([number, column]) =>
          () =>
            nodeButton(number, "", column),
      );
    const lists = [
      ...list(`${chosen.column} is made of`, buttons(madeOf.get(key))),
      ...list(`${chosen.column} goes into`, buttons(goesInto.get(key))),
    ];
    return lists.length
      ? lists
      : [element("p", { className: "quiet" }, `No lineage of ${chosen.column} is known.`)];
  }

  function chooseColumn(name) {
    chosen.column = name;
    const scroll = byId("panel").scrollTop;
    byId("columns").replaceWith(columnTable(nodes[chosen.node]));
    byId("panel").scrollTop = scroll;
    byId("columns").querySelector('[aria-pressed="true"]')?.focus();
    light();
    if (name === null) return;
    // Fit the whole lineage of the column, unless that makes it too small to read.
    fitTo(cy.nodes(".lit"), READABLE_ZOOM);
    const path = columnPath(chosen.node, name);
    say(`Column ${name}: its lineage is in ${count(path.names.size - 1, "other dataset")}`);
  }

  byId("panel-close").addEventListener("click", unchoose);
  cy.on("tap", "node", (event) => choose(numberOf(event.target)));
  cy.on("tap", (event) => {
    if (event.target === cy && chosen.node !== null) unchoose();
  });
  cy.on("mouseover", "node", (event) => {
    byId("graph").style.cursor = "pointer";
    byId("graph").title = nodes[numberOf(event.target)].name;
  });
  cy.on("mouseout", "node", () => {
    byId("graph").style.cursor = "";
    byId("graph").title = "";
  });

  // ---------------------------------------------------------------- search

  const entries = [
    ...nodes.map((node) => ({
      node,
      column: null,
      name: node.name.toLowerCase(),
      text: `${node.name} ${node.namespaceName}`.toLowerCase(),
    })),
    ...nodes.flatMap((node) =>
      (node.columns ?? []).map(([column]) => ({
        node,
        column,
        name: column.toLowerCase(),
        text: `${column} ${node.name}`.toLowerCase(),
      })),
    ),
  ];
  let found = [];
  let selected = -1;

  function search() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    // A dataset that matches does not add each of its columns.
    const matches = ({ column, name, text }) =>
      words.every((word) => text.includes(word)) &&
      (column === null || words.some((word) => name.includes(word)));
    const matching = words.length ? entries.filter(matches) : [];
    // Columns come last; names with the word as a whole part, and then short names, come first.
    const rank = ({ column, name }) => [
      column !== null,
      !name.split("/").includes(words[0]),
      name.length,
    ];
    found = matching
      .map((entry) => ({ entry, rank: rank(entry) }))
      .sort((one, other) => {
        const index = one.rank.findIndex((value, place) => value !== other.rank[place]);
        return index < 0 ? 0 : one.rank[index] - other.rank[index];
      })
      .slice(0, LONGEST_LIST)
      .map(({ entry }) => entry);
    selected = found.length ? 0 : -1;
    const rest = matching.length - found.length;
    byId("results").replaceChildren(
      ...found.map(({ node, column }, index) =>
        element(
          "li",
          { id: `result-${index}`, role: "option", onclick: () => take(index) },
          iconImage(node.state),
          element("span", {}, column ? `${column} in ${node.name}` : node.name),
          element(
            "small",
            {},
            `${column ? "column" : node.type}${data.namespaces.length > 1 ? `, ${node.namespaceName}` : ""}`,
          ),
        ),
      ),
      ...(rest > 0
        ? [element("li", { className: "quiet" }, `and ${count(rest, "more")}`.replace(/s$/, ""))]
        : []),
      ...(words.length && !found.length
        ? [element("li", { className: "quiet" }, "Nothing found")]
        : []),
    );
    byId("results").hidden = !words.length;
    byId("search").setAttribute("aria-expanded", String(words.length > 0));
    select(selected);
    if (words.length) say(count(matching.length, "result"));
  }

  function select(index) {
    selected = index;
    for (const [place, item] of [...byId("results").children].entries()) {
      if (item.id) item.setAttribute("aria-selected", String(place === index));
    }
    const item = byId(`result-${index}`);
    item?.scrollIntoView({ block: "nearest" });
    if (item) byId("search").setAttribute("aria-activedescendant", item.id);
    else byId("search").removeAttribute("aria-activedescendant");
  }

  function closeSearch() {
    byId("results").hidden = true;
    byId("search").setAttribute("aria-expanded", "false");
    byId("search").removeAttribute("aria-activedescendant");
  }

  function take(index) {
    const { node, column } = found[index];
    byId("search").value = "";
    closeSearch();
    choose(node.number, { column, movesFocus: true });
  }

  byId("search").addEventListener("input", search);
  byId("search").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) select((selected + step + found.length) % found.length);
    else if (event.key === "Enter" && selected >= 0 && !byId("results").hidden) take(selected);
    else if (event.key === "Escape") {
      byId("search").value = "";
      closeSearch();
      byId("graph").focus();
    } else return;
    event.preventDefault();
  });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".search")) closeSearch();
    if (!event.target.closest("#namespaces")) byId("namespaces").open = false;
  });

  // ---------------------------------------------------------------- what is shown

  function show(view) {
    if (view === chosen.view) return;
    chosen.view = view;
    byId(`view-${view}`).checked = true;
    if (chosen.node !== null && !data.views[view].nodes.some(([each]) => each === chosen.node)) {
      unchoose();
    }
    draw();
    if (chosen.node !== null) bringIntoView(chosen.node);
    say(`Shown: ${VIEW_NAMES[view]}`);
  }

  function showViews() {
    byId("views").append(
      ...Object.keys(data.views).map((view) =>
        element(
          "label",
          {},
          element("input", {
            type: "radio",
            name: "view",
            id: `view-${view}`,
            checked: view === chosen.view,
            onchange: () => show(view),
          }),
          VIEW_NAMES[view],
        ),
      ),
    );
  }

  function showNamespaces() {
    const { hiddenNamespaces } = chosen;
    const all = data.namespaces.length;
    byId("namespaces").hidden = all < 2;
    byId("namespace-count").textContent = hiddenNamespaces.size
      ? `${all - hiddenNamespaces.size} of ${all}`
      : String(all);
    const sizes = data.namespaces.map(() => 0);
    for (const node of nodes) sizes[node.namespace] += 1;
    byId("namespaces")
      .querySelector(".menu")
      .replaceChildren(
        ...data.namespaces.map((name, number) =>
          element(
            "label",
            {},
            element("input", {
              type: "checkbox",
              checked: !hiddenNamespaces.has(number),
              onchange: ({ target }) => {
                if (target.checked) hiddenNamespaces.delete(number);
                else hiddenNamespaces.add(number);
                byId("namespace-count").textContent = hiddenNamespaces.size
                  ? `${all - hiddenNamespaces.size} of ${all}`
                  : String(all);
                draw();
              },
            }),
            name,
            element("small", {}, sizes[number].toLocaleString()),
          ),
        ),
      );
  }

  function emphasise(state) {
    chosen.state = state;
    if (state && chosen.node !== null) unchoose();
    light();
    showStates();
  }

  function showStates() {
    const all = shownNodes().map(([number]) => nodes[number]);
    const shown = all.filter(showsState).map((node) => node.state);
    const ofType = (type) => all.filter((node) => node.type === type).length;
    const kind = (shape, text) =>
      element("li", { className: "kind" }, element("span", { className: shape }), text);
    const [datasets, jobs] = ["dataset", "job"].map((type) => ofType(type));
    byId("states").replaceChildren(
      kind("shape-dataset", count(datasets, "dataset")),
      ...(jobs ? [kind("shape-job", count(jobs, "job"))] : []),
      ...Object.values(STATES)
        .map((state) => [state, shown.filter((each) => each === state).length])
        .filter(([, number]) => number)
        .map(([state, number]) =>
          element(
            "li",
            {},
            element(
              "button",
              {
                type: "button",
                "aria-pressed": String(chosen.state === state),
                title: "Make them stand out",
                onclick: () => emphasise(chosen.state === state ? null : state),
              },
              iconImage(state),
              `${state.word} ${number.toLocaleString()}`,
            ),
          ),
        ),
    );
  }

  // ---------------------------------------------------------------- light and dark

  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  let theme = null; // the system's

  function showTheme() {
    const isDark = theme === null ? prefersDark.matches : theme === "dark";
    document.documentElement.style.colorScheme = theme ?? "";
    byId("theme").setAttribute("aria-pressed", String(isDark));
    cy.style(styleSheet());
    showStates();
    if (chosen.node !== null) showPanel();
  }

  byId("theme").addEventListener("click", () => {
    theme = byId("theme").getAttribute("aria-pressed") === "true" ? "light" : "dark";
    showTheme();
  });
  prefersDark.addEventListener("change", showTheme);

  byId("zoom-in").addEventListener("click", () => zoomBy(1.3));
  byId("zoom-out").addEventListener("click", () => zoomBy(1 / 1.3));
  byId("fit").addEventListener("click", fit);
  byId("help").addEventListener("click", () => byId("keys").showModal());

  byId("source").textContent = data.source;
  byId("source").title = data.source;
  byId("theme").setAttribute("aria-pressed", String(prefersDark.matches));
  showViews();
  showNamespaces();
  draw();
})();
