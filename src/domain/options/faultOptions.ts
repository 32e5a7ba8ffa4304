/** The options `retry` and `breaker`: what the engine does about faults that may pass, and about those that last. */
import type * as Duration from "effect/Duration"
import { readDuration } from "./readDuration.ts"
import { show } from "./show.ts"

/** The one schedule for faults that may pass: pauses from `firstDelay`, growing by `factor` up to `maxDelay`, each made longer or shorter at random by up to `jitter` of itself. */
export interface RetryOption {
  /** How often something is tried in all before its failure counts as lasting and is told to who waits. Default 5; 1 to 100. */
  readonly attempts?: number | undefined
  /** Before the second repetition; the first one is made at once. Default 10 ms; up to an hour. */
  readonly firstDelay?: Duration.Input | undefined
  /** Default 10 seconds; at least `firstDelay`, up to a day. */
  readonly maxDelay?: Duration.Input | undefined
  /** Default 2; 1 to 100. */
  readonly factor?: number | undefined
  /** Default 0.2; 0 to 1. */
  readonly jitter?: number | undefined
}

/** Of the circuit breakers before files and worker threads. */
export interface BreakerOption {
  /** So many failures in a row open it. Default 3; 1 to 1,000. */
  readonly failureThreshold?: number | undefined
  /** So many successes in a row, one at a time, close it again. Default 1; 1 to 1,000. */
  readonly successThreshold?: number | undefined
  /** How long it stays open before one is let through to try; twice as long after each that fails, up to 32 times. Default 1 second; 1 ms to a day. */
  readonly openFor?: Duration.Input | undefined
}

export interface RetrySettings {
  readonly attempts: number
  readonly firstDelayMs: number
  readonly maxDelayMs: number
  readonly factor: number
  readonly jitter: number
}

export interface BreakerSettings {
  readonly failureThreshold: number
  readonly successThreshold: number
  readonly openForMs: number
}

export const retryDefaults: RetrySettings = { attempts: 5, firstDelayMs: 10, maxDelayMs: 10_000, factor: 2, jitter: 0.2 }
export const breakerDefaults: BreakerSettings = { failureThreshold: 3, successThreshold: 1, openForMs: 1000 }

const dayMs = 86_400_000

/** One part of such an option: where it goes, what it accepts, and the words for that. */
interface Part<S> {
  readonly to: keyof S
  readonly read: (given: unknown) => number
  readonly isGood: (value: number) => boolean
  readonly expects: string
}

const number = <S>(to: keyof S, minimum: number, maximum: number): Part<S> => ({
  to,
  read: (given) => (typeof given === "number" ? given : Number.NaN),
  isGood: (value) => value >= minimum && value <= maximum,
  expects: `a number from ${minimum} to ${maximum}`
})

const whole = <S>(to: keyof S, minimum: number, maximum: number): Part<S> => ({
  to,
  read: (given) => (typeof given === "number" ? given : Number.NaN),
  isGood: (value) => Number.isInteger(value) && value >= minimum && value <= maximum,
  expects: `a whole number from ${minimum} to ${maximum}`
})

const duration = <S>(to: keyof S, minimumMs: number, maximumMs: number, range: string): Part<S> => ({
  to,
  read: readDuration,
  isGood: (value) => value >= minimumMs && value <= maximumMs,
  expects: `a duration ${range} (a number of milliseconds, "5 seconds", a Duration)`
})

const retryParts: Readonly<Record<keyof RetryOption, Part<RetrySettings>>> = {
  attempts: whole("attempts", 1, 100),
  firstDelay: duration("firstDelayMs", 0, dayMs / 24, "of at most an hour"),
  maxDelay: duration("maxDelayMs", 0, dayMs, "of at most a day"),
  factor: number("factor", 1, 100),
  jitter: number("jitter", 0, 1)
}

const breakerParts: Readonly<Record<keyof BreakerOption, Part<BreakerSettings>>> = {
  failureThreshold: whole("failureThreshold", 1, 1000),
  successThreshold: whole("successThreshold", 1, 1000),
  openFor: duration("openForMs", 1, dayMs, "from 1 millisecond to a day")
}

/** What was read of an option, with the defaults for what it does not say, and all that is wrong with it. */
export interface ReadOption<S> {
  readonly problems: ReadonlyArray<string>
  readonly settings: S
}

const readParts = <S extends object>(
  option: string,
  example: string,
  given: unknown,
  parts: Readonly<Record<string, Part<S>>>,
  defaults: S
): ReadOption<S> => {
  if (given === undefined) return { problems: [], settings: defaults }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    return { problems: [`${option} must be an object such as ${example}, found ${show(given)}`], settings: defaults }
  const problems: Array<string> = []
  const settings = { ...defaults }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const part = Object.hasOwn(parts, name) ? parts[name] : undefined
    if (part === undefined) {
      problems.push(`"${option}.${name}" is not an option; the options are ${Object.keys(parts).join(", ")}`)
      continue
    }
    const read = part.read(value)
    if (part.isGood(read)) Object.assign(settings, { [part.to]: read })
    else problems.push(`${option}.${name} must be ${part.expects}, found ${show(value)}`)
  }
  return { problems, settings }
}

export const readRetry = (given: unknown): ReadOption<RetrySettings> => {
  const { problems, settings } = readParts("retry", "{ attempts: 5 }", given, retryParts, retryDefaults)
  if (problems.length > 0 || settings.firstDelayMs <= settings.maxDelayMs) return { problems, settings }
  return {
    problems: [`retry.firstDelay (${settings.firstDelayMs} ms) must not be above retry.maxDelay (${settings.maxDelayMs} ms)`],
    settings
  }
}

export const readBreaker = (given: unknown): ReadOption<BreakerSettings> =>
  readParts("breaker", "{ failureThreshold: 3 }", given, breakerParts, breakerDefaults)
