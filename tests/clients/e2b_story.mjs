// A day with the published JavaScript client: `e2b_story.mjs cloud|debug`; prints the steps that held.
import assert from "node:assert/strict"
import {
  CommandExitError,
  FileNotFoundError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  SandboxNotFoundError,
  TimeoutError,
} from "e2b"

const SECONDS = 20
const steps = []

function step(name, seen, wanted = true) {
  assert.deepEqual(seen, wanted, `${name}: ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`)
  steps.push(name)
}

async function refused(name, kind, work, words = "") {
  try {
    await work()
  } catch (error) {
    assert.ok(error instanceof kind, `${name}: ${error?.constructor?.name} ${error}`)
    assert.ok(String(error).includes(words), `${name}: ${error}`)
    steps.push(name)
    return
  }
  assert.fail(`${name} did not fail`)
}

// What a callback was told; waitFor() wakes with each word.
class Heard {
  words = []
  #waiting = []
  tell = (word) => {
    this.words.push(word)
    this.#waiting.splice(0).forEach((wake) => wake())
  }
  get text() {
    return this.words.map((word) => (word instanceof Uint8Array ? Buffer.from(word).toString() : word)).join("")
  }
  async waitFor(name, isIt) {
    const late = AbortSignal.timeout(SECONDS * 1000)
    while (!isIt(this)) {
      await new Promise((wake, fail) => {
        late.onabort = () => fail(new Error(`${name}: only ${JSON.stringify(this.words)}`))
        this.#waiting.push(wake)
      })
    }
    steps.push(name)
  }
}

async function control(sandbox) {
  step("it runs", await sandbox.isRunning())
  const info = await sandbox.getInfo()
  step("info is told", [info.sandboxId, info.metadata, info.state], [sandbox.sandboxId, { who: "js", odd: "ä&=" }, "running"])
  await sandbox.setTimeout(600_000)
  const longer = await sandbox.getInfo()
  step("it is given more time", longer.endAt > info.endAt)
  const again = await Sandbox.connect(sandbox.sandboxId)
  step("another one connects", (await again.commands.run("echo same")).stdout, "same\n")
  const pager = Sandbox.list({ query: { metadata: { odd: "ä&=" }, state: ["running", "paused"] } })
  step("it is listed", (await pager.nextItems()).map((one) => one.sandboxId), [sandbox.sandboxId])
  step("that was all", pager.hasNext, false)
  step("nobody else", await Sandbox.list({ query: { metadata: { who: "nobody" } } }).nextItems(), [])
  step("metrics are told", (await sandbox.getMetrics()).length, 1)
  const other = await Sandbox.create({ timeoutMs: 60_000, allowInternetAccess: false })
  step("without the internet", (await other.getInfo()).allowInternetAccess, false)
  step("it is killed by its id", await Sandbox.kill(other.sandboxId))
  step("once", await Sandbox.kill(other.sandboxId), false)
}

async function commands(sandbox) {
  const out = new Heard()
  const err = new Heard()
  const done = await sandbox.commands.run("echo a; echo b >&2; echo ü", { onStdout: out.tell, onStderr: err.tell })
  step("output comes whole", [done.exitCode, done.stdout, done.stderr], [0, "a\nü\n", "b\n"])
  step("and is heard", [out.text, err.text], ["a\nü\n", "b\n"])
  await refused("a failure is told", CommandExitError, () => sandbox.commands.run("exit 3"))
  const failed = await sandbox.commands.run("echo half; exit 5").catch((error) => error)
  step("with code and output", [failed.exitCode, failed.stdout], [5, "half\n"])
  step("HOME is the workspace", (await sandbox.commands.run("echo $HOME; pwd")).stdout, "/home/user\n/home/user\n")
  const placed = await sandbox.commands.run("pwd; echo $X", { cwd: "/tmp", envs: { X: "y z" } })
  step("where and with what", placed.stdout, "/tmp\ny z\n")
  step("as whom", (await sandbox.commands.run("echo me", { user: "root" })).stdout, "me\n")
  const many = await Promise.all([0, 1, 2, 3, 4].map((n) => sandbox.commands.run(`echo ${n}`)))
  step("five at once", many.map((one) => one.stdout), ["0\n", "1\n", "2\n", "3\n", "4\n"])
  const heard = new Heard()
  const cat = await sandbox.commands.run("cat", { background: true, stdin: true, onStdout: heard.tell })
  await sandbox.commands.sendStdin(cat.pid, "one\n")
  await heard.waitFor("input comes back", (it) => it.text === "one\n")
  const listed = (await sandbox.commands.list()).find((one) => one.pid === cat.pid)
  step("it is listed", [listed.cmd, listed.args], ["/bin/bash", ["-l", "-c", "cat"]])
  await cat.disconnect()
  const later = new Heard()
  const same = await sandbox.commands.connect(cat.pid, { onStdout: later.tell })
  await sandbox.commands.sendStdin(cat.pid, "two\n")
  await later.waitFor("another reader goes on", (it) => it.text === "two\n")
  await sandbox.commands.closeStdin(cat.pid)
  step("it ends with its input", (await same.wait()).exitCode, 0)
  await refused("then it is gone", NotFoundError, () => sandbox.commands.connect(cat.pid))
  const sleeper = await sandbox.commands.run("sleep 60", { background: true, timeoutMs: 0 })
  step("it is killed", await sleeper.kill())
  await refused("and tells", CommandExitError, () => sleeper.wait())
  step("once", await sandbox.commands.kill(sleeper.pid), false)
  await refused("time is over", TimeoutError, () => sandbox.commands.run("sleep 30", { timeoutMs: 1000 }))
}

async function files(sandbox) {
  const told = await sandbox.files.write("a/b.txt", "text ü")
  step("it is written", [told.name, told.path], ["b.txt", "/home/user/a/b.txt"])
  step("read as text", await sandbox.files.read("a/b.txt"), "text ü")
  step("as bytes", Buffer.from(await sandbox.files.read("a/b.txt", { format: "bytes" })).toString(), "text ü")
  step("as a blob", (await sandbox.files.read("a/b.txt", { format: "blob" })).size, 7)
  const stream = await sandbox.files.read("a/b.txt", { format: "stream" })
  step("as a stream", await new Response(stream).text(), "text ü")
  const many = await sandbox.files.write([
    { path: "/tmp/x", data: new Blob([new Uint8Array([0, 255])]) },
    { path: "y", data: "2" },
  ])
  step("several at once", many.map((one) => one.path), ["/tmp/x", "/home/user/y"])
  const binary = await sandbox.files.read("/tmp/x", { format: "bytes" })
  step("bytes stay bytes", [...binary], [0, 255])
  const raw = await sandbox.files.write("raw", "r".repeat(100_000), { useOctetStream: true, gzip: true })
  step("raw and packed", [raw.path, (await sandbox.files.read("raw")).length], ["/home/user/raw", 100_000])
  const marked = await sandbox.files.write("marked", "m", { metadata: { by: "js" } })
  step("with a mark", [marked.metadata, (await sandbox.files.getInfo("marked")).metadata], [{ by: "js" }, { by: "js" }])
  step("it exists", [await sandbox.files.exists("y"), await sandbox.files.exists("n")], [true, false])
  const names = (await sandbox.files.list("/home/user", { depth: 2 })).map((one) => one.path)
  step("listed", names.includes("/home/user/a/b.txt"))
  const info = await sandbox.files.getInfo("a/b.txt")
  step("info is told", [info.type, info.size, info.owner], ["file", 7, "user"])
  const moved = await sandbox.files.rename("y", "deep/er/y")
  step("renamed", [moved.path, await sandbox.files.read("deep/er/y")], ["/home/user/deep/er/y", "2"])
  step("made once", [await sandbox.files.makeDir("once"), await sandbox.files.makeDir("once")], [true, false])
  await sandbox.files.remove("deep")
  step("removed", await sandbox.files.exists("deep"), false)
  await refused("missing", FileNotFoundError, () => sandbox.files.read("nowhere"))
  await refused("no folder", InvalidArgumentError, () => sandbox.files.list("raw"))
}

async function watching(sandbox) {
  await sandbox.files.makeDir("seen/deep")
  const heard = new Heard()
  const watch = await sandbox.files.watchDir("seen", heard.tell, { recursive: true, includeEntry: true })
  await sandbox.files.write("seen/new.txt", "1")
  await heard.waitFor("a new file is seen", (it) => it.words.some((one) => one.name === "new.txt"))
  await sandbox.commands.run("echo 1 > seen/deep/x")
  await heard.waitFor("deeper ones too", (it) => it.words.some((one) => one.name === "deep/x"))
  await watch.stop()
  await refused("a missing folder", FileNotFoundError, () => sandbox.files.watchDir("none", heard.tell))
}

async function terminal(sandbox) {
  const heard = new Heard()
  const pty = await sandbox.pty.create({ cols: 80, rows: 24, onData: heard.tell })
  await sandbox.pty.sendInput(pty.pid, Buffer.from("stty size\n"))
  await heard.waitFor("a terminal answers", (it) => it.text.includes("24 80"))
  await sandbox.pty.resize(pty.pid, { cols: 132, rows: 40 })
  await sandbox.pty.sendInput(pty.pid, Buffer.from("stty size\n"))
  await heard.waitFor("it is resized", (it) => it.text.includes("40 132"))
  await pty.disconnect()
  const later = new Heard()
  await sandbox.pty.connect(pty.pid, { onData: later.tell })
  await sandbox.pty.sendInput(pty.pid, Buffer.from("echo x$((6*7))\n"))
  await later.waitFor("it survives its reader", (it) => it.text.includes("x42"))
  step("it is killed", await sandbox.pty.kill(pty.pid))
}

async function addresses(sandbox) {
  const download = await sandbox.downloadUrl("marked", { useSignatureExpiration: 60_000 })
  step("a signed address is enough", await (await fetch(download)).text(), "m")
  const form = new FormData()
  form.append("file", new Blob(["from a form"]), "whatever")
  const upload = await fetch(await sandbox.uploadUrl("formed"), { method: "POST", body: form })
  step("to write too", [upload.status, await sandbox.files.read("formed")], [200, "from a form"])
  step("for that file alone", (await fetch(download.replace("marked", "formed"))).status, 401)
}

async function endings(sandbox) {
  step("it is paused", await sandbox.pause())
  await refused("nobody works in it", SandboxError, () => sandbox.commands.run("true"))
  const woken = await Sandbox.connect(sandbox.sandboxId, { timeoutMs: 30_000 })
  step("its files are kept", await woken.files.read("marked"), "m")
  step("it is killed at last", await woken.kill())
  step("it does not run", await woken.isRunning(), false)
  await refused("it is gone", SandboxNotFoundError, () => Sandbox.getInfo(sandbox.sandboxId))
}

const mode = process.argv[2]
const sandbox = await Sandbox.create({ timeoutMs: 120_000, metadata: { who: "js", odd: "ä&=" } })
if (mode === "cloud") await control(sandbox)
await commands(sandbox)
await files(sandbox)
await watching(sandbox)
await terminal(sandbox)
if (mode === "cloud") {
  await addresses(sandbox)
  await endings(sandbox)
}
console.log(JSON.stringify(steps))
process.exit(0)
