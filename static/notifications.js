/* "Tell this browser": asks the person, subscribes with the browser's push service, and posts the subscription. */
(() => {
  "use strict";
  /* Nobody has said yet where they live: the browser knows its clock. */
  const zone = document.querySelector("input[data-zone]");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && here && document.querySelector(`#zones option[value="${CSS.escape(here)}"]`)) zone.value = here;
  const form = document.querySelector("form[data-push]");
  const button = form?.querySelector("button");
  const say = (words) => { form.querySelector("[data-push-state]").textContent = words; };
  if (!form || !("serviceWorker" in navigator) || !("PushManager" in window)) return;
  button.hidden = false;
  say("It asks you whether it may show notifications.");
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const text = (key) => btoa(String.fromCharCode(...new Uint8Array(key)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const worker = form.dataset.worker;
  const refuse = () => { throw new TypeError("Only the worker's own script"); };
  const policy = window.trustedTypes?.createPolicy("push", {
    createScriptURL: (url) => (url === worker ? url : refuse()),
  }) || { createScriptURL: (url) => url };
  async function subscribe() {
    if (await Notification.requestPermission() !== "granted") {
      say("This browser does not show notifications of this site. Allow it in the site's settings.");
      return;
    }
    await navigator.serviceWorker.register(policy.createScriptURL(worker), { scope: "/" });
    const { pushManager } = await navigator.serviceWorker.ready;
    const asked = { userVisibleOnly: true, applicationServerKey: bytes(form.dataset.push) };
    const made = await pushManager.subscribe(asked).catch(async () => {
      // It was made with a key that this server had before.
      await (await pushManager.getSubscription())?.unsubscribe();
      return pushManager.subscribe(asked);
    });
    form.endpoint.value = made.endpoint;
    form.p256dh.value = text(made.getKey("p256dh"));
    form.auth.value = text(made.getKey("auth"));
    form.submit();
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    subscribe().catch((failed) => say(`This browser cannot be told: ${failed.message}`));
  });
})();
