/* What a browser keeps of Signalcabin for when no page is open: it shows what is told, and opens what it is about. */
"use strict";
self.addEventListener("push", (event) => {
  const told = event.data.json();
  const shown = { tag: told.tag, data: { url: told.url }, icon: "/static/favicon.svg", requireInteraction: told.event === "approval" };
  event.waitUntil(self.registration.showNotification(told.title, shown));
});
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.notification.data.url));
});
