/** Questions to the person at the terminal. */
import * as Effect from "effect/Effect"
import { Output } from "./Output.ts"

/** Whether somebody can be asked: both where the question is shown and where the answer comes from is a terminal. */
export const canAsk = (output: Output["Service"]): boolean => output.stderrIsTerminal && process.stdin.isTTY === true

/** Shows the question, and waits for a line: without its end, empty where there is none. The terminal itself echoes and edits it, and Ctrl-C stays Ctrl-C. */
export const ask = Effect.fnUntraced(function* (question: string) {
  const output = yield* Output
  yield* output.note(question)
  return yield* Effect.callback<string>((resume) => {
    const { stdin } = process
    let typed = ""
    const done = (): void => {
      stdin.off("data", onData)
      stdin.off("end", onEnd)
      // An open standard input would keep the process from ending.
      stdin.pause()
    }
    const onData = (chunk: Buffer): void => {
      typed += chunk.toString()
      const end = typed.search(/[\r\n]/)
      if (end < 0) return
      done()
      resume(Effect.succeed(typed.slice(0, end)))
    }
    const onEnd = (): void => {
      done()
      resume(Effect.succeed(typed))
    }
    stdin.on("data", onData)
    stdin.on("end", onEnd)
    stdin.resume()
    return Effect.sync(done)
  })
})
