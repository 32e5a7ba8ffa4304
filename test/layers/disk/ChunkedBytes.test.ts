import * as fc from "fast-check"
import { expect, it } from "vitest"
import { ChunkedBytes } from "../../../src/layers/disk/ChunkedBytes.ts"

const chunkBytes = 16

/** The same, naively. */
class Model {
  bytes = new Uint8Array(0)
  write(part: Uint8Array, position: number): void {
    if (part.length === 0) return
    const grown = new Uint8Array(Math.max(this.bytes.length, position + part.length))
    grown.set(this.bytes)
    grown.set(part, position)
    this.bytes = grown
  }
  truncate(length: number): void {
    const cut = new Uint8Array(length)
    cut.set(this.bytes.subarray(0, length))
    this.bytes = cut
  }
}

const step = fc.oneof(
  fc.record({ write: fc.uint8Array({ maxLength: 60 }), position: fc.nat(120), on: fc.nat() }),
  fc.record({ truncate: fc.nat(150), on: fc.nat() }),
  fc.record({ fork: fc.constant(true), on: fc.nat() })
)

it("behaves like one array, and forks like a copy", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const pairs = [{ real: new ChunkedBytes(chunkBytes), model: new Model() }]
      for (const action of steps) {
        const { real, model } = pairs[action.on % pairs.length]!
        if ("write" in action) {
          real.write(action.write, action.position)
          model.write(action.write, action.position)
        } else if ("truncate" in action) {
          real.truncate(action.truncate)
          model.truncate(action.truncate)
        } else {
          const copy = new Model()
          copy.bytes = model.bytes
          pairs.push({ real: real.fork(), model: copy })
        }
        for (const { real, model } of pairs) {
          expect(real.lengthBytes).toBe(model.bytes.length)
          expect(real.toBytes()).toEqual(model.bytes)
          // Equal bytes, equal digests, by whatever way they came to be; other bytes, other digests.
          const fresh = new ChunkedBytes(chunkBytes)
          fresh.write(model.bytes, 0)
          fresh.truncate(model.bytes.length)
          expect(real.digest()).toBe(fresh.digest())
          for (const other of pairs) expect(other.real.digest() === real.digest()).toBe(Buffer.compare(other.model.bytes, model.bytes) === 0)
          const into = new Uint8Array(10).fill(255)
          expect(real.read(into, 13)).toBe(Math.max(0, Math.min(10, model.bytes.length - 13)))
        }
      }
    }),
    { numRuns: 300 }
  )
})
