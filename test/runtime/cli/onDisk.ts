/** Runs `lightning` inside the test with the engine on a directory: for what a database in memory does not have (expiry, history, files). */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { layerEngine } from "../../../src/runtime/cli/Opener.ts"
import { runCli } from "../../../src/runtime/cli/run.ts"
import { captureOutput } from "./inProcess.ts"

export interface OnDiskResult {
  readonly code: number
  readonly out: string
  readonly outBytes: Buffer
  readonly err: string
}

export const onDisk = async (...args: ReadonlyArray<string>): Promise<OnDiskResult> => {
  const captured = captureOutput()
  const code = await Effect.runPromise(runCli(args).pipe(Effect.provide(Layer.mergeAll(captured.layer, layerEngine))))
  return { code, out: captured.out().toString(), outBytes: captured.out(), err: captured.err() }
}
