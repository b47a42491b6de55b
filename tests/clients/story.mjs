// One whole story by the published SDK: session, prompt, live text, approvals, diff, revert, unrevert.
// Usage: node story.mjs PACKAGE BASE_URL TOKEN DIRECTORY PROMPT; prints one line of JSON with what was seen.
import { calls } from "./calls.mjs"
import { round } from "./round.mjs"
const [, , name, baseUrl, token, directory, prompt] = process.argv
const { createOpencodeClient } = await import(name)
const headers = { Authorization: "Basic " + Buffer.from("opencode:" + token).toString("base64") }
const client = createOpencodeClient({ baseUrl, headers, throwOnError: true })
const query = { directory }
const seen = { types: {}, deltas: 0, mismatches: 0, asks: [], text: {} }

const abort = new AbortController()
const stream = await client.event.subscribe({ query, signal: abort.signal })
let idle
const finished = new Promise((resolve) => (idle = resolve))
let session
const watching = (async () => {
  for await (const event of stream.stream) {
    const p = event.properties
    seen.types[event.type] = (seen.types[event.type] ?? 0) + 1
    if (event.type === "message.part.updated" && p.delta) {
      seen.deltas++
      const grown = (seen.text[p.part.id] ?? "") + p.delta
      if (p.part.text !== grown) seen.mismatches++
      seen.text[p.part.id] = p.part.text
    }
    if (event.type === "permission.updated" && p.sessionID === session.id) {
      seen.asks.push(p.title)
      await client.postSessionIdPermissionsPermissionId({
        path: { id: session.id, permissionID: p.id }, body: { response: "once" }, query,
      })
    }
    if (event.type === "session.idle" && p.sessionID === session.id) idle()
  }
})().catch((error) => { if (!abort.signal.aborted) throw error })

const one = async (call) => (await call).data
seen.agents = (await one(client.app.agents({ query }))).map((agent) => agent.name)
seen.providers = (await one(client.config.providers({ query }))).providers.map((provider) => provider.id)
seen.path = await one(client.path.get({ query }))
seen.project = await one(client.project.current({ query }))
seen.projects = (await one(client.project.list({ query }))).length
session = await one(client.session.create({ body: { title: "SDK story" }, query }))
const answer = await one(client.session.prompt({
  path: { id: session.id }, query, body: { parts: [{ type: "text", text: prompt }] },
}))
await finished
seen.answer = answer.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n")
seen.finish = answer.info.finish
const messages = await one(client.session.messages({ path: { id: session.id }, query }))
seen.messages = messages.length
seen.tools = messages.flatMap((m) => m.parts).filter((p) => p.type === "tool").map((p) => [p.tool, p.state.status])
seen.diff = (await one(client.session.diff({ path: { id: session.id }, query }))).map((d) => [d.file, d.additions, d.deletions])
const first = messages[0].info.id
seen.single = (await one(client.session.message({ path: { id: session.id, messageID: first }, query }))).info.id === first
const file = seen.diff[0]?.[0]
const read = async () => (await one(client.file.read({ query: { ...query, path: file } }))).content
if (file) {
  seen.after = await read()
  seen.reverted = !!(await one(client.session.revert({ path: { id: session.id }, body: { messageID: first }, query }))).revert
  seen.before = await read()
  seen.unreverted = !(await one(client.session.unrevert({ path: { id: session.id }, query }))).revert
  seen.again = (await read()) === seen.after
  seen.found = (await one(client.find.text({ query: { ...query, pattern: "quantize" } }))).length
  seen.files = await one(client.find.files({ query: { ...query, query: "proration" } }))
  seen.listed = (await one(client.file.list({ query: { ...query, path: "." } }))).map((node) => node.name)
}
seen.todo = await one(client.session.todo({ path: { id: session.id }, query }))
seen.renamed = (await one(client.session.update({ path: { id: session.id }, body: { title: "Renamed" }, query }))).title
seen.listedSessions = (await one(client.session.list({ query }))).some((s) => s.id === session.id)
seen.idleAbort = await one(client.session.abort({ path: { id: session.id }, query }))
seen.deleted = await one(client.session.delete({ path: { id: session.id }, query }))
try {
  await client.session.get({ path: { id: session.id }, query })
} catch (error) {
  seen.gone = error.name ?? error.cause?.name ?? JSON.stringify(error)
}
abort.abort()
seen.round = await round(client, query)
seen.calls = [...calls]
delete seen.text
console.log(JSON.stringify(seen))
process.exit(0)
