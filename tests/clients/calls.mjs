// Which requests this process made, by any client: "METHOD /path".
const asked = globalThis.fetch
export const calls = new Set()
globalThis.fetch = (resource, init) => {
  const request = resource instanceof Request ? resource : new Request(resource, init)
  calls.add(`${request.method} ${new URL(request.url).pathname}`)
  return asked(resource, init)
}
