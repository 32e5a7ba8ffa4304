/** Paths and directories that are not what they should be: a typed error that names what is wrong, nothing made, nothing changed, nothing lost. */
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as url from "node:url"
import { crc32 } from "node:zlib"
import * as LightningDb from "../../src/runtime/LightningDb.ts"
import type { Database } from "../../src/services/Database.ts"
import type * as Layer from "effect/Layer"
import { scanned } from "../contracts/database/fixture.ts"
import { openLayer, quickRoot } from "../support/openLayer.ts"

const root = fs.mkdtempSync(path.join(quickRoot, "lightning-bad-"))
afterAll(() => fs.rmSync(root, { recursive: true, force: true }))
let made = 0
const newPath = () => path.join(root, String(made++))

const layerAt = (directory: string, options: Partial<LightningDb.Options> = {}) =>
  LightningDb.layer({ path: directory, compactionWorkers: 0, blockBytes: 512, memtableBytes: 65_536, ...options })
const open = <E>(layer: Layer.Layer<Database, E>) => openLayer(layer)
const refusal = <E>(layer: Layer.Layer<Database, E>) => Effect.flip(Effect.scoped(open(layer)))

/** Name and content of every file, as one string: the same before and after, or somebody wrote. */
const contentOf = (directory: string): ReadonlyArray<string> =>
  fs
    .readdirSync(directory)
    .toSorted()
    .map((name) => `${name} ${crc32(fs.readFileSync(path.join(directory, name)))}`)
const openFiles = () =>
  fs
    .readdirSync("/proc/self/fd")
    .flatMap((fd) => {
      try {
        return [fs.readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        return []
      }
    })
    .filter((file) => file.startsWith(root))

/** A database with tables, a value file, a sealed log and, where asked, a log that was never closed. */
const database = (unclosed = false) =>
  Effect.gen(function* () {
    const directory = newPath()
    yield* Effect.scoped(
      Effect.gen(function* () {
        const db = yield* open(layerAt(directory))
        yield* db.keyspace("orders")
        yield* db.write(
          Array.from({ length: 200 }, (_, i) => ({
            type: "put" as const,
            key: `k${String(i).padStart(3, "0")}`,
            value: i % 20 === 0 ? randomBytes(1000).toString("hex") : `v${i}`
          }))
        )
        yield* db.flush
        yield* db.put("logged", "1")
        if (!unclosed) return
        // As it looks to a process that starts after a kill.
        yield* Effect.sync(() =>
          fs.cpSync(directory, `${directory}-live`, { recursive: true, filter: (file) => !path.basename(file).startsWith("LOCK") })
        )
      })
    )
    return unclosed ? `${directory}-live` : directory
  })

/** The largest file of its kind: the one that holds something. */
const find = (directory: string, extension: string) =>
  fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(extension))
    .map((name) => path.join(directory, name))
    .toSorted((a, b) => fs.statSync(b).size - fs.statSync(a).size)[0]!

/** Changes the file, has `look` see what that does, restores it, and demands that all is as it was. */
const damaged = (directory: string, file: string, change: (bytes: Buffer) => Buffer | undefined, look: Effect.Effect<void, unknown>) =>
  Effect.gen(function* () {
    const good = fs.readFileSync(file)
    const bad = change(Buffer.from(good))
    if (bad === undefined) fs.rmSync(file)
    else fs.writeFileSync(file, bad)
    yield* look
    fs.writeFileSync(file, good)
    yield* Effect.scoped(
      Effect.gen(function* () {
        const db = yield* open(layerAt(directory))
        expect(yield* scanned(db)).toHaveLength(201)
        yield* db.verify
      })
    )
    expect(openFiles()).toEqual([])
  })

const flipped = (offset: number) => (bytes: Buffer) => {
  bytes[offset < 0 ? bytes.length + offset : offset]! ^= 0x40
  return bytes
}

describe("paths", () => {
  it.effect("options: all problems at once, unknown ones with what was meant", () =>
    Effect.gen(function* () {
      const bad: object = { path: "", memtableByte: 1, blockBytes: 3, durability: "fsync", cacheBytes: -1, compression: "zip", snapshotLease: "soon" }
      const error = yield* refusal(LightningDb.layer(bad as LightningDb.Options))
      expect(error).toMatchObject({ _tag: "InvalidOptions" })
      for (const words of [
        "path must be",
        "did you mean memtableBytes?",
        "blockBytes must be",
        "durability must be one of",
        "cacheBytes must be",
        "compression must be",
        "snapshotLease must be"
      ]) {
        expect(error.message).toContain(words)
      }
      for (const none of [undefined, null, 7, "./data", []])
        expect(yield* refusal(LightningDb.layer(none as never))).toMatchObject({ _tag: "InvalidOptions" })
      expect(yield* refusal(LightningDb.layer({ path: "a\0b" }))).toMatchObject({ _tag: "InvalidOptions" })
    })
  )

  it.effect("a file, and a path below a file", () =>
    Effect.gen(function* () {
      const file = newPath()
      fs.writeFileSync(file, "somebody's")
      expect(yield* refusal(layerAt(file))).toMatchObject({ _tag: "PathIsFile", path: file })
      expect(yield* refusal(layerAt(path.join(file, "db")))).toMatchObject({ _tag: "DiskError", code: "ENOTDIR" })
      expect(fs.readFileSync(file, "utf8")).toBe("somebody's")
    })
  )

  it.effect("a directory that is no database: nothing is made in it", () =>
    Effect.gen(function* () {
      const directory = newPath()
      fs.mkdirSync(directory)
      fs.writeFileSync(path.join(directory, "thesis.txt"), "years of work")
      const before = contentOf(directory)
      const error = yield* refusal(layerAt(directory))
      expect(error).toMatchObject({ _tag: "NotADatabase", path: directory })
      expect(error.message).toContain("thesis.txt")
      expect(contentOf(directory)).toEqual(before)
      // Missing parents are made; an empty directory is taken.
      const nested = path.join(newPath(), "a", "b")
      yield* Effect.scoped(Effect.flatMap(open(layerAt(nested)), (db) => db.put("k", "v")))
      const empty = newPath()
      fs.mkdirSync(empty)
      yield* Effect.scoped(Effect.flatMap(open(layerAt(empty)), (db) => db.put("k", "v")))
    })
  )

  it.effect("a directory that is open already", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open(layerAt(directory))
          expect(yield* refusal(layerAt(directory))).toMatchObject({ _tag: "DatabaseLocked", pid: process.pid })
          const alias = newPath()
          fs.symlinkSync(directory, alias)
          expect(yield* refusal(layerAt(alias))).toMatchObject({ _tag: "DatabaseLocked" })
          yield* db.put("k", "v")
        })
      )
      expect(openFiles()).toEqual([])
    })
  )

  // Whoever may do everything is refused nothing: root tries it as somebody else.
  const isRoot = process.getuid?.() === 0
  it.effect(`without permission (${isRoot ? "as another user: root is refused nothing" : "as this user"})`, () =>
    Effect.gen(function* () {
      fs.chmodSync(root, 0o755)
      const parent = newPath()
      fs.mkdirSync(parent, { mode: 0o555 })
      const [directory, unwritable] = [yield* database(), yield* database()]
      const before = [contentOf(directory), contentOf(unwritable)]
      fs.chmodSync(directory, 0o000)
      fs.chmodSync(unwritable, 0o555)
      const paths = [path.join(parent, "db"), directory, unwritable]
      const child = spawnSync(
        process.execPath,
        [url.fileURLToPath(new URL("./permission-child.ts", import.meta.url)), isRoot ? "65534" : "", ...paths],
        { encoding: "utf8" }
      )
      for (const one of [directory, unwritable, parent]) fs.chmodSync(one, 0o755)
      expect(child.stderr).toBe("")
      const answers: ReadonlyArray<{ readonly message: string }> = JSON.parse(child.stdout)
      expect(answers).toHaveLength(3)
      for (const [i, answer] of answers.entries()) {
        expect(answer).toMatchObject({ _tag: "PermissionDenied", code: "EACCES" })
        expect(answer.message).toContain(paths[i])
      }
      expect(fs.readdirSync(parent)).toEqual([])
      expect([contentOf(directory), contentOf(unwritable)]).toEqual(before)
      yield* Effect.scoped(Effect.flatMap(open(layerAt(directory)), (db) => Effect.map(scanned(db), (all) => expect(all).toHaveLength(201))))
    })
  )
})

describe("another format", () => {
  /** Sets the version, and the checksum as if a newer writer had: 4 bytes at `sumAt` over [from, to). */
  const newer = (at: number, sumAt: number, from: number, to: number) => (bytes: Buffer) => {
    bytes.writeUInt16LE(7, at)
    bytes.writeUInt32LE(crc32(bytes.subarray(from, to)), sumAt)
    return bytes
  }

  it.effect("of the manifest: refused by name, nothing changed", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      // The version; then a feature that a reader must know.
      for (const at of [12, 28]) {
        yield* damaged(
          directory,
          find(directory, ".manifest"),
          newer(at, 8, 12, 4096),
          Effect.gen(function* () {
            const before = contentOf(directory)
            const error = yield* refusal(layerAt(directory))
            expect(error).toMatchObject({ _tag: "UnsupportedFormat", supported: "format 1" })
            expect(error.message).toContain("7")
            expect(contentOf(directory).filter((one) => !one.startsWith("LOCK"))).toEqual(before.filter((one) => !one.startsWith("LOCK")))
          })
        )
      }
    })
  )

  it.effect("of a table or value file: the read that meets it says so, the others go on", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      for (const extension of [".table", ".values"]) {
        const length = fs.statSync(find(directory, extension)).size
        yield* damaged(
          directory,
          find(directory, extension),
          (bytes) => {
            newer(8, 60, 0, 60)(bytes)
            return newer(length - 96 + 8, length - 4, length - 96, length - 4)(bytes)
          },
          Effect.scoped(
            Effect.gen(function* () {
              const db = yield* open(layerAt(directory))
              expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "UnsupportedFormat", supported: "format 1" })
              expect(yield* db.getText("logged")).toBe("1")
              yield* db.put("works", "still")
              yield* db.delete("works")
            })
          )
        )
      }
    })
  )
})

describe("damage is named with file and offset", () => {
  it.effect("in a table: that read fails, the others go on, and writing goes on", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      const file = find(directory, ".table")
      yield* damaged(
        directory,
        file,
        flipped(700),
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* open(layerAt(directory))
            const answers = yield* Effect.forEach(
              Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, "0")}`),
              (key) => Effect.result(db.get(key))
            )
            const failed = answers.filter((answer) => answer._tag === "Failure")
            expect(failed.length).toBeGreaterThan(0)
            expect(failed.length).toBeLessThan(150)
            for (const { failure } of failed) {
              expect(failure).toMatchObject({ _tag: "CorruptFile", file, reason: "ChecksumMismatch" })
              if (failure._tag === "CorruptFile") expect(failure.offsetBytes).toBeLessThanOrEqual(700)
            }
            expect(yield* Effect.flip(scanned(db))).toMatchObject({ _tag: "CorruptFile", file })
            expect(() => [...db.unsafe.entries()]).toThrow(file)
            expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "CorruptFile", file })
            expect((yield* db.stats).snapshots.open).toBe(0)
            yield* db.put("works", "still")
            yield* db.delete("works")
          })
        )
      )
    })
  )

  it.effect("in a value file", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      const file = find(directory, ".values")
      yield* damaged(
        directory,
        file,
        flipped(500),
        Effect.scoped(
          Effect.gen(function* () {
            const db = yield* open(layerAt(directory))
            expect(yield* Effect.flip(db.get("k000"))).toMatchObject({ _tag: "CorruptFile", file })
            expect(yield* db.getText("k001")).toBe("v1")
            expect(yield* Effect.flip(db.verify)).toMatchObject({ _tag: "CorruptFile", file })
          })
        )
      )
    })
  )

  it.effect("in CURRENT, the manifest, the log: the open fails and changes nothing", () =>
    Effect.gen(function* () {
      const directory = yield* database()
      const changes: ReadonlyArray<readonly [string, (bytes: Buffer) => Buffer | undefined, object]> = [
        ["CURRENT", flipped(3), { _tag: "CorruptFile" }],
        ["CURRENT", () => Buffer.alloc(0), { _tag: "CorruptFile", reason: "Truncated", offsetBytes: 0 }],
        ["CURRENT", () => undefined, { _tag: "CorruptFile", reason: "Missing" }],
        [".manifest", flipped(0), { _tag: "CorruptFile", reason: "BadMagic", offsetBytes: 0 }],
        [".manifest", flipped(40), { _tag: "CorruptFile", reason: "ChecksumMismatch", offsetBytes: 0 }],
        [".manifest", flipped(4096 + 30), { _tag: "CorruptFile", offsetBytes: 4096 }],
        [".manifest", () => undefined, { _tag: "CorruptFile", reason: "Missing" }],
        [".manifest", () => Buffer.alloc(0), { _tag: "CorruptFile", reason: "Truncated" }],
        [".log", flipped(0), { _tag: "CorruptFile", offsetBytes: 0 }],
        [".log", flipped(4096 + 20), { _tag: "CorruptFile", offsetBytes: 4096 }],
        [".log", (bytes) => bytes.subarray(0, bytes.length - 3), { _tag: "CorruptFile" }],
        [".log", () => undefined, { _tag: "CorruptFile", reason: "Missing" }],
        [".table", () => undefined, { _tag: "CorruptFile", reason: "Missing" }],
        [".table", (bytes) => bytes.subarray(0, bytes.length - 1), { _tag: "CorruptFile", reason: "Truncated" }],
        [".values", () => undefined, { _tag: "CorruptFile", reason: "Missing" }]
      ]
      for (const [name, change, expected] of changes) {
        // Each open makes new files.
        const file = name === "CURRENT" ? path.join(directory, name) : find(directory, name)
        yield* damaged(
          directory,
          file,
          change,
          Effect.gen(function* () {
            const before = contentOf(directory)
            const error = yield* refusal(layerAt(directory))
            expect(error, `${name} ${change}`).toMatchObject(expected)
            expect(error.message).toContain(path.basename(file) === "CURRENT" ? directory : path.basename(file))
            expect(error.message).toContain("restore")
            expect(contentOf(directory).filter((one) => !one.startsWith("LOCK"))).toEqual(before.filter((one) => !one.startsWith("LOCK")))
          })
        )
      }
    })
  )

  it.effect("after a kill the torn end of the log is cut, and said so in the stats", () =>
    Effect.gen(function* () {
      const directory = yield* database(true)
      const file = find(directory, ".log")
      fs.appendFileSync(file, Buffer.alloc(1000, 0x5a))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const db = yield* open(layerAt(directory))
          expect(yield* scanned(db)).toHaveLength(201)
          const { recovery } = yield* db.stats
          expect(recovery.replayedTransactions).toBeGreaterThan(0)
          expect(recovery.cutBytes).toBeGreaterThan(0)
        })
      )
    })
  )
})
