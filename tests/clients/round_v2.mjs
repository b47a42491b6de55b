// The methods of the SDK's v2 client that its story has no use for, each once: gives what they answered.
import { controlled } from "./round.mjs"

export async function round(client) {
  const one = async (call) => (await call).data
  const each = (calls) => Promise.all(calls.map(one))
  const text = (answer) => answer.parts.find((part) => part.type === "text").text
  const model = { providerID: "openai", modelID: "scripted" }
  const seen = {}

  seen.model = (await one(client.config.get())).model
  seen.themes = [(await one(client.config.update({ config: { theme: "dark" } }))).theme]
  seen.themes.push((await one(client.global.config.update({ config: { username: "story" } }))).username)
  seen.models = (await one(client.config.providers())).default
  seen.tools = [await one(client.tool.ids()), (await one(client.tool.list({ provider: "openai", model: "scripted" }))).map((tool) => tool.id)]
  seen.names = await each([client.command.list(), client.app.agents(), client.app.skills()])
  seen.names = seen.names.map((found) => found.map((item) => item.name))
  seen.logged = await one(client.app.log({ service: "story", level: "info", message: "It goes on." }))
  seen.auth = [await one(client.auth.set({ providerID: "mistral", auth: { type: "api", key: "test-key" } }))]
  seen.auth.push((await one(client.provider.list())).connected, await one(client.auth.remove({ providerID: "mistral" })))
  seen.auth.push((await one(client.provider.list())).connected, Object.keys(await one(client.provider.auth())))

  const project = await one(client.project.current())
  seen.projects = (await one(client.project.list())).some((found) => found.id === project.id)
  seen.directories = await one(client.project.directories({ projectID: project.id }))
  seen.path = await one(client.path.get())
  seen.found = (await one(client.find.text({ pattern: "rounded to cents" })))[0].path.text
  seen.files = await each([client.find.files({ query: "basket" }), client.find.symbols({ query: "total" })])
  seen.listed = (await one(client.file.list({ path: "shop" }))).map((node) => node.name)
  seen.read = (await one(client.file.read({ path: "README.md" }))).content
  seen.status = (await one(client.file.status())).map((file) => [file.path, file.status])
  seen.lsp = await each([client.lsp.status(), client.formatter.status()])

  const config = { type: "local", command: ["python3", "peer.py"], enabled: false, timeout: 60000 }
  seen.mcp = [(await one(client.mcp.add({ name: "peer", config }))).peer.status, await one(client.mcp.connect({ name: "peer" }))]
  seen.resources = Object.values(await one(client.experimental.resource.list())).map((resource) => [resource.client, resource.uri])
  seen.mcp.push((await one(client.mcp.status())).peer.status, await one(client.mcp.disconnect({ name: "peer" })))
  const { auth } = client.mcp
  const signing = [auth.start, auth.authenticate, auth.remove].map((call) => call.call(auth, { name: "peer" }))
  signing.push(auth.callback({ name: "peer", code: "none" }))
  seen.signing = await Promise.all(signing.map((call) => call.then((answer) => answer.response.status, (error) => error.cause.status)))

  const pty = await one(client.pty.create({ command: "sh", title: "Shell" }))
  const ptyID = pty.id
  seen.pty = [(await one(client.pty.list())).length, (await one(client.pty.get({ ptyID }))).title]
  seen.pty.push((await one(client.pty.update({ ptyID, title: "Renamed", size: { rows: 30, cols: 90 } }))).title)
  // The ticket is for browsers, which it must come from; the header is how their scripts say that they ask for one.
  seen.pty.push(typeof (await one(client.pty.connectToken({ ptyID }, { headers: { "x-opencode-ticket": "1" } }))).ticket)
  seen.pty.push(await one(client.pty.remove({ ptyID })), (await one(client.pty.shells())).length > 0)

  const [capabilities, console, workspaces, places] = await each([
    client.experimental.capabilities.get(), client.experimental.console.get(),
    client.experimental.workspace.list(), client.experimental.workspace.status(),
  ])
  seen.experimental = [typeof capabilities, typeof console, workspaces, places]
  const preview = await each([
    client.v2.agent.list(), client.v2.integration.list(), client.v2.location.get(), client.v2.model.list(),
    client.v2.provider.list(), client.v2.skill.list(), client.v2.command.list(),
  ])
  seen.preview = preview.map((found) => found.data?.map((item) => item.id ?? item.name) ?? found.directory)

  const session = await one(client.session.create({ title: "A round" }))
  const sessionID = session.id
  seen.greeted = text(await one(client.session.command({ sessionID, command: "greet", arguments: "Alice" })))
  seen.summarized = await one(client.session.summarize({ sessionID, ...model }))
  seen.init = await one(client.session.init({ sessionID, ...model, messageID: "msg_ffffffffffff" + sessionID.slice(-14) }))
  await client.session.shell({ sessionID, agent: "build", command: "echo my own" })
  const ran = (await one(client.session.messages({ sessionID }))).flatMap((message) => message.parts).find((part) => part.type === "tool")
  seen.ran = [ran.state.status, ran.state.output.trim()]
  const { url } = (await one(client.session.share({ sessionID }))).share
  seen.shared = [(await fetch(url)).status, (await one(client.session.unshare({ sessionID }))).share ?? null, (await fetch(url)).status]
  seen.renamed = (await one(client.session.update({ sessionID, title: "Renamed" }))).title
  seen.same = [(await one(client.session.get({ sessionID }))).title, (await one(client.session.list())).some((s) => s.id === sessionID)]
  seen.empty = await each([client.session.children({ sessionID }), client.session.todo({ sessionID })])
  seen.aborted = await one(client.session.abort({ sessionID }))
  seen.answered = await answered(client, one)

  seen.request = await controlled(() => one(client.tui.control.next()), (text) => one(client.tui.appendPrompt({ text })))
  seen.steered = await each([
    client.tui.control.response({ body: { heard: true } }), client.tui.openHelp(), client.tui.openSessions(),
    client.tui.openThemes(), client.tui.openModels(), client.tui.submitPrompt(), client.tui.clearPrompt(),
    client.tui.executeCommand({ command: "agent_cycle" }), client.tui.showToast({ message: "Green", variant: "success" }),
    client.tui.publish({ body: { type: "tui.prompt.append", properties: { text: "Hello" } } }),
    client.tui.selectSession({ sessionID }),
  ])
  seen.disposed = await each([client.instance.dispose(), client.global.dispose()])
  return seen
}

// A prompt that asks for a permission and twice for an answer, followed on the stream of the directory.
async function answered(client, one) {
  const sessionID = (await one(client.session.create({}))).id
  const ask = `[[call question {"questions": [{"question": "Which?", "options": [{"label": "A"}]}]}]]`
  const parts = [{ type: "text", text: `[[bash touch asked]] ${ask} ${ask} [[say Thank you.]]` }]
  const seen = []
  const abort = new AbortController()
  const { stream } = await client.event.subscribe({}, { signal: abort.signal })
  for await (const { type, properties } of stream) {
    if (type === "server.connected") await client.session.promptAsync({ sessionID, parts })
    if (type === "permission.asked") {
      const [waits] = await one(client.permission.list())
      seen.push([waits.permission, await one(client.permission.respond({ sessionID, permissionID: waits.id, response: "once" }))])
    }
    if (type === "question.asked") {
      const [waits] = await one(client.question.list())
      const answer = { requestID: waits.id, answers: [["A"]] }
      seen.push([type, await one(seen.length === 1 ? client.question.reply(answer) : client.question.reject(answer))])
    }
    if (type === "session.idle" && properties.sessionID === sessionID) break
  }
  abort.abort()
  const tools = (await one(client.session.messages({ sessionID }))).flatMap((message) => message.parts).filter((part) => part.type === "tool")
  return [...seen, tools.map((part) => [part.tool, part.state.status])]
}
