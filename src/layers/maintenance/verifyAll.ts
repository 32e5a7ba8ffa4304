import * as Effect from "effect/Effect"
import { CorruptFile, fromFailure, UnsupportedFormat } from "../../domain/errors.ts"
import type { DamageReport, VerifyReport } from "../../services/Database.ts"
import type { WorkOptions } from "../../services/WorkProgress.ts"
import type { VerifyWatch } from "./verifyVersion.ts"
import { WorkCounter } from "./WorkCounter.ts"

/** Runs a verification that goes on behind damage, and gathers what it met: the first damage of each file. */
export const verifyAll = <E>(
  options: WorkOptions | undefined,
  run: (watch: VerifyWatch) => Effect.Effect<VerifyReport, E>
): Effect.Effect<DamageReport, E> =>
  Effect.suspend(() => {
    const damaged = new Map<string, CorruptFile | UnsupportedFormat>()
    const counter = new WorkCounter()
    const watch: VerifyWatch = {
      counter,
      onStart: () => counter.start(options),
      onDamage: (damage) => {
        const error = fromFailure(damage)
        if (!damaged.has(damage.file) && (error instanceof CorruptFile || error instanceof UnsupportedFormat)) damaged.set(damage.file, error)
      }
    }
    return Effect.map(run(watch), (report) => ({ ...report, damaged: [...damaged.values()] }))
  })
