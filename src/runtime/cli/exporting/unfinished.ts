/** The unfinished output of an export beside its destination: whether it can be gone on with, and its way to its final name. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../CliFailure.ts"
import { ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { type Opened, realPath, type Shared } from "../shared.ts"
import type { Destination } from "./destination.ts"
import { attempt, giveName, syncDirectory, unwritable } from "./io.ts"
import { type Moment, reopenMoment } from "./moment.ts"
import { isRunning, type Position, readState, type ResumeState, writeState } from "./resumeState.ts"

export type KeptDestination = Extract<Destination, { readonly kind: "file" | "tree" }>

export interface UnfinishedPaths {
  /** The file, or the directory, that is written. */
  readonly part: string
  readonly state: string
}

export const pathsOf = (destination: KeptDestination): UnfinishedPaths => {
  // Files are renamed into an existing directory, which works within one file system only.
  const within =
    destination.kind === "tree" && destination.into && fs.statSync(destination.path).dev !== fs.statSync(path.dirname(destination.path)).dev
  const part = within ? path.join(destination.path, ".lightning-export.part") : `${destination.path}.part`
  return { part, state: `${part}.json` }
}

/** The database and the command in one line: an export goes on only where all of it is the same. */
export const commandOf = (shared: Shared, options: Readonly<Record<string, unknown>>): string => {
  const stat = fs.statSync(shared.path, { throwIfNoEntry: false })
  return JSON.stringify({ database: realPath(shared.path), inode: stat?.ino ?? 0, born: Math.trunc(stat?.birthtimeMs ?? 0), ...options })
}

export interface Resumed {
  readonly state: ResumeState
  readonly position: Position
  readonly moment: Moment
}

const stateFailure = (file: string, error: unknown): CliFailure => unwritable(file, error, false)

/**
 * What to go on with, or undefined for a new start, for which nothing of an older one is left; `note` is told why what was there is of no use. Fails where another process
 * writes it, and where something is in the way that no export has made.
 */
export const findUnfinished = Effect.fnUntraced(function* (
  paths: UnfinishedPaths,
  options: {
    readonly opened: Opened
    readonly command: string
    readonly all: boolean
    readonly at: number | Date | undefined
    readonly restart: boolean
    readonly note: (why: string) => Effect.Effect<void>
  }
) {
  const { note } = options
  const state = yield* attempt(
    () => readState(paths.state),
    (error) => stateFailure(paths.state, error)
  )
  const part = yield* attempt(
    () => fs.lstatSync(paths.part, { throwIfNoEntry: false }),
    (error) => stateFailure(paths.part, error)
  )
  if (state === undefined) {
    if (part === undefined) return undefined
    return yield* new CliFailure({
      tag: "DestinationExists",
      message: `${paths.part} is in the way: this is where the export is written first`,
      hint: "No export that could go on has left it. Remove it, or give another destination.",
      exitCode: ExitCode.failure,
      details: { path: paths.part }
    })
  }
  if (typeof state !== "string" && isRunning(state)) {
    return yield* new CliFailure({
      tag: "ExportRunning",
      message: `Another export writes ${paths.part}`,
      hint: `Process ${state.writer.pid} does. Wait until it is done, or give another destination.`,
      exitCode: ExitCode.failure,
      details: { path: paths.part, pid: state.writer.pid }
    })
  }
  const found = typeof state === "string" ? state : yield* resumable(state, part, options)
  if (typeof found !== "string" && found !== undefined) return found
  if (found !== undefined) yield* note(found)
  yield* attempt(
    () => fs.rmSync(paths.part, { recursive: true, force: true }),
    (error) => unwritable(paths.part, error, false)
  )
  return undefined
})

const resumable = Effect.fnUntraced(function* (
  state: ResumeState,
  part: fs.Stats | undefined,
  options: {
    readonly opened: Opened
    readonly command: string
    readonly all: boolean
    readonly at: number | Date | undefined
    readonly restart: boolean
  }
): Effect.fn.Return<Resumed | string | undefined, CliFailure, Scope.Scope> {
  const { position } = state
  if (options.restart || position === null) return undefined
  if (state.command !== options.command) return "what was stopped was another export: of another database, or with other flags"
  if (part === undefined || (part.isFile() && part.size < position.bytes) || !(part.isFile() || part.isDirectory())) return "its output is gone"
  const moment = yield* reopenMoment(options.opened, options, state.sequence, state.spaces)
  return typeof moment === "string" ? moment : { state, position, moment }
})

/** Puts the state down. */
export const keepState = (paths: UnfinishedPaths, state: ResumeState): Effect.Effect<void, CliFailure> =>
  attempt(
    () => writeState(paths.state, state),
    (error) => unwritable(paths.state, error, false)
  )

/** Takes away what a later run has no use for. */
export const removeUnfinished = (paths: UnfinishedPaths): Effect.Effect<void> =>
  Effect.sync(() => {
    try {
      fs.rmSync(paths.part, { recursive: true, force: true })
      fs.rmSync(paths.state, { force: true })
    } catch {
      // The failure that led here is the one to tell; the next run starts again by itself.
    }
  })

/** The finished output gets its name, and nothing else of the export is left. */
export const finishOutput = (destination: KeptDestination, paths: UnfinishedPaths): Effect.Effect<void, CliFailure> =>
  attempt(
    () => {
      if (destination.kind === "file") giveName(paths.part, destination.path, destination.replaces)
      else if (destination.into) fs.rmSync(paths.part, { recursive: true })
      else {
        // An empty directory, perhaps. One that is not fails here, and stays.
        if (fs.existsSync(destination.path)) fs.rmdirSync(destination.path)
        fs.renameSync(paths.part, destination.path)
        syncDirectory(path.dirname(destination.path))
      }
      fs.rmSync(paths.state, { force: true })
    },
    (error) =>
      new CliFailure({
        tag: "DestinationUnwritable",
        message: `${destination.path} cannot be given its name: ${ioReason(error)}`,
        hint: `The export itself is complete, in ${paths.part}.`,
        exitCode: ExitCode.failure,
        details: { path: destination.path, part: paths.part }
      })
  )
