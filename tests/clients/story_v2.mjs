// The same story by the SDK's v2 client, over /global/event: text by its pieces, fork, deleting and mending, vcs.
// Usage: node story_v2.mjs BASE_URL TOKEN DIRECTORY PROMPT; prints one line of JSON with what was seen.
import { calls } from "./calls.mjs"
import { round } from "./round_v2.mjs"
const [, , baseUrl, token, directory, prompt] = process.argv
const { createOpencodeClient } = await import("@opencode-ai/sdk/v2")
const headers = { Authorization: "Basic " + Buffer.from("opencode:" + token).toString("base64") }
const client = createOpencodeClient({ baseUrl, headers, directory, throwOnError: true })
const seen = { types: {}, asks: [], directories: {}, wholes: 0, mismatches: 0 }
const text = {}

const abort = new AbortController()
const stream = await client.global.event({ signal: abort.signal })
let idle, connected
const finished = new Promise((resolve) => (idle = resolve))
const ready = new Promise((resolve) => (connected = resolve))
let session
const watching = (async () => {
  for await (const { payload, directory: where } of stream.stream) {
    const p = payload.properties
    seen.types[payload.type] = (seen.types[payload.type] ?? 0) + 1
    if (payload.type === "server.connected") { connected(); continue }
    if (where) seen.directories[where] = true
    if (payload.type === "message.part.delta") text[p.partID] = (text[p.partID] ?? "") + p.delta
    if (payload.type === "message.part.updated" && p.part.time?.end && p.part.type === "text") {
      seen.wholes++
      if ((text[p.part.id] ?? "").trimEnd() !== p.part.text) seen.mismatches++
    }
    if (payload.type === "permission.asked" && p.sessionID === session.id) {
      seen.asks.push([p.permission, p.patterns])
      await client.permission.reply({ requestID: p.id, reply: "once" })
    }
    if (payload.type === "session.idle" && p.sessionID === session.id) idle()
  }
})().catch((error) => { if (!abort.signal.aborted) throw error })

const one = async (call) => (await call).data
await ready
seen.health = await one(client.global.health())
seen.config = (await one(client.global.config.get())).share
seen.vcs = await one(client.vcs.get())
session = await one(client.session.create({
  title: "SDK v2 story", permission: [{ permission: "webfetch", pattern: "*", action: "deny" }],
  model: { providerID: "openai", id: "scripted" },
}))
seen.permission = session.permission
const sessionID = session.id
const answer = await one(client.session.prompt({ sessionID, parts: [{ type: "text", text: prompt }] }))
await finished
seen.answer = answer.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n")
seen.status = await one(client.session.status())
const messages = await one(client.session.messages({ sessionID }))
seen.tools = messages.flatMap((m) => m.parts).filter((p) => p.type === "tool").map((p) => [p.tool, p.state.status])
seen.diff = (await one(client.session.diff({ sessionID }))).map((d) => [d.file, d.additions, d.deletions, d.status])
seen.changed = await one(client.vcs.status())
seen.patched = (await one(client.vcs.diff({ mode: "git" }))).map((d) => [d.file, d.patch.split("\n").filter((l) => /^[+-] /.test(l)).length])
const fork = await one(client.session.fork({ sessionID, messageID: messages[1].info.id }))
seen.fork = [fork.title, (await one(client.session.messages({ sessionID: fork.id }))).map((m) => m.parts[0].text)]
const [first, second] = [messages[0], messages[1]]
const said = { ...first.parts[0], text: "Something else." }
seen.mended = (await one(client.part.update({ sessionID, messageID: first.info.id, partID: said.id, part: said }))).text
await client.part.delete({ sessionID, messageID: second.info.id, partID: second.parts.at(-1).id })
seen.left = (await one(client.session.message({ sessionID, messageID: second.info.id }))).parts.length - second.parts.length
await client.session.deleteMessage({ sessionID, messageID: messages.at(-1).info.id })
seen.fewer = (await one(client.session.messages({ sessionID }))).length - messages.length
seen.reverted = !!(await one(client.session.revert({ sessionID, messageID: first.info.id }))).revert
seen.unreverted = !(await one(client.session.unrevert({ sessionID }))).revert
seen.deleted = await one(client.session.delete({ sessionID }))
try {
  await client.session.children({ sessionID })
} catch (error) {
  seen.gone = error.name ?? error.cause?.name ?? JSON.stringify(error)
}
abort.abort()
seen.round = await round(client)
seen.calls = [...calls]
console.log(JSON.stringify(seen))
process.exit(0)
