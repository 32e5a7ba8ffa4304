/** What each public method can end with, as its type says: the table does not compile where a union gains an impossible error, or loses a possible one. */
import { describe, expect, it } from "vitest"
import * as errors from "../../../src/domain/errors.ts"
import {
  handlesAreExact,
  methodsAreComplete,
  methodsAreExact,
  methodTags,
  transactionsAreExact,
  transactionTags
} from "../../support/methodErrors.ts"

describe("what each method can end with", () => {
  it("is what its type says", () => {
    const checks = [methodsAreComplete, ...Object.values(methodsAreExact), ...Object.values(transactionsAreExact), ...Object.values(handlesAreExact)]
    expect(new Set(checks)).toEqual(new Set([true]))
    expect(Object.keys(methodsAreExact)).toEqual(Object.keys(methodTags))
  })

  it("is told by errors of the package, each named once", () => {
    for (const [method, tags] of [...Object.entries(methodTags), ...Object.entries(transactionTags)]) {
      expect(new Set(tags).size, method).toBe(tags.length)
      for (const tag of tags) expect(Object.hasOwn(errors, tag), `${method}: ${tag}`).toBe(true)
    }
  })
})
