// A certificate that is dropped on the page is put into its form, which is then sent.
"use strict";
(() => {
  const form = document.querySelector("form.drop");
  const file = form.querySelector('input[type="file"]');

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
  document.addEventListener("dragleave", () => form.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (event.dataTransfer.files.length !== 1) return;
    file.files = event.dataTransfer.files;
    form.requestSubmit();
  });
})();
