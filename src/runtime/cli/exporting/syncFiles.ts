import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import type { CliFailure } from "../CliFailure.ts"
import { operation, syncDirectory } from "./io.ts"

/** Above this, one sync of the file system is quicker than one for each of them. */
const singlyMax = 32

/** Syncs the file system that `path` is on, where the platform has a program for that: Node has no call for it. */
const syncFileSystem = (path: string): Effect.Effect<boolean> =>
  process.platform !== "linux"
    ? Effect.succeed(false)
    : Effect.callback((resume) => {
        const child = spawn("sync", ["-f", path], { stdio: "ignore" })
        child.once("error", () => resume(Effect.succeed(false)))
        child.once("close", (code) => resume(Effect.succeed(code === 0)))
      })

const syncFile = (file: string, onError: (error: unknown) => CliFailure) =>
  Effect.flatMap(
    // Read-only would not do on Windows.
    operation<number>((done) => fs.open(file, process.platform === "win32" ? "r+" : "r", done), onError),
    (fd) =>
      Effect.ensuring(
        operation<void>((done) => fs.fsync(fd!, done), onError),
        Effect.sync(() => fs.closeSync(fd!))
      )
  )

/** Makes files and the names in directories durable. All of them are on one file system. */
export const syncFiles = (
  files: ReadonlyArray<string>,
  directories: ReadonlyArray<string>,
  onError: (error: unknown) => CliFailure
): Effect.Effect<void, CliFailure> =>
  Effect.gen(function* () {
    const first = files[0] ?? directories[0]
    if (first === undefined) return
    if (files.length + directories.length > singlyMax && (yield* syncFileSystem(first))) return
    yield* Effect.forEach(files, (file) => syncFile(file, onError), { concurrency: 4, discard: true })
    yield* Effect.try({ try: () => directories.forEach(syncDirectory), catch: onError })
  })
