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
 * In an <img> the decoded picture takes the place of `src`, in a <source> that of `srcset`; all
 * else of the element stays, so that its size, style and text are the page's. Elements that come
 * later are found, too, and an <img loading="lazy"> is decoded once it is near. Without scripts
 * the <picture> shows its fallback, since no browser knows image/npeg.
 */

import { decodeToPng } from "./npeg.js";

const NEAR = "400px"; // around what is seen
const FOUND = "img[src], source[srcset]";

const decoded = new Map(); // address -> promise of the URL of a PNG file
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
  if (!address || handled.get(element) === address) return;
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

async function show(element, address) {
  if (!decoded.has(address)) decoded.set(address, decode(address));
  try {
    const url = await decoded.get(address);
    if (handled.get(element) !== address) return; // another picture by now
    if (element.localName === "img") {
      element.src = url;
    } else {
      element.type = "image/png";
      element.srcset = url;
    }
  } catch (error) {
    decoded.delete(address);
    console.warn(`npeg: ${address}: ${error.message}`);
  }
}

async function decode(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  return URL.createObjectURL(await decodeToPng(await answer.arrayBuffer()));
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
