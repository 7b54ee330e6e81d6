
"use strict";
(() => {
  const PER_PAGE = 20; // texts shown at once, as many as are written as markup
  const ROWS = 100; // of the table, and as many again at each "Show more"
  const OPTIONS = 300; // types to choose from
  const CANDIDATES = 6; // told in full, if more of them are below 1%
  const SLICE_MS = 12; // work without a pause for what the person does meanwhile
  const KINDS = { PER: "person", LOC: "place", ORG: "organisation", MISC: "something else" };
  const byId = (id) => document.getElementById(id);
  const texts = byId("texts"), card = byId("card"), rows = byId("rows");

  // what was written: of each text its markup and, as JSON, its mentions
  const stored = [...texts.querySelectorAll("[data-doc]")];
  const data = [...texts.querySelectorAll("script.data")];
  const entities = []; // {id, name, about, types}
  const labels = new Map([["", 0]]);
  // of all mentions of all texts, one after another
  const firstOf = []; // of each text its first mention's place, and the end
  const entityOf = [], labelOf = [], chanceOf = [];

  const make = (tag, text = "", properties = {}) =>
    Object.assign(document.createElement(tag), { textContent: text }, properties);
  const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
  const percent = (p) => `${(100 * p).toFixed(p > 0.9995 || p < 0.0005 ? 0 : 1)}%`;
  const pause = () => new Promise((resolve) => setTimeout(resolve));

  // -- reading, in slices -------------------------------------------------------------------------

  const read = (n) => {
    const { mentions, entities: fresh } = JSON.parse(data[n].textContent);
    for (const [id, name, about, types] of fresh) entities.push({ id, name, about, types });
    firstOf.push(entityOf.length);
    for (const [entity, label, chance] of mentions) {
      if (!labels.has(label)) labels.set(label, labels.size);
      entityOf.push(entity);
      labelOf.push(labels.get(label));
      chanceOf.push(chance);
    }
  };

  const readAll = async () => {
    let until = performance.now() + SLICE_MS;
    for (let n = 0; n < data.length; n++) {
      read(n);
      if (performance.now() > until) {
        byId("status").textContent = `Reading text ${n + 1} of ${data.length}`;
        await pause();
        until = performance.now() + SLICE_MS;
      }
    }
    firstOf.push(entityOf.length);
  };

  // -- what is asked for --------------------------------------------------------------------------

  let picked = -1; // an entity that was chosen in the table
  let matching = []; // texts with a mention that is asked for
  let isMatch = new Uint8Array(0); // of each mention
  let tally = { mentions: [], texts: [], chance: [] }; // of each entity, over mentions that match
  let page = 0;

  const question = () => ({
    type: byId("type").value,
    label: byId("label").value === "" ? -1 : Number(byId("label").value),
    from: Number(byId("from").value) / 100,
    to: byId("to").value === "" ? 1 : Number(byId("to").value) / 100,
    nil: byId("nil").checked,
  });
  const isAsked = (q) =>
    q.type !== "" || q.label >= 0 || q.from > 0 || q.to < 1 || !q.nil || picked >= 0;

  const look = () => {
    const q = question(), asked = isAsked(q);
    const ofType = entities.map((e) => q.type === "" || e.types.includes(q.type));
    const n = entities.length;
    tally = { mentions: new Uint32Array(n), texts: new Uint32Array(n), chance: new Float64Array(n) };
    const lastText = new Int32Array(n).fill(-1);
    isMatch = new Uint8Array(entityOf.length);
    matching = [];
    let found = 0;
    for (let text = 0; text + 1 < firstOf.length; text++) {
      const before = found;
      for (let k = firstOf[text]; k < firstOf[text + 1]; k++) {
        const entity = entityOf[k], chance = chanceOf[k];
        if (entity < 0 ? !q.nil || q.type !== "" : !ofType[entity]) continue;
        if (chance < q.from || chance > q.to || (q.label >= 0 && labelOf[k] !== q.label)) continue;
        if (entity >= 0) {
          tally.mentions[entity]++;
          tally.chance[entity] += chance;
          if (lastText[entity] !== text) tally.texts[entity]++;
          lastText[entity] = text;
        }
        if (picked >= 0 && entity !== picked) continue;
        isMatch[k] = 1;
        found++;
      }
      if (!asked || found > before) matching.push(text);
    }
    const all = `${count(stored.length, "text")} with ${count(entityOf.length, "name")}`;
    byId("status").textContent = asked
      ? `${count(found, "name")} in ${count(matching.length, "text")}, of ${all}.`
      : `${all}.`;
    const chosen = byId("picked");
    chosen.hidden = picked < 0;
    if (picked >= 0) chosen.replaceChildren("Only ", make("b", entities[picked].name), " (Escape shows all)");
  };

  // -- the texts ----------------------------------------------------------------------------------

  const element = (n) => {
    if (stored[n].localName !== "script") return stored[n];
    const template = document.createElement("template");
    template.innerHTML = stored[n].textContent; // escaped when it was written
    return template.content.firstElementChild;
  };

  const showTexts = () => {
    hideCard();
    const n = Math.ceil(matching.length / PER_PAGE);
    page = Math.min(page, Math.max(0, n - 1));
    const shown = matching.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    const made = shown.map((text) => {
      const article = element(text);
      article.querySelectorAll(".m").forEach((mark, place) => {
        mark.removeAttribute("title"); // the card says more
        const on = isMatch[firstOf[text] + place] === 1;
        mark.classList.toggle("off", !on);
        if (on && mark.localName === "a") mark.removeAttribute("tabindex");
        else mark.tabIndex = on ? 0 : -1;
      });
      return article;
    });
    texts.replaceChildren(...(made.length ? made : [make("p", "Nothing here matches the filters.")]));
    const first = page * PER_PAGE + 1;
    byId("place").textContent = shown.length
      ? `${first.toLocaleString("en")} to ${(first + shown.length - 1).toLocaleString("en")} of ${matching.length.toLocaleString("en")}`
      : "";
    byId("back").disabled = page === 0;
    byId("forth").disabled = page + 1 >= n;
    document.querySelector(".pages").hidden = n < 2;
  };

  const turn = (by) => {
    page += by;
    showTexts();
    texts.focus({ preventScroll: true });
    texts.scrollIntoView();
  };

  // -- the table ----------------------------------------------------------------------------------

  let sort = "mentions", down = true, limit = ROWS;

  const entityCell = (tag, entity, content) => {
    const cell = make(tag);
    cell.append(content, " ", make("bdi", entity.id, { className: "id" }));
    if (entity.about) cell.append(make("bdi", entity.about, { className: "what" }));
    return cell;
  };

  const showTable = () => {
    const wanted = byId("find").value.trim().toLowerCase();
    const value = {
      name: (e) => entities[e].name.toLowerCase(),
      mentions: (e) => tally.mentions[e],
      texts: (e) => tally.texts[e],
      chance: (e) => tally.chance[e] / tally.mentions[e],
    }[sort];
    const kept = [];
    entities.forEach((entity, e) => {
      if (!tally.mentions[e]) return;
      if (wanted && !`${entity.name} ${entity.about} ${entity.id}`.toLowerCase().includes(wanted)) return;
      kept.push([value(e), e]);
    });
    kept.sort(([a, i], [b, j]) => (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1) || i - j);
    rows.replaceChildren(
      ...kept.slice(0, limit).map(([, e]) => {
        const entity = entities[e];
        const button = make("button", "", { type: "button" });
        button.append(make("bdi", entity.name));
        button.dataset.entity = e;
        button.setAttribute("aria-pressed", String(e === picked));
        const row = make("tr"), head = entityCell("th", entity, button);
        head.scope = "row";
        row.append(
          head,
          make("td", tally.mentions[e].toLocaleString("en")),
          make("td", tally.texts[e].toLocaleString("en")),
          make("td", percent(tally.chance[e] / tally.mentions[e])),
        );
        return row;
      }),
    );
    byId("more").hidden = kept.length <= limit;
    byId("more").textContent = `Show more (${limit} of ${kept.length.toLocaleString("en")})`;
  };

  const refresh = () => {
    page = 0;
    look();
    showTexts();
    showTable();
  };

  // -- the card: candidates of a mention ----------------------------------------------------------

  let shownFor = null, leaving = 0;

  const mentionOf = (mark) => {
    const article = mark.closest("article");
    const text = Number(article.id.slice(1));
    if (text + 1 >= firstOf.length) return null; // not read yet
    const place = [...article.querySelectorAll(".m")].indexOf(mark);
    return JSON.parse(data[text].textContent).mentions[place];
  };

  const cardTable = (candidates, answer) => {
    const table = make("table"), head = make("tr");
    const body = make("tbody"), top = make("thead");
    for (const [name, title] of [
      ["Candidate", ""], ["Probability", ""], ["Cosine", "the retriever's"],
      ["Prior", "how often this name means it"], ["Read", "the reranker's score; – if it was not read"],
    ]) head.append(make("th", name, { scope: "col", title }));
    top.append(head);
    const likely = candidates.filter(([, chance]) => chance >= 0.01).length;
    for (const [e, chance, cosine, prior, score] of candidates.slice(0, Math.max(CANDIDATES, likely))) {
      const row = make("tr", "", { className: e === answer ? "best" : "" });
      const cell = make("td");
      cell.append(make("meter", "", { min: 0, max: 1, value: chance }), " ");
      cell.append(make("span", percent(chance), { className: "number" }));
      const name = entityCell("th", entities[e], make("bdi", entities[e].name));
      name.scope = "row";
      const numbers = [cosine.toFixed(2), prior.toFixed(2), score === null ? "–" : score.toFixed(1)];
      row.append(name, cell, ...numbers.map((n) => make("td", n)));
      body.append(row);
    }
    table.append(top, body);
    return table;
  };

  const showCard = (mark) => {
    clearTimeout(leaving);
    if (mark === shownFor || mark.classList.contains("off")) return;
    const mention = mentionOf(mark);
    if (!mention) return;
    hideCard();
    const [answer, label, chance, candidates] = mention;
    const line = make("p");
    line.append(
      make("bdi", mark.textContent), ": ",
      make("b", answer < 0 ? "not in the knowledge base" : entities[answer].name),
      `, ${percent(chance)}`, label ? `, looks like the name of ${kind(label)}` : "",
    );
    const types = answer < 0 ? [] : entities[answer].types;
    card.replaceChildren(line);
    if (types.length) card.append(make("p", `Types: ${types.slice(0, 8).join(", ")}${types.length > 8 ? ", …" : ""}`));
    card.append(candidates.length ? cardTable(candidates, answer) : make("p", "No candidates."));
    const left = candidates.length - card.querySelectorAll("tbody tr").length;
    if (left > 0) card.append(make("p", `and ${left} below 1%`, { className: "what" }));
    card.hidden = false;
    card.scrollTop = 0;
    placeCard(mark);
    mark.setAttribute("aria-describedby", "card");
    shownFor = mark;
  };

  const placeCard = (mark) => {
    const at = mark.getClientRects()[0] || mark.getBoundingClientRect();
    const width = document.documentElement.clientWidth, { offsetWidth, offsetHeight } = card;
    const below = at.bottom + offsetHeight + 8 <= innerHeight || at.top < offsetHeight + 8;
    card.style.left = `${scrollX + Math.max(8, Math.min(at.left, width - offsetWidth - 8))}px`;
    card.style.top = `${scrollY + (below ? at.bottom + 6 : at.top - offsetHeight - 6)}px`;
  };

  const hideCard = () => {
    clearTimeout(leaving);
    if (shownFor) shownFor.removeAttribute("aria-describedby");
    shownFor = null;
    card.hidden = true;
  };
  const leave = () => {
    clearTimeout(leaving);
    leaving = setTimeout(hideCard, 250); // time to move into the card
  };
  const kind = (label) => {
    const known = Object.hasOwn(KINDS, label) ? KINDS[label] : label;
    return known === "something else" ? known : `${/^[aeio]/i.test(known) ? "an" : "a"} ${known}`;
  };
  const markAt = (event) => (event.target instanceof Element ? event.target.closest("#texts .m") : null);

  // -- what the person does -----------------------------------------------------------------------

  const listen = () => {
    let touched = null; // a mark that a finger came down on while its card was not shown
    texts.addEventListener("pointerover", (e) => markAt(e) && e.pointerType !== "touch" && showCard(markAt(e)));
    texts.addEventListener("pointerout", (e) => markAt(e) && leave());
    card.addEventListener("pointerenter", () => clearTimeout(leaving));
    card.addEventListener("pointerleave", leave);
    texts.addEventListener("focusin", (e) => markAt(e) && showCard(markAt(e)));
    texts.addEventListener("focusout", (e) => markAt(e) && leave());
    texts.addEventListener("pointerdown", (e) => {
      touched = e.pointerType === "touch" && markAt(e) !== shownFor ? markAt(e) : null;
    });
    texts.addEventListener("click", (e) => {
      if (!touched || touched !== markAt(e)) return;
      e.preventDefault(); // the first tap shows the card, the second follows the link
      showCard(touched);
    });
    texts.addEventListener("keydown", (e) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (!by || !markAt(e) || e.altKey || e.ctrlKey || e.metaKey) return;
      const marks = [...texts.querySelectorAll(".m:not(.off)")];
      const next = marks[marks.indexOf(markAt(e)) + by];
      if (next) { e.preventDefault(); next.focus(); }
    });
    document.addEventListener("keydown", (e) => {
      if (e.key !== "Escape") return;
      if (shownFor) return hideCard();
      if (picked >= 0) { picked = -1; refresh(); }
    });
    addEventListener("resize", hideCard);
    const form = byId("filters");
    form.addEventListener("submit", (e) => e.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => { picked = -1; names(); refresh(); }));
    const names = () => texts.classList.toggle("named", byId("names").checked);
    form.addEventListener("input", (e) => (e.target.id === "names" ? names() : refresh()));
    names();
    byId("find").addEventListener("input", () => { limit = ROWS; showTable(); });
    byId("more").addEventListener("click", () => { limit += ROWS; showTable(); });
    byId("back").addEventListener("click", () => turn(-1));
    byId("forth").addEventListener("click", () => turn(1));
    rows.addEventListener("click", (e) => {
      const button = e.target.closest("button");
      if (!button) return;
      const entity = Number(button.dataset.entity);
      picked = picked === entity ? -1 : entity;
      refresh();
      rows.querySelector(`[data-entity="${entity}"]`)?.focus({ preventScroll: true });
    });
    document.querySelector("#entities thead").addEventListener("click", (e) => {
      const head = e.target.closest("th");
      if (!head || !e.target.closest("button")) return;
      down = head.dataset.sort === sort ? !down : head.dataset.sort !== "name";
      sort = head.dataset.sort;
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      showTable();
    });
  };

  const fillChoices = () => {
    const types = new Map(), kinds = new Map();
    entityOf.forEach((e, k) => {
      kinds.set(labelOf[k], (kinds.get(labelOf[k]) || 0) + 1);
      if (e >= 0) for (const type of entities[e].types) types.set(type, (types.get(type) || 0) + 1);
    });
    const often = [...types].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    for (const [type, n] of often.slice(0, OPTIONS)) byId("type").append(new Option(`${type} (${n})`, type));
    byId("type").parentElement.hidden = types.size === 0;
    for (const [label, number] of labels) {
      if (!kinds.has(number)) continue;
      const name = label === "" ? "kind not known" : Object.hasOwn(KINDS, label) ? KINDS[label] : label;
      byId("label").append(new Option(`${name} (${kinds.get(number)})`, number));
    }
    byId("label").parentElement.hidden = kinds.size < 2;
  };

  readAll().then(() => {
    for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
    fillChoices();
    listen();
    refresh();
    document.documentElement.dataset.ready = "yes";
  });
})();
