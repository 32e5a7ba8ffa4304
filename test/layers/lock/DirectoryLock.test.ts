import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Worker } from "node:worker_threads"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { MemoryDisk } from "../../../src/layers/disk/MemoryDisk.ts"
import { acquire, lockName, lockOwnerName } from "../../../src/layers/lock/DirectoryLock.ts"
import { acquireOn, steal } from "../../../src/layers/lock/ObjectLock.ts"
import { withoutSqliteWarning } from "../../../src/layers/lock/withoutSqliteWarning.ts"
import { LockFailure } from "../../../src/services/DirectoryLock.ts"

const lockModule = new URL("../../../src/layers/lock/DirectoryLock.ts", import.meta.url).href

/** Takes the lock of `directory` and reports "held" or the failure; holds it until the end of the process or a line on its input. */
const holder = (directory: string, report: string): string => `
  const { acquire } = await import(${JSON.stringify(lockModule)})
  const report = ${report}
  try {
    globalThis.lock = acquire(${JSON.stringify(directory)})
    report("held")
  } catch (cause) {
    report(cause._tag + " " + cause.heldByPid)
  }
`

let root: string
const children: Array<ChildProcess> = []

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), "lightning-lock-"))
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exit = once(child, "exit")
    child.kill("SIGKILL")
    await exit
  }
  fs.rmSync(root, { recursive: true })
})

/** Starts another process that tries to take the lock; resolves with its process, its report and its warnings. */
const inProcess = async (directory: string) => {
  const code = `${holder(directory, "(text) => console.log(text)")}; process.stdin.resume(); process.stdin.on("end", () => process.exit())`
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["pipe", "pipe", "pipe"] })
  children.push(child)
  let warnings = ""
  child.stderr.on("data", (chunk: Buffer) => (warnings += chunk.toString()))
  const [report] = (await once(child.stdout, "data")) as [Buffer]
  return { child, report: report.toString().trim(), warnings: () => warnings }
}

const inWorker = async (directory: string): Promise<string> => {
  const code = `const { parentPort } = await import("node:worker_threads"); ${holder(directory, "(text) => parentPort.postMessage(text)")}`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`))
  const [report] = (await once(worker, "message")) as [string]
  await worker.terminate()
  return report
}

const failureOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (cause) {
    return cause
  }
  return undefined
}

describe("DirectoryLock", () => {
  it("refuses a second open in this process, naming the process", () => {
    const lock = acquire(root)
    expect(failureOf(() => acquire(root))).toMatchObject({ _tag: "LockFailure", path: root, heldByPid: process.pid })
    expect(failureOf(() => acquire(path.join(root, ".", "..", path.basename(root))))).toBeInstanceOf(LockFailure)
    lock.release()
    acquire(root).release()
  })

  it("refuses a second open through a link to the directory", () => {
    const link = `${root}-link`
    fs.symlinkSync(root, link)
    try {
      const lock = acquire(root)
      expect(failureOf(() => acquire(link))).toBeInstanceOf(LockFailure)
      lock.release()
    } finally {
      fs.unlinkSync(link)
    }
  })

  it("refuses a worker of this process, and is not freed by its trying", async () => {
    const lock = acquire(root)
    expect(await inWorker(root)).toBe(`LockFailure ${process.pid}`)
    expect((await inProcess(root)).report).toBe(`LockFailure ${process.pid}`)
    lock.release()
    expect(await inWorker(root)).toBe("held")
    // The worker has ended, and its lock with it.
    acquire(root).release()
  })

  it("refuses a second process, and is freed when the holder is killed", async () => {
    const first = await inProcess(root)
    expect(first.report).toBe("held")
    expect(failureOf(() => acquire(root))).toMatchObject({ heldByPid: first.child.pid })
    expect((await inProcess(root)).report).toBe(`LockFailure ${first.child.pid}`)
    const exit = once(first.child, "exit")
    first.child.kill("SIGKILL")
    await exit
    const lock = acquire(root)
    expect(lock.stillHeld()).toBe(true)
    lock.release()
  })

  it("is held while the holder is stopped", async () => {
    const first = await inProcess(root)
    first.child.kill("SIGSTOP")
    expect(failureOf(() => acquire(root))).toMatchObject({ heldByPid: first.child.pid })
  })

  it("prints no warning that SQLite is experimental, and lets other warnings pass", async () => {
    const first = await inProcess(root)
    const exit = once(first.child, "exit")
    first.child.stdin?.end()
    await exit
    expect(first.warnings()).toBe("")

    const code = `process.emitWarning("mine"); ${holder(root, "(text) => console.log(text)")}; process.emitWarning("after"); globalThis.lock.release()`
    const child = spawn(process.execPath, ["--input-type=module", "-e", code])
    let warnings = ""
    child.stderr.on("data", (chunk: Buffer) => (warnings += chunk.toString()))
    await once(child, "close")
    expect(warnings).toContain("Warning: mine")
    expect(warnings).toContain("Warning: after")
    expect(warnings).not.toContain("SQLite")
  })

  it("sees that its file was removed or replaced", () => {
    const lock = acquire(root)
    const file = path.join(root, lockName)
    fs.unlinkSync(file)
    expect(lock.stillHeld()).toBe(false)
    // Somebody else can now take the directory: that is what `stillHeld` is for.
    const other = acquire(root)
    expect(lock.stillHeld()).toBe(false)
    expect(other.stillHeld()).toBe(true)
    lock.release()
    expect(fs.existsSync(path.join(root, lockOwnerName))).toBe(true)
    expect(other.stillHeld()).toBe(true)
    expect(failureOf(() => acquire(root))).toBeInstanceOf(LockFailure)
    other.release()
  })

  it("leaves a note of its holder, believes no other, and needs none", async () => {
    const lock = acquire(root)
    const note = path.join(root, lockOwnerName)
    const [pid, host, startedAt] = fs.readFileSync(note, "utf8").split("\n")
    expect([pid, host]).toEqual([String(process.pid), os.hostname()])
    expect(Date.parse(startedAt!)).toBeLessThan(Date.now())
    lock.release()
    expect(fs.existsSync(note)).toBe(false)
    // A directory in its place: the note can be neither written nor read.
    fs.mkdirSync(note)
    const again = acquire(root)
    expect(again.stillHeld()).toBe(true)
    expect(failureOf(() => acquire(root))).toMatchObject({ heldByPid: process.pid })
    expect((await inProcess(root)).report).toBe("LockFailure undefined")
    again.release()
  })

  it("keeps LOCK an empty file", () => {
    const lock = acquire(root)
    expect(fs.readdirSync(root).sort()).toEqual([lockName, lockOwnerName])
    expect(fs.statSync(path.join(root, lockName)).size).toBe(0)
    lock.release()
    expect(fs.statSync(path.join(root, lockName)).size).toBe(0)
  })

  it("tells what prevents locking from somebody else's lock", () => {
    expect(failureOf(() => acquire(path.join(root, "missing")))).toMatchObject({ _tag: "IoFailure", operation: "lock", code: "ENOENT" })
    const notDatabase = path.join(root, "other")
    fs.mkdirSync(notDatabase)
    fs.writeFileSync(path.join(notDatabase, lockName), "something that is not an empty file ".repeat(20))
    expect(failureOf(() => acquire(notDatabase))).toMatchObject({ _tag: "IoFailure", code: "SQLITE_26" })
    const file = path.join(root, "file")
    fs.writeFileSync(file, "")
    expect(failureOf(() => acquire(file))).toMatchObject({ _tag: "IoFailure" })
    const loop = path.join(root, "loop")
    fs.mkdirSync(loop)
    fs.symlinkSync(lockName, path.join(loop, lockName))
    expect(failureOf(() => acquire(loop))).toMatchObject({ _tag: "IoFailure" })
  })
})

describe("withoutSqliteWarning", () => {
  it("drops that warning alone, and only while loading", () => {
    const passed: Array<string> = []
    const emitWarning = process.emitWarning
    process.emitWarning = (warning: string | Error) => void passed.push(String(warning))
    try {
      const load = (fails: boolean) => () => {
        process.emitWarning("SQLite is an experimental feature and might change at any time", "ExperimentalWarning")
        process.emitWarning("something else")
        process.emitWarning(new Error("an object"))
        if (fails) throw new Error("no such module")
        return 1
      }
      expect(withoutSqliteWarning(load(false))).toBe(1)
      expect(() => withoutSqliteWarning(load(true))).toThrow("no such module")
      process.emitWarning("SQLite is an experimental feature, later")
    } finally {
      process.emitWarning = emitWarning
    }
    expect(passed).toEqual(["something else", "Error: an object", "something else", "Error: an object", "SQLite is an experimental feature, later"])
  })
})

describe("ObjectLock", () => {
  it("is per disk and directory, however the path is written", () => {
    const [a, b] = [new MemoryDisk(), new MemoryDisk()]
    const lock = acquireOn(a, "/db")
    expect(failureOf(() => acquireOn(a, "db/./"))).toBeInstanceOf(LockFailure)
    acquireOn(a, "/other").release()
    acquireOn(b, "/db").release()
    lock.release()
  })

  it("can be stolen, which its holder sees", () => {
    const disk = new MemoryDisk()
    const lock = acquireOn(disk, "/db")
    steal(disk, "/db")
    expect(lock.stillHeld()).toBe(false)
    const thief = acquireOn(disk, "/db")
    lock.release()
    expect(thief.stillHeld()).toBe(true)
    thief.release()
  })
})
