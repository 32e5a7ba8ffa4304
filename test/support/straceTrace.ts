/** The record of `strace -f -y` as the tracing disk would have written it: system calls with a beginning and an end, in the order of the kernel. */
import type { TraceEvent } from "../../src/layers/disk/TracingDisk.ts"

type Writable<A> = { -readonly [K in keyof A]: A[K] }

export interface StraceMark {
  /** What was written to the file of marks, and when it was begun. */
  readonly text: string
  readonly order: number
}

export interface StraceTrace {
  readonly events: ReadonlyArray<TraceEvent>
  readonly marks: ReadonlyArray<StraceMark>
}

/** The system calls that are asked for. */
export const tracedCalls = "openat,fdatasync,fsync,pwrite64,pwritev,pwritev2,write,rename,renameat,renameat2,unlink,unlinkat"

/** Only calls on files below `directory` become events; writes to `marksPath` become marks. */
export const parseStrace = (text: string, directory: string, marksPath: string): StraceTrace => {
  const events: Array<Writable<TraceEvent>> = []
  const marks: Array<StraceMark> = []
  const unfinished = new Map<string, Writable<TraceEvent> | undefined>()
  text.split("\n").forEach((line, order) => {
    const match = /^(\d+)\s+(.*)$/.exec(line)
    if (match === null) return
    const [, pid = "", call = ""] = match
    const resumed = /^<\.\.\. \w+ resumed>.*= (-?\d+)/.exec(call)
    if (resumed !== null) {
      const event = unfinished.get(pid)
      unfinished.delete(pid)
      if (event !== undefined) finish(event, order, Number(resumed[1]))
      return
    }
    if (call.includes(`<${marksPath}>, "`)) {
      if (call.startsWith("write(")) marks.push({ text: /, "([^"\\]*)/.exec(call)?.[1] ?? "", order })
      return
    }
    const event = parseCall(call, directory)
    if (event === undefined) return
    const begun: Writable<TraceEvent> = { index: events.length, begin: order, end: -1, failed: undefined, ...event }
    events.push(begun)
    if (call.endsWith("<unfinished ...>")) unfinished.set(pid, begun)
    else finish(begun, order, Number(/= (-?\d+)[^=]*$/.exec(call)?.[1] ?? "0"))
  })
  return { events, marks }
}

const finish = (event: Writable<TraceEvent>, order: number, result: number): void => {
  event.end = order
  if (result < 0) event.failed = "failed"
}

const parseCall = (call: string, directory: string): Pick<TraceEvent, "kind" | "path" | "position" | "length"> | undefined => {
  const name = call.slice(0, call.indexOf("("))
  const descriptor = /^\w+\(\d+<([^>]*)>/.exec(call)?.[1]
  const quoted = [...call.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? "")
  const none = { position: 0, length: 0 }
  switch (name) {
    case "openat":
      return quoted[0]?.startsWith(`${directory}/`) === true && call.includes("O_CREAT") ? { kind: "open", path: quoted[0], ...none } : undefined
    case "fdatasync":
    case "fsync":
      if (descriptor === directory) return { kind: "syncDirectory", path: directory, ...none }
      return descriptor?.startsWith(`${directory}/`) === true ? { kind: "datasync", path: descriptor, ...none } : undefined
    case "pwrite64":
    case "pwritev":
    case "pwritev2": {
      if (descriptor?.startsWith(`${directory}/`) !== true) return undefined
      // …, length, position): of a vector only the position is given there, and its length is what the call returned.
      const numbers = /(\d+), (\d+)(?:\)| <unfinished)/.exec(call)
      const returned = /= (\d+)$/.exec(call)?.[1]
      return { kind: "writev", path: descriptor, position: Number(numbers?.[2] ?? 0), length: Number(returned ?? numbers?.[1] ?? 0) }
    }
    case "rename":
    case "renameat":
    case "renameat2":
      return quoted[1]?.startsWith(`${directory}/`) === true ? { kind: "rename", path: quoted[1], ...none } : undefined
    case "unlink":
    case "unlinkat":
      return quoted[0]?.startsWith(`${directory}/`) === true ? { kind: "remove", path: quoted[0], ...none } : undefined
    default:
      return undefined
  }
}
