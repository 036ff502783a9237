/**
 * Registers the service worker that decodes .npeg pictures, for the pages below this script's folder:
 *
 *     <script type="module" src="/register.js"></script>
 *
 * On a first visit the page may have asked for pictures before there was a service worker: it is
 * loaded once more, as soon as there is one. Without service workers npeg-img.js does what it can.
 */

const RELOADED = "npeg-reloaded"; // in the session: once, whatever happens

async function register() {
  const { serviceWorker } = navigator;
  await serviceWorker.register(new URL("service-worker.js", import.meta.url), { type: "module" });
  if (serviceWorker.controller || sessionStorage.getItem(RELOADED)) return;
  await new Promise((claimed) => {
    serviceWorker.addEventListener("controllerchange", claimed, { once: true });
    if (serviceWorker.controller) claimed();
  });
  sessionStorage.setItem(RELOADED, "yes");
  location.reload();
}

register().catch((error) => {
  console.info(`npeg: no service worker: ${error.message}`);
  import("./npeg-img.js");
});
