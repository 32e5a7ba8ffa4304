/**
 * Lines of JavaScript, with the database in scope as `db`: the Promise façade over the open database. They run in this process's own realm (a Uint8Array made here is one to the
 * engine too); names that are declared stay from line to line.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { inspect } from "node:util"
import * as vm from "node:vm"
import { Database, type DatabaseShape } from "../../../services/Database.ts"
import type { PlainDatabase } from "../../plain/PlainDatabase.ts"
import { isUnfinished } from "./unfinished.ts"

/** What an iterator shows of itself. */
export const itemsMax = 100

export interface JavaScript {
  /** Whether more lines are needed before this can run. */
  readonly isUnfinished: (code: string) => boolean
  /** Runs the code and answers its value, awaited. Fails with what it throws. `cooked` runs what may block, with Ctrl-C as a signal. */
  readonly run: (code: string) => Effect.Effect<unknown, unknown>
  /** Names that may follow what is typed, each in full from the beginning of the last chain: "db.getText". */
  readonly complete: (line: string) => readonly [candidates: ReadonlyArray<string>, typed: string]
  readonly dispose: () => Promise<void>
}

export interface JavaScriptOptions {
  readonly db: DatabaseShape
  /** `db.close()` ends the shell: it is the shell's database. */
  readonly onClose: () => void
  /** Runs synchronous code so that Ctrl-C reaches it. */
  readonly blocking: <A>(run: () => A) => A
}

const declaration = /^\s*(?:const|let|var)\s+([A-Za-z_$][\w$]*|\[[^=]*\]|\{[^=]*\})\s*=([^=>][\s\S]*)$/

const compile = (code: string): vm.Script =>
  new vm.Script(code, { filename: "shell", importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER })

const compiles = (code: string): vm.Script | undefined => {
  try {
    return compile(code)
  } catch {
    return undefined
  }
}

/**
 * Code as a script. `await` is not part of scripts: what has it is tried as an expression, then as a declaration (whose names stay, as those of a script do), then as statements,
 * which have no value.
 */
const awaiting = (code: string): vm.Script | undefined => {
  const trimmed = code.trim().replace(/;+$/, "")
  const [, names, value] = declaration.exec(trimmed) ?? []
  return (
    compiles(`(async () => (${trimmed}\n))()`) ??
    (names === undefined ? undefined : compiles(`(async () => { void (${names} = ${value}\n) })()`)) ??
    compiles(`(async () => { ${code}\n })()`)
  )
}

const plain = (code: string): vm.Script | undefined => {
  const trimmed = code.trim().replace(/;+$/, "")
  // An object literal at the beginning of a line would be a block.
  return (trimmed.startsWith("{") ? compiles(`(${trimmed}\n)`) : undefined) ?? compiles(code)
}

const scriptOf = (code: string): vm.Script => {
  const awaits = /\bawait\b/.test(code)
  // To a script `await (x)` is a call. An `await` that belongs to a function of its own needs no help.
  const first = awaits && !/\basync\b/.test(code) ? awaiting(code) : undefined
  return first ?? plain(code) ?? (awaits ? awaiting(code) : undefined) ?? compile(code)
}

const isObject = (value: unknown): value is object => (typeof value === "object" && value !== null) || typeof value === "function"

const isAsyncIterator = (value: unknown): value is AsyncIterableIterator<unknown> =>
  isObject(value) && Symbol.asyncIterator in value && "next" in value && typeof value.next === "function"

/** An iterator of the database is walked: its first items are what one wants to see of it. Interrupting ends it, with what it holds. */
const walked = (iterator: AsyncIterableIterator<unknown>): Effect.Effect<unknown, unknown> =>
  Effect.callback((resume) => {
    const items: Array<unknown> = []
    const collect = async (): Promise<Array<unknown>> => {
      for await (const item of iterator) {
        items.push(item)
        if (items.length >= itemsMax) break
      }
      return items
    }
    collect().then(
      (all) => resume(Effect.succeed(all)),
      (error: unknown) => resume(Effect.fail(error))
    )
    return Effect.promise(async () => void (await iterator.return?.()))
  })

const settled = (value: unknown): Effect.Effect<unknown, unknown> =>
  Effect.flatMap(
    Effect.callback<unknown, unknown>((resume) => {
      Promise.resolve(value).then(
        (result) => resume(Effect.succeed(result)),
        (error: unknown) => resume(Effect.fail(error))
      )
    }),
    (result) => (isAsyncIterator(result) ? walked(result) : Effect.succeed(result))
  )

/** Ctrl-C in code that blocks. */
const isStopped = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_INTERRUPTED"

/** The chain of names at the end of a line, without calls: what can be looked up without running anything. */
const chain = /(?:[A-Za-z_$][\w$]*\.)*[A-Za-z_$][\w$]*\.?$|^$/

const memberNames = (value: unknown): Set<string> => {
  const names = new Set<string>()
  for (let object: unknown = value; isObject(object) && object !== Object.prototype; object = Object.getPrototypeOf(object)) {
    for (const name of Object.getOwnPropertyNames(object)) if (/^[A-Za-z_$][\w$]*$/.test(name)) names.add(name)
  }
  return names
}

/** The value of a property that is no getter. */
const lookUp = (object: unknown, name: string): unknown => {
  for (let at: unknown = object; isObject(at); at = Object.getPrototypeOf(at)) {
    const descriptor = Object.getOwnPropertyDescriptor(at, name)
    if (descriptor !== undefined) return descriptor.value
  }
  return undefined
}

export const makeJavaScript = async ({ blocking, db, onClose }: JavaScriptOptions): Promise<JavaScript> => {
  const { openPlain } = await import("../../plain/PlainDatabase.ts")
  const opened = await openPlain(Layer.succeed(Database)(db))
  const shown: PlainDatabase = { ...opened, close: async () => onClose() }
  const before = new Map<string, PropertyDescriptor | undefined>()
  const define = (name: string, value: unknown): void => {
    if (!before.has(name)) before.set(name, Object.getOwnPropertyDescriptor(globalThis, name))
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true, enumerable: false })
  }
  define("db", shown)
  define("_", undefined)
  return {
    isUnfinished,
    run: (code) =>
      Effect.tap(
        Effect.suspend(() => {
          try {
            const script = scriptOf(code)
            return settled(blocking((): unknown => script.runInThisContext({ breakOnSigint: true, displayErrors: false })))
          } catch (error) {
            return isStopped(error) ? Effect.interrupt : Effect.fail(error)
          }
        }),
        (value) => Effect.sync(() => value !== undefined && define("_", value))
      ),
    complete: (line) => {
      const typed = chain.exec(line)?.[0] ?? ""
      const names = typed.split(".")
      const last = names.pop() ?? ""
      let object: unknown = globalThis
      for (const name of names) object = lookUp(object, name)
      const base = names.map((name) => `${name}.`).join("")
      return [
        [...memberNames(object)]
          .filter((name) => name.startsWith(last))
          .toSorted()
          .map((name) => base + name),
        typed
      ]
    },
    dispose: async () => {
      for (const [name, descriptor] of before) {
        if (descriptor === undefined) Reflect.deleteProperty(globalThis, name)
        else Object.defineProperty(globalThis, name, descriptor)
      }
      await opened.close()
    }
  }
}

/** Direction marks and line separators, which `inspect` leaves as they are. */
const marks = /[\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** A value as Node shows it, and without anything that steers a terminal but its colours. */
export const inspectValue = (value: unknown, colours: boolean, columns: number): string =>
  inspect(value, { colors: colours, breakLength: Math.max(20, columns), maxArrayLength: itemsMax, maxStringLength: 10_000, depth: 4 }).replace(
    marks,
    (mark) => `\\u${mark.charCodeAt(0).toString(16)}`
  )
