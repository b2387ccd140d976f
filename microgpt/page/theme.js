"use strict";

// What all pages share: reading the data that a page carries, and the button between light and dark.

const Data = {
  // the value under an id, or null where the page does not have it
  read(id) {
    const script = document.querySelector(`script#${CSS.escape(id)}`);
    return script === null ? null : JSON.parse(script.textContent);
  },
};

const Theme = {
  KEY: "microgpt-theme",

  // "light" or "dark", as it is shown now
  shown() {
    const chosen = document.documentElement.style.colorScheme;
    return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  },

  choose(name) {
    document.documentElement.style.colorScheme = name;
    try {
      localStorage.setItem(Theme.KEY, name);
    } catch {
      // a browser may keep nothing for a file: then the choice ends with the page
    }
    document.dispatchEvent(new Event("themechange")); // for what is drawn on a canvas
  },

  begin() {
    let kept = null;
    try {
      kept = localStorage.getItem(Theme.KEY);
    } catch {
      // likewise
    }
    if (kept === "light" || kept === "dark") document.documentElement.style.colorScheme = kept;
    for (const button of document.querySelectorAll("[data-theme-button]")) {
      button.addEventListener("click", () => Theme.choose(Theme.shown() === "dark" ? "light" : "dark"));
    }
  },
};

Theme.begin();
