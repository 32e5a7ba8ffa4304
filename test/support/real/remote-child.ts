/**
 * A process with a database in it, told what to do by lines of JSON on standard input, one answer each: the tests of the real system let it run where disks are full, files few and
 * memory short, and do to it from outside what an administrator may.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { flushCompileCache } from "node:module"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { layer } from "../../../src/runtime/LightningDb.ts"
import { Database, type DatabaseShape } from "../../../src/services/Database.ts"
import { type Answer, type Command, keyAt, type Told, valueAt } from "./remote.ts"

let scope: Scope.Closeable | undefined
let db: DatabaseShape | undefined

const toldOf = (cause: Cause.Cause<unknown>): Told => {
  const typed = Cause.findErrorOption(cause)
  if (typed._tag === "None") return { tag: "Defect", message: Cause.pretty(cause), fields: {} }
  const error: unknown = typed.value
  if (!(error instanceof Error) || !("_tag" in error)) return { tag: "Untyped", message: String(error), fields: {} }
  const fields = Object.fromEntries(Object.entries(error).filter(([, value]) => typeof value === "string" || typeof value === "number"))
  return { tag: String(error._tag), message: error.message, fields }
}

const close = Effect.suspend(() => {
  const closing = scope
  scope = db = undefined
  return closing === undefined ? Effect.void : Scope.close(closing, Exit.void)
})

const opened = (): DatabaseShape => {
  if (db === undefined) throw new Error("no database is open")
  return db
}

const perform = (command: Command): Effect.Effect<unknown, unknown> => {
  switch (command.op) {
    case "open":
      return Effect.gen(function* () {
        scope = yield* Scope.make()
        db = Context.get(yield* Layer.build(Layer.fresh(layer(command.options))).pipe(Scope.provide(scope)), Database)
      }).pipe(Effect.onError(() => close))
    case "close":
      return close
    case "fill": {
      const { bytes, count, from, random, together = 1, until } = command
      const durability = command.durability ?? "sync"
      return Effect.gen(function* () {
        const startedMs = performance.now()
        let written = 0
        while (written < count) {
          const operations = Array.from({ length: Math.min(together, count - written) }, (_, i) => ({
            type: "put" as const,
            key: keyAt(command.prefix, from + written + i),
            value: valueAt(from + written + i, bytes, random === true)
          }))
          const exit = yield* Effect.exit(opened().write(operations, { durability }))
          if (Exit.isFailure(exit)) return { written, stopped: toldOf(exit.cause) }
          written += operations.length
          if (until !== undefined && performance.now() - startedMs > until.ms) break
        }
        return { written, stopped: undefined }
      })
    }
    case "check": {
      const { bytes, count, from, random, step = 1 } = command
      return Effect.gen(function* () {
        const wrong: Array<string> = []
        const missing: Array<number> = []
        const failed = new Map<string, Told>()
        for (let n = 0; n < count; n++) {
          // Any order but the written one; `step` has no factor in common with `count`.
          const i = from + ((n * step) % count)
          const exit = yield* Effect.exit(opened().get(keyAt(command.prefix, i)))
          if (Exit.isFailure(exit)) {
            const told = toldOf(exit.cause)
            failed.set(told.tag, told)
          } else if (exit.value === undefined) missing.push(i)
          else if (Buffer.compare(exit.value, valueAt(i, bytes, random === true)) !== 0) wrong.push(keyAt(command.prefix, i))
        }
        return { wrong, missing: missing.length, firstMissing: missing[0], failed: [...failed.values()] }
      })
    }
    case "scan":
      return Stream.runFold(
        opened().scan(),
        () => ({ entries: 0, bytes: 0 }),
        (sum, { key, value }) => ({ entries: sum.entries + 1, bytes: sum.bytes + key.length + value.length })
      )
    case "deletePrefix":
      return opened().write([{ type: "deleteRange", prefix: command.prefix }])
    case "flush":
      return opened().flush
    case "compact":
      return opened().compact()
    case "health":
      return opened().health
    case "stats":
      return opened().stats
    case "verify":
      return opened().verify
    case "run":
      return Effect.sync(() => execFileSync(command.argv[0]!, command.argv.slice(1), { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }))
    case "process":
      return Effect.sync(() => {
        const status = readFileSync("/proc/self/status", "utf8")
        const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? "0")
        const memory = process.memoryUsage()
        return {
          peakBytes: kilobytes("VmHWM") * 1024,
          residentBytes: kilobytes("VmRSS") * 1024,
          heapBytes: memory.heapUsed,
          heapHeldBytes: memory.heapTotal,
          outsideHeapBytes: memory.external,
          descriptors: readdirSync("/proc/self/fd").length
        }
      })
  }
}

const answer = (of: Answer): void => {
  process.stdout.write(`${JSON.stringify(of)}\n`)
}

// What is compiled is kept at exit, and killed processes have none.
flushCompileCache()
answer({ ok: "loaded" })
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as Command
  const exit = await Effect.runPromiseExit(
    // Standard output is for answers.
    Effect.suspend(() => perform(command)).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  )
  answer(Exit.isSuccess(exit) ? { ok: exit.value ?? null } : { error: toldOf(exit.cause) })
}
await Effect.runPromise(close)
