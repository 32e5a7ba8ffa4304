import type { Mutant } from "../../scripts/mutants.ts"

const limits = "test/layers/limits.test.ts"
const methods = "test/layers/methodErrors.test.ts"

/** What may be handed in, be open or run at once, and what each method may end with. */
export const limitMutants: ReadonlyArray<Mutant> = [
  {
    name: "limits-operations-unbounded",
    file: "src/domain/batch/Batch.ts",
    find: "if (this.count >= this.operationsMax && this.keyBytes === noBytes) throw this.tooMany()",
    replace: "",
    test: { file: limits, name: "operations of one write" },
    invariant: "limits: a batch takes memory without end for operations that hold nothing"
  },
  {
    name: "limits-found-uncounted",
    file: "src/domain/batch/Batch.ts",
    find: "this.grownBy(this.foundEnd - this.foundStart + bytes)",
    replace: "void bytes",
    test: { file: limits, name: "operations of one write" },
    invariant: "limits: what an atomic operation leaves as it is, is copied for the caller and not counted"
  },
  {
    name: "limits-readers-unbounded",
    file: "src/layers/feed/followLog.ts",
    find: "if (parts.readers.size >= parts.readersMax) throw new TooManySnapshots({ openMax: parts.readersMax })",
    replace: "",
    test: { file: limits, name: "streams of changes that are open" },
    invariant: "limits: any number of streams of changes is open"
  },
  {
    name: "limits-checkpoints-unbounded",
    file: "src/layers/maintenance/fewAtOnce.ts",
    find: "(turns) => turns.withPermit",
    replace: "() => (work) => work",
    test: { file: limits, name: "checkpoints and verifications" },
    invariant: "limits: any number of checkpoints copies at once"
  },
  {
    name: "errors-reading-full-disk",
    file: "src/domain/errors.ts",
    find: "return error instanceof DiskFull",
    replace: "return error instanceof CorruptFile",
    test: { file: methods, name: "under faults of the disk > reading" },
    invariant: "errors: a read ends with what its type does not list"
  },
  {
    name: "errors-cause-lost",
    file: "src/domain/errors.ts",
    find: "return new PermissionDenied({ operation: e.operation, path: e.path, code: e.code, offsetBytes: e.offsetBytes, cause: e })",
    replace: "return new PermissionDenied({ operation: e.operation, path: e.path, code: e.code })",
    test: { file: methods, name: "errors of the system carry" },
    invariant: "errors: where a call was refused is not told"
  },
  {
    name: "errors-thread-as-poison",
    file: "src/layers/jobs/jobRetries.ts",
    find: "return new JobFailed({ work, quarantined: false, detail: error.detail, cause: error })",
    replace: "return new JobFailed({ work, quarantined: true, detail: error.detail, cause: error })",
    test: { file: "test/layers/jobFailures.test.ts", name: "threads that go on dying" },
    invariant: "errors: a flush whose threads die is told to be given up"
  }
]
