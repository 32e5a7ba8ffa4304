import { fromFailure } from "../../domain/errors.ts"
import { Damage, IoFailure } from "../../domain/failures.ts"

/** Whether what was thrown is a broken rule of the engine's own: neither a failure of what is below it, nor an error it tells its callers. */
export const isDefect = (cause: unknown): boolean =>
  !(cause instanceof IoFailure || cause instanceof Damage || (cause instanceof Error && "_tag" in cause))

/** The cause of an error that is told: with file, offset and code where the system is to blame. `writtenAt`: where a write went that does not say so itself. */
export const publicCause = (cause: unknown, writtenAt?: number): unknown => {
  if (cause instanceof IoFailure) return fromFailure(writtenAt !== undefined && cause.operation === "writev" ? cause.at(writtenAt) : cause)
  return cause instanceof Damage ? fromFailure(cause) : cause
}
