/**
 * Lets a page show .npeg files as it shows other pictures:
 *
 *     <script type="module" src="npeg-img.js"></script>
 *     <img src="photo.npeg" alt="A street at night" width="1200" height="800">
 *     <picture>
 *       <source srcset="photo.npeg" type="image/npeg">
 *       <img src="photo.jpg" alt="A street at night">
 *     </picture>
 *
 * In an <img> the decoded picture takes the place of `src`, in a <source> that of `srcset`: first
 * what can be seen of a tenth of the file, then more as it arrives. What is shown of a file that is
 * cut or damaged stays, and a line in the console says so. All else of the element stays, so that
 * its size, style and text are the page's. Elements that come later are found, too, and an
 * <img loading="lazy"> is decoded once it is near. Without scripts the <picture> shows its
 * fallback, since no browser knows image/npeg.
 */

import { decodeAsItArrives } from "./npeg.js";

const NEAR = "400px"; // around what is seen
const FOUND = "img[src], source[srcset]";

const REVOKED_MS = 10_000; // after which the URL of an earlier picture has been replaced

const decoded = new Map(); // address -> Picture
const urls = new Set(); // of PNG files, which elements were given here
const handled = new WeakMap(); // element -> the address that it shows, or is about to
const nearing = new IntersectionObserver(onNear, { rootMargin: NEAR });

/** Return the address of the .npeg file that an element names, or null. */
function addressOf(element) {
  const isSource = element.localName === "source";
  const name = element.getAttribute(isSource ? "srcset" : "src") ?? "";
  const url = URL.canParse(name, document.baseURI) ? new URL(name, document.baseURI) : null;
  const isNamed = url?.pathname.toLowerCase().endsWith(".npeg");
  const isTyped = isSource && element.type === "image/npeg";
  return url && (isNamed || isTyped) ? url.href : null;
}

function find(element) {
  const address = addressOf(element);
  if (!address) {
    const shown = element.getAttribute(element.localName === "source" ? "srcset" : "src");
    if (!urls.has(shown)) handled.delete(element); // another picture by now
    return;
  }
  if (handled.get(element) === address) return;
  handled.set(element, address);
  const image = element.localName === "img" ? element : element.parentElement?.querySelector("img");
  if (image?.loading === "lazy") nearing.observe(image);
  else show(element, address);
}

function onNear(entries) {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    nearing.unobserve(target);
    const sources = target.parentElement?.localName === "picture" ? target.parentElement.children : [];
    for (const element of new Set([...sources, target])) {
      const address = handled.get(element);
      if (address) show(element, address);
    }
  }
}

function show(element, address) {
  if (!decoded.has(address)) decoded.set(address, new Picture(address));
  decoded.get(address).tell((url) => {
    if (handled.get(element) !== address) return; // another picture by now
    if (element.localName === "img") {
      element.src = url;
    } else {
      element.type = "image/png";
      element.srcset = url;
    }
  });
}

/** A file that arrives, and the URL of what is decoded of it so far. */
class Picture {
  url = null;
  listeners = [];

  constructor(address) {
    this.decode(address).catch((error) => {
      decoded.delete(address);
      console.warn(`npeg: ${address}: ${error.message}`);
    });
  }

  /** Call a function with each URL, the present one at once. */
  tell(listener) {
    this.listeners.push(listener);
    if (this.url) listener(this.url);
  }

  async decode(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
    for await (const { blob } of decodeAsItArrives(answer)) {
      const before = this.url;
      this.url = URL.createObjectURL(blob);
      urls.add(this.url);
      for (const listener of this.listeners) listener(this.url);
      if (before) setTimeout(() => URL.revokeObjectURL(before), REVOKED_MS);
    }
  }
}

function findBelow(root) {
  if (root.matches?.(FOUND)) find(root);
  root.querySelectorAll?.(FOUND).forEach(find);
}

new MutationObserver((records) => {
  for (const { type, target, addedNodes } of records) {
    if (type === "attributes") findBelow(target);
    else addedNodes.forEach(findBelow);
  }
}).observe(document, {
  subtree: true,
  childList: true,
  attributes: true,
  attributeFilter: ["src", "srcset"],
});
findBelow(document);
