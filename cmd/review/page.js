"use strict";
const field = document.getElementById("filter");
const shown = document.getElementById("shown");
const rows = Array.from(document.querySelectorAll("tbody tr"), row => ({ row, text: row.textContent.toLowerCase() }));
field.closest("p").hidden = false;
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let matching = 0;
  for (const { row, text } of rows) {
    const fits = words.every(word => text.includes(word));
    row.hidden = !fits;
    matching += fits;
  }
  shown.textContent = words.length ? matching + " of " + rows.length + " rows" : "";
});
