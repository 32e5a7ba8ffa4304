/** Things that are no files where files should be, names that are no text, files that may not be read: a typed error that names them, no open that hangs, and nothing changed. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { crc32 } from "node:zlib"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { DatabaseShape } from "../../src/services/Database.ts"
import { type Holder, inProcess } from "../support/holder.ts"
import { openLayer, quickRoot } from "../support/openLayer.ts"

const root = fs.mkdtempSync(path.join(quickRoot, "lightning-paths-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let made = 0
const newPath = () => path.join(root, String(made++))
const holders: Array<Holder> = []
afterEach(async () => {
  for (const holder of holders.splice(0)) await holder.kill()
})

const layerAt = (directory: string, readOnly = false) =>
  LightningDb.layer({ path: directory, readOnly, compactionWorkers: 0, valueThresholdBytes: 64 })
const use = <A, E>(directory: string, run: (db: DatabaseShape) => Effect.Effect<A, E>, readOnly = false) =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(openLayer(layerAt(directory, readOnly)), run)))

/** Closed, with a file of each kind. */
const database = async () => {
  const directory = newPath()
  await use(directory, (db) =>
    Effect.gen(function* () {
      for (let i = 0; i < 50; i++) yield* db.put(`k${i}`, "v".repeat(i * 4), { durability: "buffered" })
      yield* db.flush
      yield* db.put("logged", "1")
    })
  )
  return directory
}
const contentOf = (directory: string) =>
  fs
    .readdirSync(directory)
    .filter((name) => !name.startsWith("LOCK"))
    .toSorted()
    .map((name) => {
      const file = path.join(directory, name)
      return `${name} ${fs.lstatSync(file).isFile() && (fs.statSync(file).mode & 0o400) !== 0 ? crc32(fs.readFileSync(file)) : fs.lstatSync(file).mode}`
    })
const kinds = ["CURRENT", ".manifest", ".log", ".table", ".values"] as const
const fileOfKind = (directory: string, kind: string) =>
  path.join(
    directory,
    fs.readdirSync(directory).find((name) => name.endsWith(kind))!
  )

/** What an open, and reading of everything, come to. */
const asked = async (directory: string, access = "write"): Promise<string> => {
  const exit = await Effect.runPromiseExit(
    Effect.scoped(Effect.flatMap(openLayer(layerAt(directory, access === "readOnly")), (db) => db.getMany(["k1", "k49", "logged"])))
  )
  if (Exit.isSuccess(exit)) return "read"
  const error = Cause.squash(exit.cause)
  return typeof error === "object" && error !== null && "_tag" in error ? `refused ${String(error._tag)} ${String(error)}` : `died: ${String(error)}`
}

/** The same in a process of its own, so that one that hangs is seen. */
const askedApart = async (directory: string, access = "write"): Promise<string> => {
  const holder = await inProcess(directory, access)
  holders.push(holder)
  if (!holder.opened.startsWith("open")) return holder.opened
  const answers = [await holder.tell("get k1"), await holder.tell("get k49"), await holder.tell("get logged")]
  await holder.close()
  return answers.find((answer) => !answer.startsWith("value")) ?? "read"
}

describe("what is no file", () => {
  const things: ReadonlyArray<readonly [string, (file: string) => void]> = [
    ["a pipe", (file) => expect(spawnSync("mkfifo", [file]).status).toBe(0)],
    ["a link to itself", (file) => fs.symlinkSync(path.basename(file), file)],
    ["a link to nothing", (file) => fs.symlinkSync("nothing", file)],
    ["a directory", (file) => fs.mkdirSync(file)],
    ["a link to a device that never ends", (file) => fs.symlinkSync("/dev/zero", file)]
  ]
  it.each(things)(
    "%s in place of each file: refused by name, and nothing is changed",
    async (name, make) => {
      const directory = await database()
      for (const kind of kinds) {
        const file = fileOfKind(directory, kind)
        const aside = newPath()
        fs.renameSync(file, aside)
        make(file)
        const before = contentOf(directory)
        for (const access of ["write", "readOnly"]) {
          const said = await (name === "a pipe" && kind === "CURRENT" ? askedApart : asked)(directory, access)
          expect(said, `${kind} ${access}`).toMatch(/^refused (CorruptFile|DiskError|PathIsFile|NotADatabase) /)
          if (!said.startsWith("refused NotADatabase")) expect(said, `${kind} ${access}`).toContain(path.basename(file))
        }
        expect(contentOf(directory)).toEqual(before)
        fs.rmSync(file, { recursive: true })
        fs.renameSync(aside, file)
      }
      expect(await asked(directory)).toBe("read")
    },
    120_000
  )

  it.each(things.slice(0, 4))(
    "%s in place of LOCK or its note: refused by name, or taken all the same; it never hangs",
    async (name, make) => {
      const ask = name === "a pipe" ? askedApart : asked
      const directory = await database()
      const lock = path.join(directory, "LOCK")
      fs.rmSync(lock)
      make(lock)
      expect(await ask(directory)).toMatch(/^(read$|refused (DiskError|PermissionDenied) )/)
      fs.rmSync(lock, { recursive: true, force: true })
      const note = path.join(directory, "LOCK.owner")
      make(note)
      expect(await ask(directory)).toBe("read")
      fs.rmSync(note, { recursive: true, force: true })
      expect(await asked(directory)).toBe("read")
    },
    120_000
  )

  it("LOCK and its note with anything in them: bits of them mean nothing to what is read", async () => {
    const directory = await database()
    for (const text of ["", "12345\nhost\nwhen\n", "not a number", "\0".repeat(100)]) {
      fs.writeFileSync(path.join(directory, "LOCK.owner"), text)
      expect(await use(directory, (db) => db.getText("logged"))).toBe("1")
    }
  })
})

describe("names that are not ours", () => {
  it("names that are no text, and names like ours: the database opens, and leaves them where they are", async () => {
    const directory = await database()
    const names = [
      Buffer.from([0xff, 0xfe, 0x2e, 0x6c, 0x6f, 0x67]),
      Buffer.from("1.log"),
      Buffer.from("000001.LOG"),
      Buffer.from("000001.log.bak"),
      Buffer.from(" 000001.log"),
      Buffer.from("０００００１.log"),
      Buffer.from("99999999999999999999.table"),
      Buffer.from("notes.txt")
    ]
    for (const name of names) fs.writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), "mine")
    for (const readOnly of [false, true]) expect(await use(directory, (db) => db.getText("logged"), readOnly)).toBe("1")
    for (const name of names) expect(fs.readFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), "utf8"), name.toString()).toBe("mine")
    // The path of the database itself: any that is text.
    const odd = path.join(root, "ünï cödé '\" $(x) \n 漢字")
    await use(odd, (db) => db.put("a", "1"))
    expect(await use(odd, (db) => db.getText("a"))).toBe("1")
    const long = path.join(root, "x".repeat(300))
    expect(await Effect.runPromise(Effect.flip(Effect.scoped(openLayer(layerAt(long)))))).toMatchObject({ _tag: "DiskError", code: "ENAMETOOLONG" })
    const loop = newPath()
    fs.symlinkSync(path.basename(loop), loop)
    expect(await Effect.runPromise(Effect.flip(Effect.scoped(openLayer(layerAt(loop)))))).toMatchObject({ _tag: "DiskError", code: "ELOOP" })
  })

  it("files of ours beyond what is reserved are refused, and not removed", async () => {
    const directory = await database()
    const file = path.join(directory, "900000.table")
    fs.writeFileSync(file, "whose?")
    expect(await asked(directory)).toContain("refused CorruptFile")
    expect(fs.readFileSync(file, "utf8")).toBe("whose?")
    fs.rmSync(file)
    expect(await asked(directory)).toBe("read")
  })
})

describe("files that may not be read", () => {
  const isRoot = process.getuid?.() === 0
  it(`each kind (${isRoot ? "as root, who may read all: only that it opens" : "as this user"})`, async () => {
    const directory = await database()
    for (const kind of kinds) {
      const file = fileOfKind(directory, kind)
      const { mode } = fs.statSync(file)
      fs.chmodSync(file, 0)
      const said = await asked(directory)
      if (isRoot) expect(said).toBe("read")
      else {
        expect(said, kind).toContain("refused PermissionDenied")
        expect(said, kind).toContain(path.basename(file))
      }
      if (fs.existsSync(file)) fs.chmodSync(file, mode)
    }
    for (const name of fs.readdirSync(directory)) fs.chmodSync(path.join(directory, name), 0o644)
    expect(await asked(directory)).toBe("read")
  }, 60_000)
})

describe("wrong types", () => {
  it("of everything that maintains: a typed error each time, and the database goes on", async () => {
    const directory = await database()
    await use(directory, (db) =>
      Effect.gen(function* () {
        const bad: ReadonlyArray<unknown> = [
          undefined,
          null,
          0,
          -1,
          1.5,
          Number.NaN,
          Infinity,
          "",
          "x",
          true,
          [],
          {},
          Symbol("s"),
          () => 1,
          new Uint8Array(1),
          new Date(Number.NaN)
        ]
        const calls: ReadonlyArray<readonly [string, (value: never) => Effect.Effect<unknown, unknown>]> = [
          ["compact", (value) => db.compact(value)],
          ["compact options", (value) => db.compact({}, value)],
          ["checkpoint", (value) => (typeof value === "string" && value !== "" ? Effect.void : db.checkpoint(value))],
          ["verifyAll", (value) => db.verifyAll(value)],
          ["keyspace", (value) => (value === "x" ? Effect.void : db.keyspace(value))],
          ["keyspace options", (value) => db.keyspace("ks", value)],
          ["dropKeyspace", (value) => db.dropKeyspace(value)],
          ["createCursor", (value) => (value === "x" ? Effect.void : db.createCursor(value))],
          ["createCursor next", (value) => db.createCursor("c", value)],
          ["advanceCursor", (value) => db.advanceCursor(value, 1)],
          ["advanceCursor next", (value) => db.advanceCursor("c", value)],
          ["dropCursor", (value) => db.dropCursor(value)],
          [
            "changes",
            (value) =>
              Stream.runDrain(db.changes(typeof value === "object" && value !== null ? { live: false, ...(value as object) } : value)).pipe(
                Effect.timeout("2 seconds")
              )
          ],
          ["changes from", (value) => Stream.runDrain(db.changes({ from: value, live: false }))],
          ["at", (value) => Effect.scoped(db.at(value))],
          ["history", (value) => Stream.runDrain(db.history(value))],
          ["history options", (value) => Stream.runDrain(db.history("k1", value))],
          ["watch", (value) => Stream.runDrain(Stream.take(db.watch(value), 1)).pipe(Effect.timeout("2 seconds"))],
          ["estimate", (value) => db.estimate(value)]
        ]
        let refused = 0
        for (const [name, call] of calls) {
          for (const value of bad) {
            if (name === "changes" && (value === undefined || (typeof value === "object" && value !== null && Object.keys(value).length === 0)))
              continue
            const exit = yield* Effect.exit(Effect.suspend(() => call(value as never)))
            if (exit._tag === "Success") continue
            const reason = exit.cause.reasons[0]!
            if (reason._tag !== "Fail")
              throw new Error(`${name} with ${String(value)}: ${String(reason._tag === "Die" ? reason.defect : reason._tag)}`)
            expect(reason.error, name).toMatchObject({ _tag: expect.stringMatching(/^[A-Z]/) })
            const message = reason.error instanceof Error ? reason.error.message : ""
            expect(message, `${name} with ${String(value)}`).not.toMatch(/is not a function|Cannot read|undefined bytes/)
            refused++
          }
        }
        expect(refused).toBeGreaterThan(calls.length * 5)
        expect((yield* db.health).state).toBe("healthy")
        expect(yield* db.getText("logged")).toBe("1")
        yield* db.verify
      })
    )
  }, 60_000)
})
