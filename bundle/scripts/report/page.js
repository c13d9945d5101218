{# SPDX-License-Identifier: Apache-2.0 #}
"use strict";
// The table of cases: rows are made from the embedded data, 100 at a time, sorted and searched without a server.
(() => {
  const STEP = 100;
  const { columns, rows, sorted } = JSON.parse(document.getElementById("case-data").textContent);
  const table = document.getElementById("case-table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const search = document.getElementById("case-search");
  const more = document.getElementById("case-more");
  const status = document.getElementById("case-status");
  const names = new Intl.Collator("en", { numeric: true });
  const write = {
    text: (value) => value,
    share: (value) => value.toFixed(4),
    distance: (value) => value.toFixed(2),
    count: (value) => value.toLocaleString("en-US"),
  };
  let column = sorted;
  let sign = 1;
  let found = rows;
  let shown = 0;

  function compare(a, b) {
    const [first, second] = [a[column], b[column]];
    if (first === null || second === null) {
      return (first === null) - (second === null); // what has no number comes last, either way
    }
    return sign * (columns[column].kind === "text" ? names.compare(first, second) : first - second);
  }

  function makeRow(values) {
    const row = document.createElement("tr");
    values.forEach((value, i) => {
      const cell = document.createElement(i === 0 ? "th" : "td");
      if (i === 0) {
        cell.scope = "row";
        value.split(/(?<=[_./-])/).forEach((part) => cell.append(part, document.createElement("wbr"))); // may break here
      } else {
        cell.textContent = value === null ? "–" : write[columns[i].kind](value);
      }
      if (columns[i].kind !== "text") {
        cell.className = "number";
      }
      row.append(cell);
    });
    return row;
  }

  function showMore() {
    const next = found.slice(shown, shown + STEP);
    body.append(...next.map(makeRow));
    shown += next.length;
    more.hidden = shown === found.length;
    status.textContent = `${shown} of ${found.length} shown` + (found === rows ? "" : `, found in ${rows.length}`);
  }

  function update() {
    const wanted = search.value.trim().toLowerCase();
    const matches = (row) => row[0].toLowerCase().includes(wanted) || row[1].toLowerCase().includes(wanted);
    found = wanted ? rows.filter(matches) : rows;
    found.sort(compare);
    body.replaceChildren();
    shown = 0;
    showMore();
  }

  heads.forEach((head, i) => {
    head.firstElementChild.addEventListener("click", () => {
      sign = i === column ? -sign : 1;
      heads[column].removeAttribute("aria-sort");
      column = i;
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      update();
    });
  });
  more.addEventListener("click", showMore);
  search.addEventListener("input", update);
  update();
})();
