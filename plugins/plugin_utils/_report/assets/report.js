/* Copyright (c) 2026 The edgeops.k3s_network authors
   GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
   SPDX-License-Identifier: GPL-3.0-or-later
*/

"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
if (!data.pairs.length) return;
const fmt = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${fmt(n)} ${word}${n === 1 ? "" : "s"}`;
const words = (text) => text.replace(/_/g, " ");
const element = (tag, attributes, ...children) => {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
};

// The checks, put together again: see the head of the template.
const names = data.names;
const nodes = new Map(data.nodes.map((node) => [node.name, node]));
const rules = new Map(data.rules.map((rule) => [rule.name, rule]));
const addresses = names.map((name) => nodes.has(name) ? nodes.get(name).address : "");
const lines = data.checks;
const lists = data.lists;
const pairs = data.pairs.map(([source, destination, list]) => ({ source, destination, list }));
// See ../page.py for the marks; they are filled in the reverse order.
const fill = (pair, text) => text
  .split("\u0003").join(addresses[pair.destination])
  .split("\u0001").join(names[pair.source])
  .split("\u0002").join(names[pair.destination]);
const checkOf = (pair, line) => ({
  ...lines[line], address: fill(pair, lines[line].address), detail: fill(pair, lines[line].detail),
  source: names[pair.source], destination: names[pair.destination],
});

const used = (end) => {
  const found = new Set(pairs.map((pair) => pair[end]));
  return names.map((name, index) => index).filter((index) => found.has(index));
};
const sources = used("source");
const destinations = used("destination");
const rowOf = new Map(sources.map((one, index) => [one, index]));
const columnOf = new Map(destinations.map((one, index) => [one, index]));
const large = Math.max(sources.length, destinations.length) > 30;

// An outcome is "failed" or what a failed check observed; empty, it is any.
const chosen = { rule: "", source: -1, destination: -1, outcome: "" };
const ofRule = (line) => !chosen.rule || line.rule === chosen.rule;
const wrong = (line) => !line.ok && (!chosen.outcome || chosen.outcome === "failed" || line.observed === chosen.outcome);
const matches = (line) => ofRule(line) && (!chosen.outcome || wrong(line));
const inside = (pair) => (chosen.source < 0 || pair.source === chosen.source)
  && (chosen.destination < 0 || pair.destination === chosen.destination);

// The map: what each pair comes to under the filter.
const width = destinations.length;
const total = new Int32Array(sources.length * width);
const bad = new Int32Array(total.length);
const unproved = new Int32Array(total.length);
const count = () => {
  total.fill(0); bad.fill(0); unproved.fill(0);
  const sums = lists.map((list) => {
    const sum = [0, 0, 0];
    for (const index of list) {
      const line = lines[index];
      if (!ofRule(line)) continue;
      sum[0] += 1;
      if (!wrong(line)) continue;
      sum[1] += 1;
      if (line.observed === "error") sum[2] += 1;
    }
    return sum;
  });
  for (const pair of pairs) {
    const at = rowOf.get(pair.source) * width + columnOf.get(pair.destination);
    total[at] += sums[pair.list][0];
    bad[at] += sums[pair.list][1];
    unproved[at] += sums[pair.list][2];
  }
};
// Under a filter by outcome, a pair without it is not all well, but of no concern.
const concerns = (at) => total[at] && (bad[at] || !chosen.outcome);
const stateOf = (at) => !concerns(at) ? "empty" : !bad[at] ? "good"
  : unproved[at] === total[at] ? "none" : bad[at] === total[at] ? "bad" : "some";
const textOf = (at) => !concerns(at) ? "·" : !bad[at] ? "✓"
  : (unproved[at] === total[at] ? "?" : "") + bad[at];
const sayOf = (row, column) => {
  const at = row * width + column;
  const who = `${names[sources[row]]} to ${names[destinations[column]]}`;
  if (!concerns(at)) return `${who}: no ${chosen.outcome ? "such " : ""}check`;
  const what = bad[at] ? `${fmt(bad[at])} of ${plural(total[at], "check")} failed` : `${plural(total[at], "check")}, all ok`;
  return `${who}: ${what}${bad[at] && unproved[at] === total[at] ? ", nothing proved" : ""}`;
};
const pick = (row, column) => {
  const same = chosen.source === sources[row] && chosen.destination === destinations[column];
  chosen.source = same ? -1 : sources[row];
  chosen.destination = same ? -1 : destinations[column];
  show();
};
const cursor = { row: 0, column: 0 };
const move = (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-10, 0], PageDown: [10, 0], Home: [0, -1e6], End: [0, 1e6] }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return false;
  event.preventDefault();
  cursor.row = Math.min(Math.max(cursor.row + step[0], 0), sources.length - 1);
  cursor.column = Math.min(Math.max(cursor.column + step[1], 0), width - 1);
  return true;
};

// Up to 30 nodes the map is a table of buttons.
const smallMap = () => {
  const cells = [];
  const head = element("tr", {}, element("td", {}, "from ↓ to →"));
  for (const one of destinations) {
    const button = element("button", { type: "button", title: `All checks to ${names[one]}` }, names[one]);
    button.onclick = () => { chosen.source = -1; chosen.destination = one; show(); };
    head.append(element("th", { scope: "col" }, button));
  }
  const body = element("tbody");
  sources.forEach((one, row) => {
    const button = element("button", { type: "button", title: `All checks from ${names[one]}` }, names[one]);
    button.onclick = () => { chosen.source = one; chosen.destination = -1; show(); };
    const line = element("tr", {}, element("th", { scope: "row" }, button));
    destinations.forEach((other, column) => {
      const cell = element("button", { type: "button", tabindex: cells.length ? -1 : 0 });
      cell.onclick = () => { cursor.row = row; cursor.column = column; pick(row, column); };
      cells.push(cell);
      line.append(element("td", {}, cell));
    });
    body.append(line);
  });
  const table = element("table", { class: width > 18 ? "heat dense" : "heat" },
    element("caption", { class: "off" }, "Failed checks from each source (row) to each destination (column); arrow keys move"),
    element("thead", {}, head), body);
  table.addEventListener("keydown", (event) => {
    if (!event.target.classList.contains("cell")) return;
    const at = cells.indexOf(event.target);
    cursor.row = Math.floor(at / width); cursor.column = at % width;
    if (!move(event)) return;
    event.target.tabIndex = -1;
    const next = cells[cursor.row * width + cursor.column];
    next.tabIndex = 0; next.focus();
  });
  $("heat").append(table);
  return () => cells.forEach((cell, at) => {
    const row = Math.floor(at / width), column = at % width, say = sayOf(row, column);
    const state = stateOf(at);
    cell.className = `cell c-${state}`;
    cell.textContent = textOf(at);
    cell.title = say;
    cell.setAttribute("aria-label", say);
    cell.setAttribute("aria-pressed", chosen.source === sources[row] && chosen.destination === destinations[column]);
  });
};

// Above, it is a canvas as large as what is seen of it, drawn anew as it is scrolled.
const largeMap = () => {
  const box = $("heat");
  const canvas = element("canvas", { tabindex: 0, role: "application",
    "aria-label": "Map of all pairs. Arrow keys move, Enter shows the checks of a pair. The fields Source and Destination above do the same." });
  const space = element("div", {}, canvas);
  box.append(space);
  const paint = canvas.getContext("2d");
  const font = "12px system-ui, sans-serif";
  let big = false, cell = 4, left = 0, top = 0, colors = {}, pending = false, focused = false;
  const layout = () => {
    paint.font = font;
    const longest = Math.max(...names.map((name) => paint.measureText(name).width));
    const narrow = box.clientWidth < 500;
    left = Math.max(80, Math.min(longest + 10, narrow ? 92 : 190));
    top = Math.max(30, Math.min(longest + 10, narrow ? 92 : 130));
    cell = big ? 30 : Math.min(18, Math.max(3, Math.floor((box.clientWidth - left - 16) / width)));
    space.style.width = `${left + width * cell}px`;
    space.style.height = `${top + sources.length * cell}px`;
    const seenWidth = Math.min(box.clientWidth, left + width * cell);
    const limit = document.documentElement.classList.contains("print") ? 1e6 : innerHeight * 0.82;
    const seenHeight = Math.min(limit, top + sources.length * cell);
    const ratio = devicePixelRatio || 1;
    canvas.style.width = `${seenWidth}px`;
    canvas.style.height = `${seenHeight}px`;
    canvas.width = Math.round(seenWidth * ratio);
    canvas.height = Math.round(seenHeight * ratio);
    const style = getComputedStyle(document.documentElement);
    for (const name of ["card", "text", "soft", "link", "good", "good-cell", "some-cell", "some-text", "bad-cell", "bad-text", "none-cell", "none-text", "empty"])
      colors[name] = style.getPropertyValue(`--${name}`).trim();
    draw();
  };
  const shorten = (text, room) => {
    if (paint.measureText(text).width <= room) return text;
    // The end of a name is what tells nodes apart.
    let from = 1;
    while (from < text.length && paint.measureText("…" + text.slice(from)).width > room) from += 1;
    return "…" + text.slice(from);
  };
  const draw = () => {
    pending = false;
    const ratio = devicePixelRatio || 1;
    const w = canvas.width / ratio, h = canvas.height / ratio;
    const x0 = left - box.scrollLeft, y0 = top - box.scrollTop;
    const firstRow = Math.max(0, Math.floor((top - y0) / cell)), lastRow = Math.min(sources.length, Math.ceil((h - y0) / cell));
    const firstColumn = Math.max(0, Math.floor((left - x0) / cell)), lastColumn = Math.min(width, Math.ceil((w - x0) / cell));
    const gap = cell >= 6 ? 1 : 0;
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.fillStyle = colors.card;
    paint.fillRect(0, 0, w, h);
    paint.textBaseline = "middle";
    paint.textAlign = "center";
    paint.font = `600 11px ${getComputedStyle(document.documentElement).getPropertyValue("--mono")}`;
    for (let row = firstRow; row < lastRow; row += 1) {
      for (let column = firstColumn; column < lastColumn; column += 1) {
        const at = row * width + column, state = stateOf(at);
        const x = x0 + column * cell, y = y0 + row * cell;
        paint.fillStyle = state === "empty" ? colors.empty : colors[`${state}-cell`];
        paint.fillRect(x, y, cell - gap, cell - gap);
        if (!big) continue;
        paint.fillStyle = state === "good" ? colors.good : state === "empty" ? colors.soft : colors[`${state}-text`];
        paint.fillText(textOf(at), x + (cell - gap) / 2, y + cell / 2, cell - 3);
      }
    }
    const frame = (row, column, color) => {
      paint.strokeStyle = color; paint.lineWidth = 2;
      paint.strokeRect(x0 + column * cell - 1, y0 + row * cell - 1, cell + 2 - gap, cell + 2 - gap);
    };
    if (chosen.source >= 0 && chosen.destination >= 0 && columnOf.has(chosen.destination))
      frame(rowOf.get(chosen.source), columnOf.get(chosen.destination), colors.link);
    if (focused) frame(cursor.row, cursor.column, colors.text);
    paint.fillStyle = colors.card;
    paint.fillRect(0, 0, w, top - 1);
    paint.fillRect(0, 0, left - 1, h);
    paint.font = font;
    const every = Math.max(1, Math.ceil(13 / cell));
    paint.textAlign = "right";
    for (let row = Math.ceil(firstRow / every) * every; row < lastRow; row += every) {
      const y = y0 + row * cell + (every > 1 ? 6 : cell / 2);
      if (y < top + 2) continue;
      paint.fillStyle = sources[row] === chosen.source ? colors.link : colors.soft;
      paint.fillText(shorten(names[sources[row]], left - 8), left - 5, y);
    }
    paint.textAlign = "left";
    for (let column = Math.ceil(firstColumn / every) * every; column < lastColumn; column += every) {
      const x = x0 + column * cell + (every > 1 ? 6 : cell / 2);
      if (x < left + 2) continue;
      paint.save();
      paint.translate(x, top - 5);
      paint.rotate(-Math.PI / 2);
      paint.fillStyle = destinations[column] === chosen.destination ? colors.link : colors.soft;
      paint.fillText(shorten(names[destinations[column]], top - 8), 0, 0);
      paint.restore();
    }
    paint.fillStyle = colors.card;
    paint.fillRect(0, 0, left - 1, top - 1);
    paint.textAlign = "right";
    paint.fillStyle = colors.soft;
    paint.fillText("from ↓ to →", left - 5, top - 10);
  };
  const later = () => { if (!pending) { pending = true; requestAnimationFrame(draw); } };
  const under = (event) => {
    const edge = canvas.getBoundingClientRect();
    const x = event.clientX - edge.left, y = event.clientY - edge.top;
    const column = Math.floor((x - left + box.scrollLeft) / cell), row = Math.floor((y - top + box.scrollTop) / cell);
    return { row: y < top ? -1 : row, column: x < left ? -1 : column };
  };
  const valid = (place) => place.row >= 0 && place.row < sources.length && place.column >= 0 && place.column < width;
  canvas.addEventListener("pointermove", (event) => {
    const place = under(event);
    canvas.style.cursor = valid(place) || place.row >= 0 !== place.column >= 0 ? "pointer" : "default";
    if (valid(place)) $("said").textContent = sayOf(place.row, place.column);
  });
  canvas.addEventListener("click", (event) => {
    const place = under(event);
    if (valid(place)) { Object.assign(cursor, place); pick(place.row, place.column); }
    else if (place.row >= 0 && place.row < sources.length) { chosen.source = sources[place.row]; chosen.destination = -1; show(); }
    else if (place.column >= 0 && place.column < width) { chosen.source = -1; chosen.destination = destinations[place.column]; show(); }
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(cursor.row, cursor.column); return; }
    if (!move(event)) return;
    const x = cursor.column * cell, y = cursor.row * cell;
    const seenWidth = box.clientWidth - left, seenHeight = canvas.clientHeight - top;
    if (x < box.scrollLeft) box.scrollLeft = x;
    if (x + cell > box.scrollLeft + seenWidth) box.scrollLeft = x + cell - seenWidth;
    if (y < box.scrollTop) box.scrollTop = y;
    if (y + cell > box.scrollTop + seenHeight) box.scrollTop = y + cell - seenHeight;
    $("said").textContent = sayOf(cursor.row, cursor.column);
    later();
  });
  canvas.addEventListener("focus", () => { focused = canvas.matches(":focus-visible"); later(); });
  canvas.addEventListener("blur", () => { focused = false; later(); });
  box.addEventListener("scroll", later, { passive: true });
  addEventListener("resize", layout);
  addEventListener("printed", layout);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layout);
  const zoom = (on) => {
    big = on;
    $("fit").setAttribute("aria-pressed", !on);
    $("big").setAttribute("aria-pressed", on);
    layout();
  };
  $("fit").onclick = () => zoom(false);
  $("big").onclick = () => zoom(true);
  document.querySelector(".zoom").hidden = false;
  let first = true;
  return () => { if (first) { first = false; layout(); } else later(); };
};

// The table of the checks that the filter leaves: the failed ones first, some at a time.
const chunk = 50;
function* select() {
  for (const good of chosen.outcome ? [false] : [false, true])
    for (const pair of pairs)
      if (inside(pair))
        for (const index of lists[pair.list])
          if (lines[index].ok === good && matches(lines[index])) yield checkOf(pair, index);
}
let queue = null, shown = 0, size = 0;
const detailOf = (check) => {
  const rule = rules.get(check.rule);
  const facts = element("dl");
  for (const [name, value] of [
    ["Detail", check.detail || (check.ok ? "as it should be" : "see the observation")],
    ["Address", check.address],
    ["Purpose", rule ? rule.purpose : ""],
    ["Destination", groupOf(check.destination)],
    ["Source", groupOf(check.source)],
  ]) if (value) facts.append(element("dt", {}, name), element("dd", {}, value));
  return element("tr", { class: "detail" }, element("td", { colspan: 5 }, facts));
};
const groupOf = (name) => {
  const node = nodes.get(name);
  return node ? `${name}, ${node.group}, ${node.address}` : `${name}, outside of the cluster`;
};
const more = () => {
  const part = document.createDocumentFragment();
  for (let added = 0; added < chunk; added += 1) {
    const { value: check, done } = queue.next();
    if (done) break;
    shown += 1;
    const cell = (label, ...children) => element("td", label ? { "data-label": label } : {}, ...children);
    const button = element("button", { type: "button", class: "open", "aria-expanded": "false" },
      element("b", {}, check.source), " → ", element("b", {}, check.destination));
    const line = element("tr", check.ok ? {} : { class: "bad" },
      cell("", button),
      cell("Port", element("span", { class: "port" }, `${check.port}/${check.protocol}`)),
      cell("Rule", element("span", { class: "rule" }, check.rule)),
      cell("Expected", check.expected),
      cell("Observed", element("span", { class: `tag ${check.ok ? "good" : "bad"}` }, `${check.ok ? "✓" : "✗"} ${words(check.observed)}`)));
    button.onclick = () => {
      const open = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!open));
      if (open) line.nextSibling.remove();
      else line.after(detailOf(check));
    };
    part.append(line);
  }
  $("checks").append(part);
  $("more").hidden = shown >= size;
  $("more").textContent = `Show ${fmt(Math.min(chunk, size - shown))} more`;
};
const list = () => {
  size = 0;
  let failedOnes = 0;
  for (const pair of pairs) {
    if (!inside(pair)) continue;
    const at = rowOf.get(pair.source) * width + columnOf.get(pair.destination);
    if (seen.has(at)) continue;
    seen.add(at);
    size += chosen.outcome ? bad[at] : total[at];
    failedOnes += bad[at];
  }
  seen.clear();
  const parts = [];
  if (chosen.source >= 0) parts.push(`from ${names[chosen.source]}`);
  if (chosen.destination >= 0) parts.push(`to ${names[chosen.destination]}`);
  if (chosen.rule) parts.push(`of rule ${chosen.rule}`);
  if (chosen.outcome && chosen.outcome !== "failed") parts.push(`with ${words(chosen.outcome)}`);
  $("chosen").textContent = `${chosen.outcome ? plural(size, "failed check") : `${plural(size, "check")}, ${fmt(failedOnes)} failed`}${parts.length ? ", " : ""}${parts.join(" ")}`;
  $("checks").textContent = "";
  queue = select();
  shown = 0;
  more();
};
const seen = new Set();

// By rule, and where failures meet.
const tally = () => {
  const sums = new Map(data.rules.map((rule) => [rule.name, { open: [0, 0], closed: [0, 0], bad: 0 }]));
  const weight = new Int32Array(lines.length);
  const times = new Int32Array(lists.length);
  for (const pair of pairs) times[pair.list] += 1;
  lists.forEach((one, index) => { for (const line of one) weight[line] += times[index]; });
  lines.forEach((line, index) => {
    if (!sums.has(line.rule)) sums.set(line.rule, { open: [0, 0], closed: [0, 0], bad: 0 });
    const sum = sums.get(line.rule);
    sum[line.expected][line.ok ? 0 : 1] += weight[index];
    if (!line.ok) sum.bad += weight[index];
  });
  return sums;
};
const sums = tally();
const portOf = (rule) => `${rule.first === rule.last ? rule.first : `${rule.first}-${rule.last}`}/${rule.protocol}`;
const share = (good, wrong) => good + wrong ? `${fmt(good)} of ${fmt(good + wrong)}` : "–";
const ruleTable = () => {
  for (const [name, sum] of sums) {
    const rule = rules.get(name);
    if (!sum.bad && !sum.open[0] && !sum.closed[0]) continue;
    const button = element("button", { type: "button", class: "linkish rule" }, name);
    button.onclick = () => { reset(); chosen.rule = name; show(); $("map").scrollIntoView(); };
    const part = (label, [good, wrong]) => element("td", { class: "n", "data-label": label },
      wrong ? element("span", { class: "tag bad" }, `✗ ${share(good, wrong)}`) : share(good, wrong));
    $("rule-rows").append(element("tr", sum.bad ? { class: "bad" } : {},
      element("td", {}, button), element("td", { "data-label": "Port" }, element("span", { class: "port" }, rule ? portOf(rule) : "")),
      element("td", {}, rule ? rule.purpose : ""), part("Open as expected", sum.open), part("Closed as expected", sum.closed)));
  }
};
// The filter.
const option = (value, text) => element("option", { value }, text);
const fillFilters = () => {
  $("f-rule").append(option("", "all rules"));
  for (const [name, sum] of sums) {
    const rule = rules.get(name);
    if (!sum.bad && !sum.open[0] && !sum.closed[0]) continue;
    $("f-rule").append(option(name, `${name}${rule ? ` ${portOf(rule)}` : ""}${sum.bad ? ` (${fmt(sum.bad)} failed)` : ""}`));
  }
  for (const [id, all] of [["f-source", sources], ["f-destination", destinations]]) {
    $(id).append(option(-1, "all nodes"));
    for (const one of all) {
      const node = nodes.get(names[one]);
      $(id).append(option(one, `${names[one]}${node ? "" : " (outside)"}`));
    }
  }
  $("f-outcome").append(option("", "all checks"), option("failed", "failed"));
  for (const one of [...new Set(lines.filter((line) => !line.ok).map((line) => line.observed))].sort())
    $("f-outcome").append(option(one, `failed: ${words(one)}`));
};
const reset = () => Object.assign(chosen, { rule: "", source: -1, destination: -1, outcome: "" });
let counted = null, refresh = null;
const show = () => {
  const key = chosen.rule + "\n" + chosen.outcome;
  if (key !== counted) { count(); counted = key; }
  $("f-rule").value = chosen.rule;
  $("f-source").value = chosen.source;
  $("f-destination").value = chosen.destination;
  $("f-outcome").value = chosen.outcome;
  $("said").textContent = chosen.source >= 0 && chosen.destination >= 0
    ? `${sayOf(rowOf.get(chosen.source), columnOf.get(chosen.destination))}; the checks are listed below` : large
      ? "A click on a cell, or on a name, lists its checks below." : "";
  refresh();
  list();
};
const changed = () => {
  chosen.rule = $("f-rule").value;
  chosen.source = Number($("f-source").value);
  chosen.destination = Number($("f-destination").value);
  chosen.outcome = $("f-outcome").value;
  show();
};
for (const id of ["f-rule", "f-source", "f-destination", "f-outcome"]) $(id).addEventListener("change", changed);
$("reset").onclick = () => { reset(); show(); };
$("more").onclick = more;
for (const button of document.querySelectorAll(".on-map")) {
  button.hidden = false;
  button.onclick = () => {
    const { source, destination, rule, observed } = button.dataset;
    reset();
    Object.assign(chosen, {
      rule: rule || "", outcome: observed || "failed",
      source: names.indexOf(source), destination: names.indexOf(destination),
    });
    show();
    $("map").scrollIntoView();
  };
}
// On paper the words are explained, and of the failures stands what the reader has unfolded.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("footer details:not([open])")];
  for (const one of opened) one.open = true;
  document.documentElement.classList.add("print");
  dispatchEvent(new Event("printed"));
});
addEventListener("afterprint", () => {
  for (const one of opened) one.open = false;
  document.documentElement.classList.remove("print");
  dispatchEvent(new Event("printed"));
});
for (const id of ["map", "table", "rules"]) $(id).hidden = false;
fillFilters();
refresh = large ? largeMap() : smallMap();
ruleTable();
show();
})();
