"use strict";
/* Making the page's elements, and how characters and numbers are written in it. */

/* A new element. What it holds is other elements or text, and text never becomes markup. */
function element(tag, attributes = {}, ...contents) {
  return filled(document.createElement(tag), attributes, contents);
}

/* A new element of a picture. */
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

/* A character as one can see it: blanks and control characters have signs. */
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
