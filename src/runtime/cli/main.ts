/** The entry of `lightning`. Importing it runs the command line with the arguments of this process. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { ExitCode } from "./exitCodes.ts"
import { layerEngine } from "./Opener.ts"
import { layerProcess } from "./Output.ts"
import { runCli } from "./run.ts"

// The first signal stops cleanly, which may take a moment (an answer of the disk, closing the database). A second one does not wait.
let signals = 0
const onSignal = (): void => {
  if (++signals > 1) process.exit(ExitCode.interrupted)
}
process.on("SIGINT", onSignal)
process.on("SIGTERM", onSignal)

runCli(process.argv.slice(2)).pipe(
  Effect.provide(Layer.mergeAll(layerProcess, layerEngine)),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? Number(exit.value) : ExitCode.interrupted)
  })
)
