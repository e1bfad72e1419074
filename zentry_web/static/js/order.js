// Rows that can be dragged into another order: the places typed in them follow. Without it, places and arrows do.
"use strict";
{
  const rows = () => [...document.querySelectorAll("[data-order-row]")];
  let dragged = null;

  for (const row of rows()) {
    row.draggable = true;
    row.addEventListener("dragstart", (event) => {
      dragged = row;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", "");
    });
    row.addEventListener("dragover", (event) => {
      if (!dragged || dragged === row) return;
      event.preventDefault();
      const box = row.getBoundingClientRect();
      row[event.clientY > box.top + box.height / 2 ? "after" : "before"](dragged);
    });
    row.addEventListener("drop", (event) => event.preventDefault());
    row.addEventListener("dragend", () => {
      dragged = null;
      rows().forEach((each, index) => {
        each.querySelector("[name=place]").value = index + 1;
      });
    });
  }
}
