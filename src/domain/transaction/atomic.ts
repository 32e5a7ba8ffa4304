/**
 * Atomic operations: how they are checked, what they make of a value, and what the log keeps of them. Pure; the commit turn and the reads of interactive
 * transactions both ask here.
 */
import { AtomicOperationFailed, InvalidBatch, InvalidValue } from "../errors.ts"
import { describeType } from "../keys/describeType.ts"
import { isBytes, KeyEncoder } from "../keys/encodeKey.ts"
import { writeU64BigEndian } from "../keys/expiryRows.ts"

/** An atomic operation whose operands are known to be good. Bytes may be the caller's memory. */
export type Atomic = ValueAtomic | StampAtomic

/** Those that make a value of the one there is. */
export type ValueAtomic =
  | { readonly type: "add" | "min" | "max"; readonly operand: bigint }
  | { readonly type: "and" | "or" | "xor"; readonly operand: Uint8Array }
  | { readonly type: "append"; readonly operand: Uint8Array; readonly bytesMax: number }
  | { readonly type: "compareAndSet"; readonly expected: Uint8Array | undefined; readonly value: Uint8Array | undefined }
  | { readonly type: "setOnce"; readonly value: Uint8Array }

/** Those that only ask for their place in the commit order. */
export type StampAtomic =
  | { readonly type: "versionstampedKey"; readonly suffix: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "versionstampedValue"; readonly value: Uint8Array }

/** First byte of the annotation in the log. Stored: never renumber, never reuse. */
const codes = {
  add: 1,
  min: 2,
  max: 3,
  and: 4,
  or: 5,
  xor: 6,
  append: 7,
  compareAndSet: 8,
  setOnce: 9,
  versionstampedKey: 10,
  versionstampedValue: 11
} as const satisfies Record<Atomic["type"], number>

const names = new Map<number, Atomic["type"]>()
for (const name of Object.keys(codes)) if (isAtomicType(name)) names.set(codes[name], name)

/** Whether `type` is that of an atomic operation. */
export function isAtomicType(type: unknown): type is Atomic["type"] {
  return typeof type === "string" && Object.hasOwn(codes, type)
}

/** Sequence u64 ‖ index in the batch u16, big-endian. */
export const versionstampBytes = 10
/** The last index a versionstamp can hold. */
export const versionstampIndexMax = 0xffff

const int64Min = -(2n ** 63n)
const int64Max = 2n ** 63n - 1n
const noBytes = new Uint8Array(0)

interface Unchecked {
  readonly value?: unknown
  readonly expected?: unknown
  readonly bytesMax?: unknown
  readonly suffix?: unknown
}

const encoder = new KeyEncoder()

/** The bytes of a value: in place where it is bytes, else memory of its own. Throws `InvalidValue`. */
const bytesOf = (value: unknown, bytesMax: number): Uint8Array => {
  if (isBytes(value)) {
    if (value.length > bytesMax) throw new InvalidValue({ reason: "TooLarge", lengthBytes: value.length, bytesMax })
    return value
  }
  encoder.clear()
  encoder.appendValue(value, bytesMax)
  return encoder.bytes.slice(encoder.start, encoder.end)
}

const numberOf = (type: string, value: unknown, index: number): bigint => {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt(value)
  if (typeof value === "bigint" && value >= int64Min && value <= int64Max) return value
  const found = typeof value === "number" || typeof value === "bigint" ? String(value).slice(0, 40) : describeType(value)
  throw new InvalidBatch({ index, detail: `the value of ${type} is ${found}. Use a safe integer, or a bigint of at most 64 bits (signed).` })
}

/**
 * Checks the operands of an atomic operation, but for its key and keyspace. Throws `InvalidBatch` and `InvalidValue`. `index` is its place in the batch.
 */
export const readAtomic = (type: Atomic["type"], operation: Unchecked, index: number, valueBytesMax: number): Atomic => {
  const { value } = operation
  switch (type) {
    case "add":
    case "min":
    case "max":
      return { type, operand: numberOf(type, value, index) }
    case "and":
    case "or":
    case "xor":
      return { type, operand: bytesOf(value, valueBytesMax) }
    case "append": {
      const { bytesMax } = operation
      if (bytesMax === undefined) return { type, operand: bytesOf(value, valueBytesMax), bytesMax: valueBytesMax }
      if (typeof bytesMax !== "number" || !Number.isSafeInteger(bytesMax) || bytesMax < 0) {
        const found = typeof bytesMax === "number" ? String(bytesMax) : describeType(bytesMax)
        throw new InvalidBatch({ index, detail: `the bytesMax of append is ${found}. Use a whole number of bytes, at least 0.` })
      }
      return { type, operand: bytesOf(value, valueBytesMax), bytesMax: Math.min(bytesMax, valueBytesMax) }
    }
    case "compareAndSet": {
      const { expected } = operation
      return {
        type,
        // What is longer than any value is never equal to one.
        expected: expected === undefined ? undefined : bytesOf(expected, Infinity),
        value: value === undefined ? undefined : bytesOf(value, valueBytesMax)
      }
    }
    case "setOnce":
      return { type, value: bytesOf(value, valueBytesMax) }
    case "versionstampedKey":
    case "versionstampedValue": {
      if (index > versionstampIndexMax)
        throw new InvalidBatch({
          index,
          detail: `a versionstamp holds an index of at most ${versionstampIndexMax}. Use fewer operations in one batch.`
        })
      if (type === "versionstampedValue") return { type, value: bytesOf(value, valueBytesMax - versionstampBytes) }
      const { suffix } = operation
      return { type, suffix: suffix === undefined ? noBytes : suffixOf(suffix, index), value: bytesOf(value, valueBytesMax) }
    }
  }
}

const suffixOf = (suffix: unknown, index: number): Uint8Array => {
  if (isBytes(suffix)) return suffix
  if (typeof suffix === "string" && suffix.isWellFormed()) return bytesOf(suffix, Infinity)
  const found = typeof suffix === "string" ? "text with a lone surrogate" : describeType(suffix)
  throw new InvalidBatch({ index, detail: `the suffix of versionstampedKey is ${found}. Use a string or a Uint8Array.` })
}

/** Numbers pass through here: a view of its own for each of them costs more than all the rest. */
const scratch = new Uint8Array(8)
const scratchView = new DataView(scratch.buffer)

const numberIn = (bytes: Uint8Array, index: number): bigint => {
  if (bytes.length !== 8) throw new AtomicOperationFailed({ reason: "NotANumber", index })
  for (let i = 0; i < 8; i++) scratch[i] = bytes[i]!
  return scratchView.getBigInt64(0, true)
}

const writeNumber = (n: bigint, into: Uint8Array, at: number): void => {
  scratchView.setBigInt64(0, n, true)
  for (let i = 0; i < 8; i++) into[at + i] = scratch[i]!
}

/** A number as `add`, `min` and `max` keep it: 64 bits, signed, little-endian. */
const numberBytes = (n: bigint): Uint8Array => {
  const bytes = new Uint8Array(8)
  writeNumber(n, bytes, 0)
  return bytes
}

const calculated = (type: "add" | "min" | "max", operand: bigint, current: Uint8Array | undefined, index: number): Uint8Array => {
  // Also as the first value of `min` and `max`, where there is nothing to compare with.
  if (current === undefined) return numberBytes(operand)
  const before = numberIn(current, index)
  if (type === "min") return numberBytes(operand < before ? operand : before)
  if (type === "max") return numberBytes(operand > before ? operand : before)
  const sum = before + operand
  if (sum < int64Min || sum > int64Max) throw new AtomicOperationFailed({ reason: "Overflow", index })
  return numberBytes(sum)
}

const combined = (type: "and" | "or" | "xor", operand: Uint8Array, current: Uint8Array): Uint8Array => {
  const result = new Uint8Array(Math.max(operand.length, current.length))
  result.set(current)
  for (let i = 0; i < result.length; i++) {
    const other = i < operand.length ? operand[i]! : 0
    if (type === "and") result[i]! &= other
    else if (type === "or") result[i]! |= other
    else result[i]! ^= other
  }
  return result
}

const sameBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean => {
  if (a === undefined || b === undefined) return a === b
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/**
 * What the operation makes of `current` (undefined: no value, which an expired one is too). `undefined` deletes; `current` itself, the same object, means that nothing is
 * written. Everything else is memory of its own, or the operand. Throws `AtomicOperationFailed` with `index`.
 */
export const applyAtomic = (atomic: ValueAtomic, current: Uint8Array | undefined, index: number): Uint8Array | undefined => {
  switch (atomic.type) {
    case "add":
    case "min":
    case "max":
      return calculated(atomic.type, atomic.operand, current, index)
    case "and":
    case "or":
    case "xor":
      return combined(atomic.type, atomic.operand, current ?? noBytes)
    case "append": {
      const before = current ?? noBytes
      const length = before.length + atomic.operand.length
      if (length > atomic.bytesMax) throw new AtomicOperationFailed({ reason: "TooLarge", index })
      const result = new Uint8Array(length)
      result.set(before)
      result.set(atomic.operand, before.length)
      return result
    }
    case "compareAndSet":
      if (!sameBytes(atomic.expected, current)) throw new AtomicOperationFailed({ reason: "Compare", index })
      return atomic.value
    case "setOnce":
      return current ?? atomic.value
  }
}

/** `before` ‖ versionstamp ‖ `after`. */
export const withVersionstamp = (before: Uint8Array, sequence: number, index: number, after: Uint8Array = noBytes): Uint8Array => {
  const result = new Uint8Array(before.length + versionstampBytes + after.length)
  result.set(before)
  writeU64BigEndian(result, before.length, sequence)
  result[before.length + 8] = index >>> 8
  result[before.length + 9] = index
  result.set(after, before.length + versionstampBytes)
  return result
}

/**
 * What the log keeps of the operation beside its result: its code, and of operands what the result does not hold. `add`, `min`, `max`: eight bytes, little-endian; `and`, `or`,
 * `xor`: the operand; the others nothing.
 */
export const annotationOf = (atomic: Atomic): Uint8Array => {
  if (atomic.type === "add" || atomic.type === "min" || atomic.type === "max") {
    const annotation = new Uint8Array(9)
    annotation[0] = codes[atomic.type]
    writeNumber(atomic.operand, annotation, 1)
    return annotation
  }
  const operand = atomic.type === "and" || atomic.type === "or" || atomic.type === "xor" ? atomic.operand : noBytes
  const annotation = new Uint8Array(1 + operand.length)
  annotation[0] = codes[atomic.type]
  annotation.set(operand, 1)
  return annotation
}

/** The name of the operation an annotation speaks of; `undefined` where there is none, or one that a later version knows. */
export const atomicNameOf = (annotation: Uint8Array | undefined): Atomic["type"] | undefined =>
  annotation === undefined || annotation.length === 0 ? undefined : names.get(annotation[0]!)
