/** The tour's database directory: made empty at each run, and nothing but a directory that the tour made is ever removed. */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { CliFailure } from "../CliFailure.ts"
import { explain, ioReason } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { Opener } from "../Opener.ts"

/** Stands beside the database (in the parent directory) and says whose it is. */
const ownerFile = (directory: string): string => `${directory}.owner`
const ownerText = "The directory of the same name without .owner belongs to the tour of Lightning DB, which removes it when it runs again.\n"

const refuse = (directory: string, reason: string): CliFailure =>
  new CliFailure({
    tag: "TourDirectory",
    message: `${directory} ${reason}`,
    hint: "The tour removes only its own directory. Move this one away, then run it again.",
    exitCode: ExitCode.failure,
    details: { path: directory }
  })

/** Removes the database of the last run and prepares for the next. Refuses what the tour did not make, and a database that is open elsewhere. */
export const prepareDirectory = Effect.fnUntraced(function* (directory: string) {
  const opener = yield* Opener
  const parent = path.dirname(directory)
  for (const name of [parent, directory]) {
    // A link would lead the removal elsewhere.
    const stat = fs.lstatSync(name, { throwIfNoEntry: false })
    if (stat !== undefined && !stat.isDirectory()) return yield* refuse(name, "is not a directory")
  }
  yield* Effect.try({
    try: () => fs.mkdirSync(parent, { recursive: true }),
    catch: (error) => refuse(parent, `cannot be made: ${ioReason(error)}`)
  })
  if (fs.existsSync(directory) && fs.readdirSync(directory).length > 0) {
    if (!fs.existsSync(ownerFile(directory))) return yield* refuse(directory, "holds files that the tour did not put there")
    if (yield* opener.exists(directory)) yield* refuseIfOpen(directory)
    yield* Effect.try({
      try: () => fs.rmSync(directory, { recursive: true }),
      catch: (error) => refuse(directory, `cannot be removed: ${ioReason(error)}`)
    })
  }
  yield* Effect.try({
    try: () => fs.writeFileSync(ownerFile(directory), ownerText),
    catch: (error) => refuse(directory, `cannot be prepared: ${ioReason(error)}`)
  })
})

/** Another tour, or a command that writes, has it open: its files must not go away beneath it. Whatever else keeps it from opening is removed with it. */
const refuseIfOpen = Effect.fnUntraced(function* (directory: string) {
  const opener = yield* Opener
  const failure = yield* Effect.scoped(opener.open({ path: directory, readOnly: false })).pipe(
    Effect.as(undefined),
    Effect.catch((error) => Effect.succeed(explain(error)))
  )
  if (failure?.tag === "DatabaseLocked") return yield* failure
})
