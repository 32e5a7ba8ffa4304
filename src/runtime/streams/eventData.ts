import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeText } from "../../domain/bytes/decodeText.ts"
import { InvalidEvent, InvalidValue } from "../../domain/errors.ts"
import { describeType } from "../../domain/keys/describeType.ts"
import { isBytes } from "../../domain/keys/encodeKey.ts"
import type { Value } from "../../services/Database.ts"

const utf8 = new TextEncoder()

/** What the data of events are, between the application and the row. */
export interface DataCodec<In, Out> {
  /** `index` is the position in the list handed in. Throws `InvalidEvent`, `InvalidValue`. */
  readonly encode: (data: In, stream: string, index: number) => Uint8Array
  /** Throws `InvalidEvent`. */
  readonly decode: (bytes: Uint8Array, stream: string, revision: number) => Out
}

/** Text as UTF-8, bytes as they are. Throws `InvalidValue`. */
export const valueBytes = (value: unknown, index: number): Uint8Array => {
  if (typeof value === "string") {
    if (value.isWellFormed()) return utf8.encode(value)
    throw new InvalidValue({ reason: "LoneSurrogate", index })
  }
  if (isBytes(value)) return value
  throw new InvalidValue({ reason: "WrongType", found: describeType(value), index })
}

export const bytesCodec: DataCodec<Value, Uint8Array> = { encode: (data, _stream, index) => valueBytes(data, index), decode: (bytes) => bytes }

/** A schema that needs no services, whose transformations are synchronous. */
export type EventSchema<A> = Schema.Codec<A, unknown>

/** Data as the JSON of the schema's encoded form; what JSON has no words for (bytes, dates, big numbers) as the schema's canonical JSON codec writes it. */
export const schemaCodec = <A>(schema: EventSchema<A>): DataCodec<A, A> => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeUnknownResult(json)
  const decode = Schema.decodeUnknownResult(json)
  return {
    encode: (data, stream, index) => {
      const encoded = encode(data)
      if (Result.isSuccess(encoded)) return utf8.encode(encoded.success)
      throw new InvalidEvent({ reason: "Encode", stream, index, detail: encoded.failure.message })
    },
    decode: (bytes, stream, revision) => {
      const decoded = decode(decodeText(bytes))
      if (Result.isSuccess(decoded)) return decoded.success
      throw new InvalidEvent({ reason: "Decode", stream, revision, detail: decoded.failure.message })
    }
  }
}
