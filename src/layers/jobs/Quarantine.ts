import type { Claim } from "../../domain/compaction/CompactionPlan.ts"
import { fromFailure, type FlushError } from "../../domain/errors.ts"
import { Damage } from "../../domain/failures.ts"
import { fileName } from "../../domain/manifest/fileNames.ts"
import type { ManifestState } from "../../domain/manifest/ManifestState.ts"
import type { HealthMonitor } from "../../services/HealthMonitor.ts"

interface Quarantined {
  readonly claim: Claim
  readonly error: FlushError
  readonly condition: string
  readonly resource: string
  readonly files: ReadonlyArray<string>
}

/**
 * Inputs of compactions that cannot be done: damaged, or a job over them went on dying. They are left out of what is picked (the next look would find the same plan, and fail
 * again, for ever) until their files are gone or the database is opened again; reads still answer, with the error where the damage is.
 */
export class Quarantine {
  #all: ReadonlyArray<Quarantined> = []
  readonly #health: HealthMonitor["Service"]
  readonly #condition: string
  readonly #directory: string

  constructor(health: HealthMonitor["Service"], condition: string, directory: string) {
    this.#health = health
    this.#condition = condition
    this.#directory = directory
  }

  claims(): ReadonlyArray<Claim> {
    return this.#all.map(({ claim }) => claim)
  }

  /** Why the newest of them is. */
  error(): FlushError | undefined {
    return this.#all.at(-1)?.error
  }

  /** `cause`: what the job ended with. */
  add(claim: Claim, cause: unknown, error: FlushError): void {
    const files = [...claim.fileIds].map((id) => `${this.#directory}/${fileName("table", id)}`)
    const resource = cause instanceof Damage ? cause.file : (files[0] ?? this.#condition)
    const condition = `${this.#condition} of ${resource}`
    this.#all = [...this.#all, { claim, error, condition, resource, files }]
    if (cause instanceof Damage) this.#health.report({ type: "damage", resource: cause.file, error: fromFailure(cause) })
    this.#health.report({ type: "quarantined", resource, files, error })
    this.#health.degrade(condition, `compaction cannot go on: ${cause instanceof Error ? cause.message : String(cause)}`)
  }

  /** Lets those go of whose files nobody needs any more: they are gone, or their keyspace was dropped, and letting go of them asks nobody to read them. */
  review(state: ManifestState, exists: (keyspace: number) => boolean): void {
    if (this.#all.length === 0) return
    const isNeeded = (id: number) => {
      const table = state.tables.get(id)
      return table === undefined ? state.valueFiles.has(id) : exists(table.smallest.keyspace) || exists(table.largest.keyspace)
    }
    const lifted = this.#all.filter(({ claim }) => ![...claim.fileIds].some(isNeeded))
    if (lifted.length === 0) return
    this.#all = this.#all.filter((one) => !lifted.includes(one))
    for (const { condition, files, resource } of lifted) {
      if (!this.#all.some((other) => other.condition === condition)) this.#health.heal(condition)
      this.#health.report({ type: "quarantineLifted", resource, files })
    }
  }
}
