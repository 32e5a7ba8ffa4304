import type { Mutant } from "../../scripts/mutants.ts"

const supervision = "test/layers/supervision.test.ts"
const breakers = "test/layers/breakers.test.ts"
const retries = "test/layers/readRetries.test.ts"

/** What is done about faults: actors that die, circuit breakers, retries (the table of `docs/errors.md`). */
export const breakerMutants: ReadonlyArray<Mutant> = [
  {
    name: "let-actors-die",
    file: "src/layers/jobs/supervise.ts",
    find: "        deaths++\n",
    replace: "        deaths++\n        return Effect.void\n",
    test: { file: supervision, name: "an actor that dies > the flusher: its flush is repeated" },
    invariant: "supervision: an actor that dies is not started again"
  },
  {
    name: "let-lesser-actors-die",
    file: "src/layers/jobs/supervise.ts",
    find: "        deaths++\n",
    replace: '        deaths++\n        if (importance === "lesser") return Effect.void\n',
    test: { file: supervision, name: "an actor that dies > the expiry reaper" },
    invariant: "supervision: an actor that dies is not started again"
  },
  {
    name: "never-give-up-the-flusher",
    file: "src/layers/jobs/supervise.ts",
    find: 'if (importance === "vital" && deaths > retry.attempts) {',
    replace: 'if (importance === "vital" && deaths > 1000 * retry.attempts) {',
    test: { file: supervision, name: "an actor that dies > the flusher, again and again" },
    invariant: "supervision: the engine does not stop itself where it cannot go on"
  },
  {
    name: "forget-progress-of-actors",
    file: "src/layers/jobs/supervise.ts",
    find: "      deaths = 0\n",
    replace: "",
    test: { file: supervision, name: "an actor that dies > the flusher: its flush is repeated" },
    invariant: "supervision: deaths far apart add up"
  },
  {
    name: "read-after-a-failure",
    file: "src/layers/HealthMonitor.ts",
    find: 'closed: () => (phase === "stopping" ? new DatabaseClosed({}) : failure),',
    replace: 'closed: () => (phase === "stopping" ? new DatabaseClosed({}) : undefined),',
    test: { file: supervision, name: "an actor that dies > the committer" },
    invariant: "supervision: a database that has failed goes on answering"
  },
  {
    name: "go-on-after-the-committer-died",
    file: "src/layers/Wal.ts",
    find: 'isDefect(cause) ? health.fail("committer", cause) :',
    replace: "",
    test: { file: supervision, name: "an actor that dies > the committer" },
    invariant: "supervision: a broken rule in the committer only ends writing"
  },
  {
    name: "give-up-dying-compactions-at-once",
    file: "src/layers/Compactor.ts",
    find: "{ ...how, repeatsDefects: true }",
    replace: "how",
    test: { file: supervision, name: "an actor that dies > a compaction" },
    invariant: "supervision: the job of what died is not repeated"
  },
  {
    name: "pick-what-is-quarantined",
    file: "src/layers/Compactor.ts",
    find: "running: [...claims, ...quarantine.claims()]",
    replace: "running: claims",
    test: { file: "test/layers/stalls.test.ts", name: "a compaction that dies of a bug" },
    invariant: "supervision: a job that goes on failing is run again and again"
  },
  {
    name: "keep-quarantine-of-what-is-gone",
    file: "src/layers/jobs/Quarantine.ts",
    find: "    if (lifted.length === 0) return\n",
    replace: "    if (lifted.length >= 0) return\n",
    test: { file: supervision, name: "an actor that dies > a compaction" },
    invariant: "supervision: a quarantine outlives its files"
  },
  {
    name: "read-through-open-breakers",
    file: "src/layers/tables/ReadBreakers.ts",
    find: "if (breaker === undefined || breaker.admit()) return",
    replace: "breaker?.admit()\n    if (breaker === undefined || breaker !== undefined) return",
    test: { file: breakers, name: "the breaker of a file > table, inline" },
    invariant: "breakers: a file whose reads fail is read all the same"
  },
  {
    name: "never-open-breakers-of-pooled-reads",
    file: "src/layers/tables/pooledRead.ts",
    find: "attempt((): A => {\n                throw reads.failed(fileId, offset, cause)",
    replace: "attempt((): A => {\n                throw cause",
    test: { file: breakers, name: "the breaker of a file > table, pooled" },
    invariant: "breakers: pooled reads are not counted"
  },
  {
    name: "close-breakers-at-the-first-success",
    file: "src/domain/breaker/CircuitBreaker.ts",
    find: "++this.successCount < this.rules.successThreshold",
    replace: "++this.successCount < 1",
    test: { file: "test/domain/breaker/CircuitBreaker.test.ts" },
    invariant: "breakers: the success threshold means nothing"
  },
  {
    name: "let-everybody-probe",
    file: "src/domain/breaker/CircuitBreaker.ts",
    find: "    if (this.probing) return false\n",
    replace: "",
    test: { file: "test/domain/breaker/CircuitBreaker.test.ts" },
    invariant: "breakers: half-open lets more than one through"
  },
  {
    name: "open-breakers-as-long-each-time",
    file: "src/domain/breaker/CircuitBreaker.ts",
    find: "openForMs * 2 ** Math.min(openings - 1, 5)",
    replace: "openForMs * 2 ** Math.min(openings - openings, 5)",
    test: { file: breakers, name: "the breaker of a file > table, inline" },
    invariant: "breakers: no backoff"
  },
  {
    name: "leave-probes-to-users",
    file: "src/layers/tables/probeReads.ts",
    find: "    running = true\n    start(loop)\n",
    replace: "    running = true\n",
    test: { file: breakers, name: "the breaker of a file > heals by itself" },
    invariant: "breakers: a file that nobody reads is suspended for ever"
  },
  {
    name: "probe-without-a-pause",
    file: "src/layers/tables/ReadBreakers.ts",
    find: "this.#byFile.get(fileId)?.failed(cause)",
    replace: "this.#byFile.get(fileId)?.abandoned()",
    test: { file: breakers, name: "the breaker of a file > heals by itself" },
    invariant: "breakers: a probe that fails makes no pause longer"
  },
  {
    name: "sleep-through-another-breaker",
    file: "src/layers/tables/probeReads.ts",
    find: "    if (running) return wake?.()\n",
    replace: "    if (running) return\n",
    test: { file: breakers, name: "the breaker of a file > several files" },
    invariant: "breakers: one file's long pause is another's"
  },
  {
    name: "keep-the-timer-of-a-probe",
    file: "src/layers/tables/probeReads.ts",
    find: "    if (running) return wake?.()\n",
    replace: "    if (running) return reads.isIdle ? undefined : wake?.()\n",
    test: { file: "test/layers/lifecycle.test.ts", name: "a file that cannot be read > is looked for by one timer" },
    invariant: "an idle database has no timer"
  },
  {
    name: "let-the-engine-probe-alone",
    file: "src/layers/tables/ReadBreakers.ts",
    find: "if (breaker === undefined || breaker.admit()) return",
    replace: "if (breaker === undefined || (breaker.isClosed() && breaker.admit())) return",
    test: { file: breakers, name: "the breaker of a file > a read that comes first is the probe" },
    invariant: "breakers: a read of a user is no probe"
  },
  {
    name: "believe-damage-at-once",
    file: "src/layers/jobs/believedTwice.ts",
    find: "if (seen.has(place) || seen.size + 1 >= readingsMax)",
    replace: "if (seen.has(place) || seen.size >= 0)",
    test: { file: "test/layers/misreads.test.ts", name: "one misread > of a table, in a compaction" },
    invariant: "19: a bit that was read wrongly once takes files out of service"
  },
  {
    name: "read-damage-for-ever",
    file: "src/layers/jobs/believedTwice.ts",
    find: " || seen.size + 1 >= readingsMax)",
    replace: ")",
    test: { file: "test/layers/misreads.test.ts", name: "damage > is believed at the second reading" },
    invariant: "19: damage is believed in the end"
  },
  {
    name: "hide-misreads",
    file: "src/layers/jobs/believedTwice.ts",
    find: "seen.forEach(onMisread)",
    replace: "seen.clear()",
    test: { file: "test/layers/misreads.test.ts", name: "one misread > of a table, in a compaction" },
    invariant: "a misread is told"
  },
  {
    name: "keep-giving-jobs-to-dying-threads",
    file: "src/layers/jobs/WorkerThreads.ts",
    find: "if (!this.#noting(undefined, (breaker) => breaker.admit(this.#monotonicMs()))) {",
    replace: "if (!this.#noting(undefined, (breaker) => breaker.admit(this.#monotonicMs()) || true)) {",
    test: { file: breakers, name: "the breaker of the worker threads" },
    invariant: "breakers: no fallback to the main thread"
  },
  {
    name: "hide-open-breakers",
    file: "src/layers/Breakers.ts",
    find: 'else if (to === "open") health.degrade(',
    replace: 'else if (to === "open" && resource === "") health.degrade(',
    test: { file: breakers, name: "the breaker of the worker threads" },
    invariant: "breakers: an open one is no reason of health"
  },
  {
    name: "retry-no-reads",
    file: "src/layers/reading/readRetries.ts",
    find: "if (!mayPass(error) || failures + 1 >= retry.attempts) return Effect.fail(error)",
    replace: "if (!mayPass(error) || failures + 1 >= 0) return Effect.fail(error)",
    test: { file: retries, name: "what lasts is tried as often" },
    invariant: "retry: what may pass is told at once"
  },
  {
    name: "retry-what-does-not-pass",
    file: "src/domain/errors/severity.ts",
    find: 'new Set(["EINTR",',
    replace: 'new Set(["EIO", "EINTR",',
    test: { file: retries, name: "unsafe reads, and what does not pass" },
    invariant: "retry: what lasts is tried again and again"
  }
]
