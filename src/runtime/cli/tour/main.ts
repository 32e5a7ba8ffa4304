/** The entry of the tour: importing it runs it. `--json` prints one object in place of the story. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { fileURLToPath } from "node:url"
import { OutputClosed } from "../CliFailure.ts"
import { explainCause } from "../explain.ts"
import { ExitCode } from "../exitCodes.ts"
import { layerEngine } from "../Opener.ts"
import { layerProcess, Output } from "../Output.ts"
import { formatFailure } from "../run.ts"
import { runTour } from "./Tour.ts"

const repository = new URL("../../../../", import.meta.url)
const json = process.argv.includes("--json")

const tour = Effect.gen(function* () {
  const output = yield* Output
  const exit = yield* runTour({
    root: fileURLToPath(new URL("node_modules", repository)),
    path: fileURLToPath(new URL(".lightning/tour", repository)),
    bytesMax: 100_000_000,
    acknowledgedMin: 10_000,
    writerEntry: new URL("./writer.ts", import.meta.url),
    json
  }).pipe(
    // An interrupted fiber runs nothing any more but what was promised beforehand.
    Effect.onInterrupt(() => output.note("Stopped. Run npm start again for the whole tour.")),
    Effect.exit
  )
  if (Exit.isSuccess(exit)) return exit.value.holds ? ExitCode.ok : ExitCode.failure
  if (Cause.squash(exit.cause) instanceof OutputClosed) return ExitCode.ok
  const failure = explainCause(exit.cause)
  yield* output.note(formatFailure(failure, json, output.stderrColours))
  return failure.exitCode
})

tour.pipe(
  Effect.provide(Layer.mergeAll(layerProcess, layerEngine)),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? Number(exit.value) : ExitCode.interrupted)
  })
)
