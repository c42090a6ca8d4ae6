"use strict";
// A person's votes: counted on the page, kept nowhere, handed over as a text to copy.
(() => {
  const boxes = [...document.querySelectorAll("input[type=radio]")];
  const tally = () => {
    const votes = {};
    for (const box of boxes) {
      votes[box.value] = (votes[box.value] || 0) + (box.checked ? 1 : 0);
    }
    for (const cell of document.querySelectorAll("[data-votes]")) {
      cell.textContent = String(votes[cell.dataset.votes] || 0);
    }
  };
  for (const box of boxes) {
    box.addEventListener("change", tally);
  }
  tally();
})();
