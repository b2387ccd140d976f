"use strict";

// Making the page's elements, and how characters and numbers are written in it.

// A new element. What it holds is other elements or text, and text never becomes markup.
function element(tag, attributes = {}, ...contents) {
  return filled(document.createElement(tag), attributes, contents);
}

// A new element of a picture.
function drawn(tag, attributes = {}, ...contents) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, contents);
}

function filled(made, attributes, contents) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("--")) made.style.setProperty(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...contents);
  return made;
}

const byId = (id) => document.getElementById(id);

const NAMED = { "\n": "↵", "\t": "⇥", " ": "␣", "\u00a0": "⍽", "\u007f": "␡" };

// A character as one can see it: blanks and control characters have signs.
function visible(character) {
  if (NAMED[character]) return NAMED[character];
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (/[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u.test(character)) return hexadecimal(code);
  return /\p{M}/u.test(character) ? "◌" + character : character;
}

const hexadecimal = (code) => "U+" + code.toString(16).toUpperCase().padStart(4, "0");

const MINUS = "\u2212";

function number(value, digits) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + text;
}

const signed = (value, digits) =>
  (value >= 0 || Number(value.toFixed(digits)) === 0 ? "+" : "") + number(value, digits);

const percent = (share) => (share > 0 && share < 0.0995 ? (100 * share).toFixed(1) : Math.round(100 * share)) + "%";

const thousands = (value) => value.toLocaleString("en-US");

// The same where there is little room: what is not 0 does not look like it.
const brief = (value, digits) => (value && Number(value.toFixed(digits)) === 0 ? "≈ 0" : number(value, digits));

// A box of a head, with its name and a place for a number.
function headBox(head, attributes) {
  const name = element("span", { class: "head-name" }, `${head.layer + 1}.${head.head + 1}`);
  const value = element("span", { class: "head-value" });
  return element("button", { class: "head", type: "button", "--width": head.width, ...attributes }, name, value);
}

// Colours a box by the number of its head, and writes it; `largest` is the size of what has the full colour.
function showValue(box, value, largest, digits) {
  const share = (value || 0) / largest;
  box.style.setProperty("--mix", `${(100 * Math.abs(share)).toFixed(1)}%`);
  box.classList.toggle("hinders", share < 0);
  box.classList.toggle("strong", Math.abs(share) > 0.72);
  box.querySelector(".head-value").textContent = brief(value, digits);
}

// Which colour is which number.
function showScale(place, values, largest, digits) {
  const negative = values.some((value) => value < 0);
  place.replaceChildren(
    negative ? element("span", {}, number(-largest, digits)) : "",
    negative ? element("i", { class: "ramp hinders" }) : "",
    element("span", {}, "0"),
    element("i", { class: "ramp" }),
    element("span", {}, number(largest, digits)),
  );
}
