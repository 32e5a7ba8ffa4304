import { readFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"

/** The process's peak resident memory so far (VmHWM), in bytes. */
export const peakResidentBytes = (): number => {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(process.platform === "linux" ? readFileSync("/proc/self/status", "utf8") : "")
  return (line === null ? process.resourceUsage().maxRSS : Number(line[1])) * 1024
}

export interface Used {
  readonly seconds: number
  /** User and system time of the main thread while the operations ran: what is left of `seconds` where the machine has nothing else to do. */
  readonly mainCpuSeconds: number
  /** Of all threads of the process. */
  readonly userCpuSeconds: number
  readonly systemCpuSeconds: number
  readonly loopDelayP99Ms: number
  readonly loopDelayMaxMs: number
}

/** From its making to `stop`: time, CPU time, and the delay of the event loop (resolution 1 ms, which is taken off). */
export class Usage {
  private readonly delay = monitorEventLoopDelay({ resolution: 1 })
  private readonly cpu = process.cpuUsage()
  private readonly mainCpu = process.threadCpuUsage()
  private mainCpuSeconds = 0
  private readonly startedMs = performance.now()

  constructor() {
    this.delay.enable()
  }

  /** The operations are done; what follows is waiting until the rest is. Answers with the time so far. */
  operationsDone(): number {
    const { system, user } = process.threadCpuUsage(this.mainCpu)
    this.mainCpuSeconds = (user + system) / 1e6
    return this.seconds()
  }

  private seconds(): number {
    return (performance.now() - this.startedMs) / 1000
  }

  stop(): Used {
    const seconds = this.seconds()
    const cpu = process.cpuUsage(this.cpu)
    this.delay.disable()
    const ms = (ns: number) => (this.delay.count === 0 ? 0 : Math.max(0, ns / 1e6 - 1))
    return {
      seconds,
      mainCpuSeconds: this.mainCpuSeconds,
      userCpuSeconds: cpu.user / 1e6,
      systemCpuSeconds: cpu.system / 1e6,
      loopDelayP99Ms: ms(this.delay.percentile(99)),
      loopDelayMaxMs: ms(this.delay.max)
    }
  }
}
