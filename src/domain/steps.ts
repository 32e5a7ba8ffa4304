/**
 * Step machines: long jobs of the engine (flush, compaction, verification) as generators without I/O. The same generator is driven in a worker over
 * `node:fs`, on the main thread over `Disk` in slices, and by the simulator. It yields a request and is resumed with its answer; failures are thrown into it.
 */

/** Which files a job touches; with the id it gives the file's name. */
export type StepFileKind = "table" | "values"

export type StepRequest =
  /** Answer: exactly `length` bytes, the driver throws `Damage` "Truncated" into the machine when the file is shorter. */
  | { readonly step: "read"; readonly kind: StepFileKind; readonly fileId: number; readonly offset: number; readonly length: number }
  /** Creates the output file `fileId` (must not exist). */
  | { readonly step: "create"; readonly kind: StepFileKind; readonly fileId: number }
  /** Appends at byte `position`; the machine does not touch the buffers again until it is resumed. */
  | { readonly step: "write"; readonly fileId: number; readonly buffers: ReadonlyArray<Uint8Array>; readonly position: number }
  /** Datasyncs and closes the output file. The driver syncs the directory once, after the machine is done and before it reports. */
  | { readonly step: "finish"; readonly fileId: number }
  /** Nothing to do: a place where the driver may yield to the event loop or cancel. */
  | { readonly step: "pause" }

/** A step machine that ends with `A`. The answer of "read" is the bytes; of everything else, undefined. */
export type StepMachine<A> = Generator<StepRequest, A, Uint8Array | undefined>
