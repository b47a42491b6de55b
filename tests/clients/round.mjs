// The methods of the published SDK that its story has no use for, each once: gives what they answered.
export async function round(client, query) {
  const one = async (call) => (await call).data
  const model = { providerID: "openai", modelID: "scripted" }
  const seen = {}

  seen.model = (await one(client.config.get({ query }))).model
  seen.theme = (await one(client.config.update({ body: { theme: "dark" }, query }))).theme
  seen.ids = await one(client.tool.ids({ query }))
  seen.tools = (await one(client.tool.list({ query: { ...query, provider: "openai", model: "scripted" } }))).map((tool) => tool.id)
  seen.commands = (await one(client.command.list({ query }))).map((command) => command.name)
  seen.symbols = (await one(client.find.symbols({ query: { ...query, query: "total" } }))).map((symbol) => symbol.name)
  seen.changed = (await one(client.file.status({ query }))).map((file) => [file.path, file.status])
  seen.logged = await one(client.app.log({ body: { service: "story", level: "info", message: "It goes on." }, query }))
  seen.auth = await one(client.auth.set({ path: { id: "mistral" }, body: { type: "api", key: "test-key" }, query }))

  const session = await one(client.session.create({ body: { title: "A round" }, query }))
  const path = { id: session.id }
  const greeted = await one(client.session.command({ path, body: { command: "greet", arguments: "Alice" }, query }))
  seen.greeted = greeted.parts.find((part) => part.type === "text").text
  seen.summarized = await one(client.session.summarize({ path, body: model, query }))
  seen.init = await one(client.session.init({ path, body: { ...model, messageID: "msg_ffffffffffff" + session.id.slice(-14) }, query }))
  await client.session.shell({ path, body: { agent: "build", command: "echo my own" }, query })
  const ran = (await one(client.session.messages({ path, query }))).flatMap((message) => message.parts).find((part) => part.type === "tool")
  seen.ran = [ran.state.status, ran.state.output.trim()]
  const { url } = (await one(client.session.share({ path, query }))).share
  seen.shared = [(await fetch(url)).status, (await one(client.session.unshare({ path, query }))).share ?? null, (await fetch(url)).status]
  const fork = await one(client.session.fork({ path, body: {}, query }))
  seen.fork = fork.title
  seen.children = await one(client.session.children({ path, query }))

  seen.request = await controlled(
    () => one(client.tui.control.next({ query })),
    (text) => one(client.tui.appendPrompt({ body: { text }, query })),
  )
  seen.steered = await Promise.all([
    client.tui.control.response({ body: { heard: true }, query }),
    client.tui.openHelp({ query }),
    client.tui.openSessions({ query }),
    client.tui.openThemes({ query }),
    client.tui.openModels({ query }),
    client.tui.submitPrompt({ query }),
    client.tui.clearPrompt({ query }),
    client.tui.executeCommand({ body: { command: "agent_cycle" }, query }),
    client.tui.showToast({ body: { message: "Green", variant: "success" }, query }),
  ].map(one))
  seen.mcp = await one(client.mcp.status({ query }))
  return client.pty ? { ...seen, ...(await newer(client, query, one)) } : seen
}

// What the queue of requests gives after a prompt was appended. It tells nobody that somebody waits at it, so the
// prompt is appended until it is given; what others asked for before is passed over.
export async function controlled(next, append) {
  const text = "From the round"
  let given
  const heard = (async () => {
    do given = await next()
    while (given.body.text !== text)
    return given
  })()
  while (given?.body.text !== text) await append(text)
  return heard
}

// What 1.19 has and 0.15 has not.
async function newer(client, query, one) {
  const seen = {}
  seen.published = await one(client.tui.publish({ body: { type: "tui.prompt.append", properties: { text: "Hello" } }, query }))
  seen.lsp = [await one(client.lsp.status({ query })), await one(client.formatter.status({ query }))]
  seen.branch = (await one(client.vcs.get({ query }))).branch
  seen.connected = (await one(client.provider.list({ query }))).connected
  seen.methods = Object.keys(await one(client.provider.auth({ query })))

  const config = { type: "local", command: ["python3", "peer.py"], enabled: false, timeout: 60000 }
  seen.added = (await one(client.mcp.add({ body: { name: "peer", config }, query }))).peer.status
  seen.joined = await one(client.mcp.connect({ path: { name: "peer" }, query }))
  seen.left = await one(client.mcp.disconnect({ path: { name: "peer" }, query }))
  // Nobody signs in to a local one: what it answers is told by its status.
  const peer = { path: { name: "peer" }, query }
  const signing = [client.mcp.auth.start(peer), client.mcp.auth.authenticate(peer), client.mcp.auth.remove(peer)]
  signing.push(client.mcp.auth.callback({ ...peer, body: { code: "none" } }))
  seen.signing = await Promise.all(signing.map((call) => call.then((answer) => answer.response.status, (error) => error.cause.status)))

  const pty = await one(client.pty.create({ body: { command: "sh", title: "Shell" }, query }))
  const path = { id: pty.id }
  seen.pty = [(await one(client.pty.list({ query }))).length, (await one(client.pty.get({ path, query }))).title]
  seen.pty.push((await one(client.pty.update({ path, body: { title: "Renamed", size: { rows: 30, cols: 90 } }, query }))).title)
  seen.pty.push(await one(client.pty.remove({ path, query })))

  const abort = new AbortController()
  const { stream } = await client.global.event({ signal: abort.signal })
  const session = await one(client.session.create({ body: {}, query }))
  for await (const { payload } of stream) {
    if (payload.type === "server.connected") {
      const parts = [{ type: "text", text: "[[say Later.]]" }]
      await client.session.promptAsync({ path: { id: session.id }, body: { parts }, query })
    }
    if (payload.type === "session.idle" && payload.properties.sessionID === session.id) break
  }
  abort.abort()
  seen.later = (await one(client.session.messages({ path: { id: session.id }, query }))).at(-1).parts.find((part) => part.type === "text").text
  seen.status = await one(client.session.status({ query }))
  seen.disposed = await one(client.instance.dispose({ query }))
  return seen
}
