import { InvalidOptions } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { isBytes } from "../../domain/keys/encodeKey.ts"
import type { Durability } from "../../services/Database.ts"

const annotationBytesMax = 65_536
const utf8 = new TextEncoder()
const names: ReadonlyArray<string> = ["durability", "annotation"]
const namesOfPut: ReadonlyArray<string> = ["durability", "annotation", "ttl", "expiresAt"]

const refuse = (problem: string): never => {
  throw new InvalidOptions({ problems: [problem] })
}

/** Throws `InvalidOptions` where the options of a write are no object, or name what is none of them. */
export const demandWriteOptions = (given: unknown, isPut: boolean): void => {
  if (typeof given !== "object" || given === null)
    return refuse(`the options of a write must be an object such as { durability: "sync" }, found ${describeType(given)}`)
  const known = isPut ? namesOfPut : names
  for (const name in given) {
    if (!known.includes(name)) refuse(`${JSON.stringify(name)} is not an option of a write; there are ${known.join(", ")}`)
  }
}

/** Throws `InvalidOptions` where what goes with a put of a transaction is no object, or names what an expiry has not. */
export const demandExpiry = (given: unknown): void => {
  if (typeof given !== "object" || given === null)
    return refuse(`what goes with a put of a transaction must be an object such as { ttl: "5 minutes" }, found ${describeType(given)}`)
  for (const name in given) {
    if (name !== "ttl" && name !== "expiresAt") refuse(`${JSON.stringify(name)} does not go with a put of a transaction; there are ttl, expiresAt`)
  }
}

/** Throws `InvalidOptions`. */
export const durabilityOf = (durability: unknown, fallback: Durability): Durability => {
  if (durability === undefined) return fallback
  if (durability === "sync" || durability === "buffered") return durability
  return refuse(
    `durability must be "sync" or "buffered", found ${typeof durability === "string" ? JSON.stringify(durability.slice(0, 40)) : describeType(durability)}`
  )
}

/** The bytes of an annotation; those of the caller where it gave bytes. Throws `InvalidOptions`. */
export const annotationBytes = (annotation: unknown): Uint8Array => {
  let bytes: Uint8Array
  if (isBytes(annotation)) bytes = annotation
  else if (typeof annotation !== "string") return refuse(`the annotation must be a string or a Uint8Array, found ${describeType(annotation)}`)
  else if (!annotation.isWellFormed()) return refuse("the annotation holds a lone surrogate, which has no UTF-8 form")
  else bytes = utf8.encode(annotation)
  if (bytes.length > annotationBytesMax) return refuse(`the annotation has ${bytes.length} bytes, more than ${annotationBytesMax}`)
  return bytes
}
