// Sections and tables, which reports have in common.

// Appends a section to the content and its link to the navigation; returns its head.
function section(id, title, note, ...content) {
  const heading = el("h2", { id: `${id}-title` }, title);
  const head = el("div", { class: "section-head" }, heading, note ? el("p", { class: `soft ${id}-note` }, note) : null);
  document.getElementById("nav").append(el("a", { href: `#${id}` }, title));
  document.getElementById("content").append(el("section", { id, "aria-labelledby": `${id}-title` }, head, ...content));
  return head;
}

// columns: [{title, value(i), text(i, value)}]; the header buttons sort.
function sortableTable(caption, count, columns, startAt) {
  const body = el("tbody"), order = Array.from({ length: count }, (_, i) => i);
  let sorted = startAt, direction = 1;
  const heads = columns.map((column, k) => el("th", { scope: "col" }, el("button", { type: "button", onclick: () => {
    direction = sorted === k ? -direction : 1;
    sorted = k;
    write();
  } }, column.title)));
  function write() {
    const { value } = columns[sorted];
    const rank = (i) => (Number.isNaN(value(i)) ? Infinity : value(i));
    order.sort((a, b) => direction * (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) || a - b);
    heads.forEach((head, k) => head.setAttribute("aria-sort", k === sorted ? (direction > 0 ? "ascending" : "descending") : "none"));
    body.replaceChildren(...order.map((i) => el("tr", {}, columns.map((column, k) => el(k ? "td" : "th", k ? {} : { scope: "row" }, column.text(i, column.value(i)))))));
  }
  write();
  return el("div", { class: "card" }, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden-text" }, caption), el("thead", {}, el("tr", {}, heads)), body)));
}
